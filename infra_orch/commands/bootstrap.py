"""`infra-orch bootstrap STACK…`: the S3 buckets that stacks keep their states in, looked at, and made.

It makes what it has shown as missing, and no more.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from infra_orch.commands.credentials import wallet_for
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.sandboxing import emulator_folder
from infra_orch.commands.specs import specs_of
from infra_orch.commands.stacks import for_each_stack
from infra_orch.console import Console
from infra_orch.engine.backend import read_backend
from infra_orch.engine.bucket_name import BucketNameError
from infra_orch.engine.emulated import ACCESS_KEY, SECRET_KEY
from infra_orch.engine.state_bucket import Part, StateBucket
from infra_orch.errors import ExitCode, RefusedError, UnavailableError, UserError, Where
from infra_orch.process import Supervisor
from infra_orch.project import Project
from infra_orch.redact import Redactor
from infra_orch.render.write import Rendering
from infra_orch.report.bootstrap import ListedBucket, ListedPart, bootstrap_document, bucket_lines
from infra_orch.run.credentials import Wallet
from infra_orch.sandbox import server
from infra_orch.spec.credentials import Identity

_BESIDE_THE_POINT = ("key", "use_lockfile", "encrypt", "acl", "max_retries", "retry_mode", "workspace_key_prefix")
"""Arguments of a backend that say nothing of what a bucket should be."""
_IN_SANDBOX = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "use_path_style": True}


@dataclass
class _Wanted:
    """A bucket that stacks keep states in, by the arguments of their backend, and whose credentials make it."""

    arguments: Mapping[str, Any]
    identity: Identity | None
    wallet: Wallet
    stacks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Looked:
    """A bucket that was looked at; without *bucket* it could not be, and *listed* says why."""

    listed: ListedBucket
    bucket: StateBucket | None = None
    error: UserError | None = None


@dataclass
class _Found:
    """What the stacks keep their states in: buckets by what tells them apart, and other places by stack."""

    redactor: Redactor
    buckets: dict[str, _Wanted] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def bootstrap(
    project: Project,
    stacks: Sequence[str],
    console: Console,
    *,
    words: Sequence[str],
    check: bool = False,
    auto_approve: bool = False,
    sandbox: bool = False,
) -> int:
    """Show what of the buckets of stacks is missing, ask, and make it. With *check* nothing is made.

    *words* are those of the command line that name the stacks; *sandbox*: the buckets are those of the kept emulator.

    Returns 0 where all is in order in the end, 1 where something is missing or could not be made, 65 where a spec is
    wrong, 130 after Ctrl-C. Raises UserError where no bucket could be looked at, RefusedError where nobody says yes.
    """
    found = _Found(_redactor(project))
    code = _find(project, stacks, console, found, sandbox=sandbox)
    looked = [_look(wanted, found.redactor) for wanted in found.buckets.values()]
    if lines := [line for one in looked if not one.error for line in bucket_lines(one.listed, console.style)]:
        console.result(lines)
    for name, where in found.others.items():
        console.note(_elsewhere(name, where))
    _say_errors(looked, console)
    if not check and not code and any(map(_missing, looked)):
        _consent(looked, console, auto_approve=auto_approve)
        looked, interrupted = _make(looked, found.redactor, console)
        if interrupted:
            return ExitCode.INTERRUPTED
    listed = [one.listed for one in looked]
    if console.json:
        document = bootstrap_document(listed, found.others)
        console.document(json.dumps(document, indent=2, ensure_ascii=False))
    elif listed and all(bucket.is_in_order for bucket in listed):
        console.note("all is in order")
    elif check and any(map(_missing, looked)):
        console.note(f"something is missing; infra-orch bootstrap {shlex.join(words)}{' --sandbox' * sandbox} makes it")
    return code or _code(looked)


def _code(looked: Sequence[_Looked]) -> int:
    errors = [one.error.exit_code for one in looked if one.error]
    if errors:
        return errors[0]
    return ExitCode.DONE if all(one.listed.is_in_order for one in looked) else ExitCode.FAILED


def _redactor(project: Project) -> Redactor:
    redactor = Redactor(project.settings.redact)
    redactor.add_environment(os.environ)
    return redactor


# Which buckets there are to be.


def _find(project: Project, stacks: Sequence[str], console: Console, found: _Found, *, sandbox: bool) -> int:
    """Fill *found* with the buckets of the stacks. Returns 65 where a spec is wrong, which is said."""
    url = _emulator(project) if sandbox else None
    with specs_of(project, stacks) as specs:

        def add(name: str) -> int:
            _add(specs.rendering(name), found, url)
            return ExitCode.DONE

        return for_each_stack(stacks, console, add)


def _emulator(project: Project) -> str:
    kept = server.status(emulator_folder(project))
    if kept is None:
        raise UnavailableError(
            "no sandbox is kept, so there is nowhere to make a bucket", hint="infra-orch sandbox start"
        )
    return kept.url


def _add(rendering: Rendering, found: _Found, url: str | None) -> None:
    stack = rendering.stack
    name, cache = stack.folder.name, stack.folder.project.cache / "modules"
    wallet = wallet_for(Opened(stack, {}, {}), "bootstrap", RunOptions(sandbox=bool(url)), found.redactor, Supervisor())
    for unit in stack.units.values():
        arguments = read_backend(rendering.files.get(f"{unit.name}/backend.tf", ""), cache).arguments
        if unit.backend != "s3":
            found.others[name] = unit.backend
        elif isinstance(arguments.get("bucket"), str):
            identity = unit.credentials.apply if unit.credentials and not url else None
            place = {key: value for key, value in arguments.items() if key not in _BESIDE_THE_POINT}
            place = _turned(place, url) if url else place
            key = repr((sorted(place.items(), key=lambda item: item[0]), identity))
            wanted = found.buckets.setdefault(key, _Wanted(place, identity, wallet))
            wanted.stacks += [name] if name not in wanted.stacks else []
        else:
            found.others[name] = "an S3 backend whose bucket its file does not say"
    if not stack.units:
        found.others[name] = ""


def _turned(place: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The arguments of a bucket, turned to the emulator at *url*, with nobody's credentials."""
    kept = {name: place[name] for name in ("bucket", "region", "kms_key_id", "dynamodb_table") if name in place}
    return {**kept, **_IN_SANDBOX, "endpoints": dict.fromkeys(("s3", "sts", "dynamodb"), url)}


def _elsewhere(name: str, where: str) -> str:
    if not where:
        return f"{name}: it has no units yet, and so no states"
    if where == "local":
        return (
            f"{name}: its states are files beside it (LocalBackend), and need no bucket; "
            'for a team: Stack(…, backend=S3Backend(bucket="…", region="…"))'
        )
    return f"{name}: its states lie elsewhere ({where}); only buckets of S3 backends are made"


# What there is of them.


def _look(wanted: _Wanted, redactor: Redactor) -> _Looked:
    listed = ListedBucket(
        str(wanted.arguments["bucket"]), str(wanted.arguments.get("region") or ""), "", tuple(wanted.stacks)
    )
    try:
        keys = wanted.wallet.keys(wanted.identity) if wanted.identity else None
        bucket = StateBucket(wanted.arguments, keys)
        parts = bucket.parts()
    except UserError as error:
        told = _redacted(error, redactor)
        if isinstance(error, BucketNameError):
            told.where = Where(f"stacks/{wanted.stacks[0]}/stack.py")
        return _Looked(replace(listed, error=told.summary), error=told)
    there = tuple(_listed(part) for part in parts)
    return _Looked(replace(listed, region=bucket.region, account=bucket.account, parts=there), bucket)


def _listed(part: Part) -> ListedPart:
    return ListedPart(part.name, "missing" if part.todo else "there", part.found, part.todo, part.warning)


def _redacted(error: UserError, redactor: Redactor) -> UserError:
    return type(error)(redactor.text(error.summary), hint=redactor.text(error.hint))


def _say_errors(looked: Sequence[_Looked], console: Console) -> None:
    for one in looked:
        if one.error:
            console.error(one.error)


def _missing(looked: _Looked) -> list[str]:
    return [part.part for part in looked.listed.parts if part.status == "missing"]


# Making what is missing.


def _consent(looked: Sequence[_Looked], console: Console, *, auto_approve: bool) -> None:
    """Raise RefusedError where nobody says yes to what was shown."""
    if auto_approve:
        return
    names = [one.listed.bucket for one in looked if _missing(one)]
    if console.json or not console.interactive:
        raise RefusedError(
            f"nobody is there to be asked whether that is to be made: {', '.join(names)}",
            hint=f"{console.again('--auto-approve')}, if that is meant; --check only says what is missing",
        )
    if not console.ask(f"Make what is missing of {', '.join(names)}?"):
        raise RefusedError("nothing was made")


def _make(looked: Sequence[_Looked], redactor: Redactor, console: Console) -> tuple[list[_Looked], bool]:
    """Make what is missing, and say so as it is made. Returns how it is then, and whether somebody stopped it."""
    done: list[_Looked] = []
    for one in looked:
        made: dict[str, ListedPart] = {}
        try:
            for part, error in _made(one, redactor):
                made[part.part] = part
                if error:
                    console.error(error)
                else:
                    console.note(f"{one.listed.bucket}: {part.part}: done")
        except KeyboardInterrupt:
            console.note(f"{one.listed.bucket}: interrupted; what is made stays, and the same command makes the rest")
            return done, True
        parts = tuple(made.get(part.part, part) for part in one.listed.parts)
        done.append(replace(one, listed=replace(one.listed, parts=parts)))
    return done, False


def _made(one: _Looked, redactor: Redactor) -> Iterator[tuple[ListedPart, UserError | None]]:
    """Make the parts of a bucket that were shown as missing. One that fails keeps none but a bucket from the others."""
    wanted = _missing(one)
    if not one.bucket or not wanted:
        return
    parts = {part.part: part for part in one.listed.parts}
    for name in wanted:
        try:
            one.bucket.make(name)
        except UserError as error:
            told = _redacted(error, redactor)
            told.hint = "; ".join(filter(None, (told.hint, "then the same command makes the rest")))
            yield replace(parts[name], status="failed", error=told.summary), told
            if name == "bucket":
                return
        else:
            yield replace(parts[name], status="made"), None
