"""Policies in Rego, asked as Conftest asks them: rules `deny`, `violation` and `warn`, also with a suffix.

They are run by regopy, the Python side of rego-cpp, which is no OPA; for each plan in a process of its own
(interpreter.py). What was seen of version 1.5, and how it is dealt with:

- It reads Rego v1, with or without `import rego.v1`, and much of v0: `deny[msg] { … }` makes an object there whose keys
  are the messages, which is taken for the set that v0 means. It does not read all that OPA reads; then it says so.
- A name that is declared nowhere is no error but undefined: rego_text.py looks for it.
- Texts are kept escaped, so one with a quote in it is longer for `count`, and another for `regex.match`.
- It can end its process over a policy. That, and whatever else it does instead of an answer, is a no.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.errors import Problem, SpecError, UnavailableError, Where
from infra_orch.policies.declare import Severity
from infra_orch.policies.plan import PLAN_KEYS, Plan
from infra_orch.policies.rego_text import RULE, RegoFile
from infra_orch.policies.verdict import Verdict
from infra_orch.process import capture

OWN_KEY = "infra_orch"
"""What `input` has beside Terraform's own: the stack, the unit and its tags."""
_SYNTAX = re.compile(r"\(error \d+:[^|]*\|(?P<offset>\d+)\|\d+\s*\(errormsg \d+:(?P<message>[^\n]*)\)")
# What a Python needs to find itself and its packages; a policy can read the environment.
_HANDED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG")
_PATIENCE = 60.0
_NO_PLAN: Mapping[str, Any] = {"resource_changes": [], OWN_KEY: {}}


class _RegoError(Exception):
    """There is no answer; the message says why."""


@dataclass(frozen=True)
class Rego:
    """The files of a project in Rego."""

    files: tuple[RegoFile, ...]

    def judge(self, plan: Plan) -> Iterator[Verdict]:
        """Yield what the rules find in a plan. What cannot be asked says no."""
        document = {**plan.json, OWN_KEY: _own(plan)}
        packages = list(dict.fromkeys(file.package for file in self.files))
        try:
            answers = _answers(self.files, document, [(package, self.files) for package in packages])
        except _RegoError as error:
            yield self._cannot("", "", plan, error)
            return
        for package, answer in zip(packages, answers, strict=True):
            if "error" in answer:
                yield self._cannot(package, "", plan, answer["error"])
            for rule, value in sorted(answer.get("rules", {}).items()):
                if RULE.fullmatch(rule):
                    yield from self._of(package, rule, value, plan, document)

    def _of(self, package: str, rule: str, value: Any, plan: Plan, document: Mapping[str, Any]) -> Iterator[Verdict]:
        severity: Severity = "warn" if rule.startswith("warn") else "deny"
        try:
            findings = list(_findings(value))
        except TypeError as error:
            yield self._cannot(package, rule, plan, error)
            return
        places = self._places(package, rule)
        alone = self._each_alone(places, rule, document) if findings and len(places) > 1 else {}
        for finding in findings:
            mine = next(([place] for place in places if finding in alone.get(place.shown, ())), places)
            name, where = _named(mine, package, rule)
            yield Verdict(name, severity, plan.unit, *finding, where)

    def _cannot(self, package: str, rule: str, plan: Plan, error: object) -> Verdict:
        places = self._places(package, rule) or [file for file in self.files if file.package == package]
        name, where = _named(places or self.files, package, rule)
        return Verdict(name, "deny", plan.unit, "", f"it could not be asked: {error}", where)

    def _places(self, package: str, rule: str) -> list[RegoFile]:
        return [file for file in self.files if file.package == package and rule in file.rules]

    def _each_alone(
        self, places: Sequence[RegoFile], rule: str, document: Mapping[str, Any]
    ) -> dict[str, list[tuple[str, str]]]:
        """What each of the files that have a rule finds without the others of these, so that a verdict can name it.

        Nothing where that cannot be told.
        """
        asks = [(place.package, [one for one in self.files if one is place or one not in places]) for place in places]
        try:
            answers = _answers(self.files, document, asks)
            values = [answer.get("rules", {}).get(rule) for answer in answers]
            return {place.shown: list(_findings(value)) for place, value in zip(places, values, strict=True)}
        except (_RegoError, TypeError):
            return {}


def load_rego(files: Sequence[RegoFile]) -> Rego | None:
    """Return the policies in *files*; None where there are none.

    Raises SpecError for what is wrong with them, with file and line, and UnavailableError where regopy is not there.
    """
    if not files:
        return None
    problems = [problem for file in files for problem in file.problems((*PLAN_KEYS, OWN_KEY), _beside(file, files))]
    if problems:
        raise SpecError(problems)
    if importlib.util.find_spec("regopy") is None:
        raise UnavailableError(
            f"{files[0].shown} is a policy in Rego, and regopy, which evaluates it, is not installed",
            hint="pip install 'infra-orch[rego]'",
        )
    _try(files)
    return Rego(tuple(files))


def _try(files: Sequence[RegoFile]) -> None:
    """Evaluate every package once with an empty plan: what fails there fails always. Raises SpecError."""
    packages = list(dict.fromkeys(file.package for file in files))
    try:
        answers = _answers(files, _NO_PLAN, [(package, files) for package in packages])
    except _RegoError as error:
        raise SpecError(
            [Problem(f"the policies in Rego cannot be evaluated: {error}", Where(files[0].shown))]
        ) from error
    for package, answer in zip(packages, answers, strict=True):
        if "error" in answer:
            first = next(file for file in files if file.package == package)
            message = f"package {package} cannot be evaluated: {answer['error']}"
            hint = "rules of one name are all to be written alike: deny contains msg if { … }"
            raise SpecError([Problem(message, Where(first.shown), hint)])


def _answers(
    files: Sequence[RegoFile], document: Mapping[str, Any], asks: Sequence[tuple[str, Sequence[RegoFile]]]
) -> list[dict[str, Any]]:
    """Ask for packages, each with the files that are to be known then.

    Raises _RegoError where there is no answer, SpecError for a file that cannot be read.
    """
    question = {
        "files": [{"name": file.shown, "text": file.text} for file in files],
        "input": document,
        "asks": [{"package": package, "files": [files.index(file) for file in known]} for package, known in asks],
    }
    script = Path(__file__).with_name("interpreter.py")
    environment = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    # What the JSON of a plan has as 1.50 is a Decimal.
    asked = json.dumps(question, default=float).encode()
    try:
        code, answered, printed = capture(
            [sys.executable, "-P", str(script)], cwd=script.parent, env=environment, stdin=asked, timeout=_PATIENCE
        )
    except UnavailableError as error:
        raise _RegoError(f"no answer within {_PATIENCE:g} s, or no process: {error.summary[:60]}") from error
    if printed:
        sys.stderr.write(printed.decode(errors="replace"))
    try:
        answer = json.loads(answered)
    except ValueError as error:
        raise _RegoError(f"the interpreter ended with code {code} and no answer") from error
    if "wrong" in answer:
        raise SpecError([_syntax(answer["wrong"]["said"], files[answer["wrong"]["file"]])])
    return list(answer["answers"])


def _syntax(said: str, file: RegoFile) -> Problem:
    found = _SYNTAX.search(said)
    if not found:
        return Problem("it cannot be read as Rego", Where(file.shown))
    before = file.text.encode()[: int(found["offset"])]
    return Problem(f"it cannot be read as Rego: {found['message']}", Where(file.shown, before.count(b"\n") + 1))


def _beside(file: RegoFile, files: Sequence[RegoFile]) -> frozenset[str]:
    others = (other.words for other in files if other is not file and other.package == file.package)
    return frozenset(word for words in others for word in words)


def _own(plan: Plan) -> dict[str, Any]:
    tags = sorted(plan.tags)
    return {"stack": plan.stack, "unit": plan.unit, "module": plan.module, "tags": tags, "destroys": plan.destroys}


def _findings(value: Any) -> Iterator[tuple[str, str]]:
    """The addresses and messages in the value of a rule. Raises TypeError where it is none."""
    if value is None or value is False:
        return
    if value is True:
        yield "", "it is not allowed"
    elif isinstance(value, str):
        yield "", value
    elif isinstance(value, list):
        for one in value:
            yield from _findings(one)
    elif isinstance(value, dict) and all(held is True for _, held in value["pairs"]):
        # What a set is in v0.
        for key, _ in value["pairs"]:
            yield from _findings(key)
    else:
        yield _finding(value)


def _finding(value: Any) -> tuple[str, str]:
    held = {key: part for key, part in value["pairs"] if isinstance(key, str)} if isinstance(value, dict) else {}
    message, address = held.get("msg"), held.get("address", "")
    if not isinstance(message, str):
        shown = f"an object with {', '.join(held)}" if held else repr(value)
        raise TypeError(f"{shown} is no finding: a message, or an object with msg, and address if it is of a resource")
    return address if isinstance(address, str) else "", message


def _named(places: Sequence[RegoFile], package: str, rule: str) -> tuple[str, str]:
    """How a policy is called, and where it stands."""
    where = ", ".join(f"{file.shown}:{file.rules[rule]}" if rule in file.rules else file.shown for file in places)
    name = places[0].shown.rpartition("/")[2] if len(places) == 1 else package or "in Rego"
    return f"{name}:{rule}" if rule else name, where
