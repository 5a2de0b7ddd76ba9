"""What Terraform's messages mean for the user: one clear sentence, and what to do."""

from __future__ import annotations

import json
import re
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra_orch.run.outcome import Failure

DISK_FULL = Failure("the disk is full", hint="free some space, then run the same command", kind="disk")
_LEAST_BYTES = 256 << 10
_MOST_LINES = 60
_LONGEST_LINE = 2000
_BOX = re.compile(r"^[│╷╵] ?")
_ERROR = re.compile(r"^Error: ", re.MULTILINE)


@dataclass(frozen=True)
class Messages:
    """What a command said, as Terraform's machine-readable UI has it where it ran with -json.

    *done* are (address, type, action) of what is complete, *unfinished* addresses of what was begun and did not end
    well: it may exist. *outputs* are those after an apply, their numbers exact. *complete*: an apply said that it has
    done everything. *other* is text that is no message, its end at most. Nothing in it is redacted.
    """

    errors: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[Mapping[str, Any], ...] = ()
    done: tuple[tuple[str, str, str], ...] = ()
    unfinished: tuple[str, ...] = ()
    outputs: Mapping[str, Mapping[str, Any]] | None = None
    complete: bool = False
    other: str = ""

    @property
    def error_text(self) -> str:
        """The errors, as Terraform prints them without colours."""
        if self.errors:
            return "\n\n".join(dict.fromkeys(map(_diagnostic_text, self.errors)))
        # What comes before the first error is how far a command came, such as which providers init has installed.
        first = _ERROR.search(self.other)
        return self.other[first.start() if first else 0 :].strip()


def read_messages(path: Path, begin: int = 0) -> Messages:
    """Read a log of JSON lines from the byte *begin* on. What is no JSON (a crash, a provider that prints) is text."""
    errors: list[Mapping[str, Any]] = []
    warnings: list[Mapping[str, Any]] = []
    done: list[tuple[str, str, str]] = []
    begun: dict[tuple[str, str], None] = {}
    other: deque[str] = deque(maxlen=_MOST_LINES)
    outputs: Mapping[str, Mapping[str, Any]] | None = None
    complete = False
    for line, entry in _lines(path, begin):
        if entry is None:
            other.append(line)
            continue
        kind = entry.get("type")
        if kind == "diagnostic":
            diagnostic = _mapping(entry.get("diagnostic"))
            (errors if diagnostic.get("severity") == "error" else warnings).append(diagnostic)
        elif kind in ("apply_start", "apply_complete"):
            hook = _mapping(entry.get("hook"))
            resource = _mapping(hook.get("resource"))
            address, action = str(resource.get("addr", "")), str(hook.get("action", ""))
            if kind == "apply_start":
                begun[address, action] = None
            else:
                begun.pop((address, action), None)
                done.append((address, str(resource.get("resource_type", "")), action))
        elif kind == "outputs":
            outputs = _mapping(entry.get("outputs"))
        elif kind == "change_summary":
            complete |= _mapping(entry.get("changes")).get("operation") in ("apply", "destroy")
        elif entry.get("@level") == "error":
            other.append(str(entry.get("@message", ""))[:_LONGEST_LINE])
    unfinished = tuple(sorted({address for address, action in begun if action != "read"}))
    return Messages(tuple(errors), tuple(warnings), tuple(done), unfinished, outputs, complete, "\n".join(other))


def warning_texts(messages: Messages) -> tuple[str, ...]:
    """The warnings, a line each."""
    return tuple(dict.fromkeys(str(warning.get("summary", "")) for warning in messages.warnings))


def waits_for_unknown(messages: Messages) -> bool:
    """Whether every error says only that Terraform will not plan with values that nobody knows yet."""
    return bool(messages.errors) and all(
        _UNKNOWN.search(f"{error.get('summary')} {error.get('detail')}") for error in messages.errors
    )


def needs_init(text: str) -> bool:
    """Whether Terraform says that its working folder has to be initialised (anew)."""
    return bool(_NEEDS_INIT.search(text))


def is_full(folder: Path) -> bool:
    """Whether the disk under *folder* has no room left: Terraform cuts a plan short then, and says that all is well."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_BYTES
    except OSError:
        return False


def explain(text: str, *, step: str, subject: str, log: str, exit_code: int) -> Failure:
    """Return why *step* failed, from what Terraform said (redacted by the caller). *subject* is `STACK UNIT`."""
    for known in _KNOWN:
        match = re.search(known.pattern, text, re.IGNORECASE | re.DOTALL)
        if match:
            facts = {name: " ".join((value or "?").split()) for name, value in match.groupdict().items()}
            facts |= {"step": step, "subject": subject, "unit": subject.rpartition(" ")[2]}
            facts["outputs"] = ", ".join(sorted(set(_IN_OUTPUT.findall(text)))) or '"…"'
            text = _UNLOCKED.sub("", text)  # we never say -lock=false, and refuse it
            return Failure(known.summary.format(**facts), text, known.hint.format(**facts), log, known.kind)
    if exit_code < 0:
        hint = "something outside of it did that: a lack of memory, or somebody" if -exit_code == _KILLED else ""
        return Failure(f"terraform {step} was ended by signal {-exit_code}", text, hint, log, "signal")
    return Failure(_first_error(text) or f"terraform {step} ended with code {exit_code}", text, "", log)


def _first_error(text: str) -> str:
    """The first error's sentence, whole where Terraform has broken it into lines."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n|\n  (?:on|with) ", text)]
    said = [paragraph for paragraph in paragraphs if paragraph]
    errors = [paragraph.partition("Error: ")[2] for paragraph in said if "Error: " in paragraph]
    if not errors:
        return said[0] if said else ""
    return errors[0] + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")


_KILLED = 9
_UNKNOWN = re.compile(
    r"known only after apply|cannot be determined until apply|until apply|not yet known|depends on resource attributes"
)
_IN_OUTPUT = re.compile(r'Output refers to sensitive values\s+on \S+ line \d+, in output ("[^"]+")')
_UNLOCKED = re.compile(r"\n*Terraform acquires a state lock to protect the state.*?not recommended\.", re.DOTALL)
_NEEDS_INIT = re.compile(
    r"Module not installed|Module source has changed|Required plugins are not installed|Backend initialization required"
    r"|Inconsistent dependency lock file|Module version requirements have changed|please run \"terraform init\"",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Known:
    """A failure that is recognised by what Terraform says: its kind, one clear sentence, and what to do."""

    pattern: str
    kind: str
    summary: str
    hint: str


_KNOWN = (
    _Known(
        # What Terraform goes on to say is of the lock that it wanted for itself, and not of the one in its way.
        r"HTTP remote state already locked(?:: ID=(?P<id>\S+))?",
        "locked",
        "the state is locked by somebody else (lock {id}); its server does not say who that is",
        "wait until that run has ended; if it is gone: infra-orch unlock {subject}",
    ),
    _Known(
        r"Error acquiring the state lock(?:.*?\n[\s│]*ID:\s*(?P<id>\S+))?(?:.*?Who:\s*(?P<who>[^\n]+))?"
        r"(?:.*?Created:\s*(?P<since>[^\n]+))?",
        "locked",
        "the state is locked by {who} since {since} (lock {id})",
        "wait until that run has ended; if it is gone: infra-orch unlock {subject}",
    ),
    _Known(
        r"LocalState not locked",
        "locked",
        "the state is a file that a program on this machine holds locked; nobody else can give that lock back",
        "end that program; fuser or lsof of the state's file says which it is",
    ),
    _Known(
        r"Saved plan is stale|plan file can no longer be applied because the state was changed",
        "stale",
        "somebody else changed the state after this was planned, so the plan was not applied",
        "plan anew, and look at it again: run the same command (for a plan bundle: infra-orch plan … --out FILE first)",
    ),
    _Known(
        r"ExpiredToken|token.{0,40}expired|RequestExpired|credentials? (?:have|has) expired"
        r"|SSO session.{0,60}(?:expired|invalid)",
        "credentials",
        "the cloud credentials have expired",
        "log in again (for AWS: aws sso login), then run the same command",
    ),
    _Known(
        r"No valid credential sources found|failed to refresh cached credentials|InvalidClientTokenId"
        r"|could not find default credentials",
        "credentials",
        "there are no valid cloud credentials",
        "log in (for AWS: aws sso login, or AWS_PROFILE), then run the same command; with --sandbox, what is at AWS "
        "needs none",
    ),
    _Known(r"no space left on device", "disk", DISK_FULL.summary, DISK_FULL.hint),
    _Known(
        r"(?:Plugin did not respond|plugin process exited|The plugin encountered an error)"
        r"(?:.*?(?P<plugin>terraform-provider-[\w.-]+))?",
        "provider",
        "a provider crashed during {step}: {plugin}",
        "its message is in the log; another version of the provider may mend it",
    ),
    _Known(
        r"Failed to instantiate provider \"?(?P<plugin>[^\s\"]+)",
        "provider",
        "the provider {plugin} cannot be started",
        "its message is in the log",
    ),
    _Known(
        r"TERRAFORM CRASH|panic: runtime error|\bgoroutine \d+ \[running\]",
        "crash",
        "terraform itself crashed during {step}",
        "its trace is in the log; another version may mend it: --engine PATH",
    ),
    _Known(
        r"(?P<provider>[\w.-]+/[\w.-]+/[\w.-]+)[^\n]{0,120}?:?\s.{0,400}?match\s+any\s+of\s+the\s+checksums",
        "checksum",
        "the package of {provider} is not what the dependency lock file says",
        "find out why it changed; to trust it, remove {unit}'s .terraform.lock.hcl beside its rendered files",
    ),
    _Known(
        r"Failed to query available provider packages|could not connect to registry|Failed to install provider"
        r"|registry service is unreachable|Could not retrieve the list of available versions",
        "registry",
        "a provider could not be had from the registry or a mirror",
        "check the network, or name a provider mirror: INFRA_ORCH_PROVIDER_MIRROR=DIR",
    ),
    _Known(
        r"(?:Failed to download module|Could not download module|Module not found"
        r"|Error accessing remote module registry)(?:.*?module\s+\"(?P<module>[^\"]+)\")?",
        "module",
        "the module called {module} could not be downloaded",
        "check its source and the network",
    ),
    _Known(
        r"Unresolvable module version constraint.*?version of module \"(?P<module>[^\"]+)\".*?"
        r"newest available\s+version is (?P<newest>[\w.+-]*\w)",
        "module",
        "no version of the module {module} fits the constraint; the newest is {newest}",
        "change version= of the unit in the spec",
    ),
    _Known(
        r"Output refers to sensitive values",
        "module",
        "an output holds a sensitive value and is not marked as sensitive",
        'mark it in the module (sensitive = true), or stack.unit("{unit}", …, sensitive_outputs=[{outputs}])',
    ),
    _Known(
        r"Unsupported Terraform Core version",
        "version",
        "the engine's version is not one that the module accepts",
        "infra-orch --version shows the engine; --engine chooses another",
    ),
)


def _lines(path: Path, begin: int) -> Iterator[tuple[str, dict[str, Any] | None]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(begin)
        for raw in file:
            line = raw.decode("utf-8", errors="replace")
            try:
                entry = json.loads(line, parse_float=Decimal) if line.startswith("{") else None
            except (ValueError, RecursionError):
                entry = None
            if isinstance(entry, dict):
                yield "", entry
            else:
                yield _BOX.sub("", line[:_LONGEST_LINE].rstrip()), None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _block(diagnostic: Mapping[str, Any]) -> str:
    """In which block of a file something is wrong, as `, in output "id"`, where Terraform says so."""
    snippet = _mapping(diagnostic.get("snippet"))
    header = re.match(r'(\w+(?: "[^"]*")+) \{', str(snippet.get("code", "")))  # where the block itself is meant
    block = snippet.get("context") or (header[1] if header else "")
    return f", in {block}" if block else ""


def _diagnostic_text(diagnostic: Mapping[str, Any]) -> str:
    where = ""
    if span := diagnostic.get("range"):
        where = f"\n  on {span.get('filename')} line {span.get('start', {}).get('line')}{_block(diagnostic)}"
    if address := diagnostic.get("address"):
        where = f"\n  with {address}{where}"
    detail = f"\n\n{diagnostic['detail']}" if diagnostic.get("detail") else ""
    return f"Error: {diagnostic.get('summary', '')}{where}{detail}"
