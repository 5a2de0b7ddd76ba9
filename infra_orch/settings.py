"""Settings: from `infra-orch.toml` or `[tool.infra-orch]` of pyproject.toml, over which variables and flags win."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from infra_orch.errors import UsageError, Where, nearest
from infra_orch.notify.rules import Rule, rules_of

FILE = "infra-orch.toml"
PREFIX = "INFRA_ORCH_"
# Go's durations, of which Terraform's -lock-timeout is one.
_DURATION = re.compile(r"0|(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_PLATFORM = re.compile(r"[a-z0-9]+_[a-z0-9]+")
NONE = "none"
"""How a variable says that a list of `allow` is empty: an empty variable counts as not set."""
_BACKENDS = ("azurerm", "cloud", "cos", "gcs", "local", "oci", "oss", "remote", "s3")


@dataclass(frozen=True)
class Allow:
    """What rendered files and the modules that they call may have Terraform run and reach; None: not set.

    providers: patterns of source addresses (`hashicorp/aws`). module_sources: patterns of sources that lead out of the
    project. backends, provisioners: types. external_data: data sources that run a program or ask any server.
    credential_commands: programs that print credentials.
    """

    providers: tuple[str, ...] | None = None
    module_sources: tuple[str, ...] | None = None
    backends: tuple[str, ...] | None = None
    provisioners: tuple[str, ...] | None = None
    external_data: bool | None = None
    credential_commands: bool | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything was set: then all of it holds."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def settled(self) -> Allow:
        """What is allowed, with a safe answer for every key that is not set.

        The backends are those that speak to one service and start no program. The others are not among them: `http`,
        `consul` and `pg` send the state, and the password or token of the environment, to any host that is written
        there, and `kubernetes` starts programs.
        """
        safe = Allow(("hashicorp/*",), (), _BACKENDS, (), external_data=False, credential_commands=False)
        set_here = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(safe, **{name: value for name, value in set_here.items() if value is not None})


GATEWAYS = ("run", "warm", "off")
SHARED = (
    "hashicorp/aws",
    "hashicorp/awscc",
    "hashicorp/azuread",
    "hashicorp/azurerm",
    "hashicorp/google",
    "hashicorp/google-beta",
    "hashicorp/null",
    "hashicorp/random",
    "hashicorp/time",
    "hashicorp/tls",
)
"""Providers that read files at most, and keep nothing in their process that is not in the state."""


@dataclass(frozen=True)
class Settings:
    """What a project decides once. But for tables each is also an `INFRA_ORCH_<NAME>` variable, and some are flags.

    In a variable, a list is parted by commas, and `redact`, whose patterns may hold commas, by lines.

    engine: `"terraform"`, `"tofu"`, `"embedded"`, or the path of a binary. Without it: `terraform` on PATH, else `tofu`
        on PATH, else the embedded one. 1.6 is the oldest that will do
    parallelism: units at work at once; 0: one per core
    commit: whether the records of applies and destroys are committed
    prune: whether plan and apply destroy units that left the spec
    provider_mirror: a folder that holds providers as a filesystem mirror of Terraform's
    provider_cache: where downloaded providers are kept
    lock_platforms: the platforms whose hashes the dependency lock files hold, such as `"linux_amd64"`; empty: this one
    lock_timeout: how long Terraform waits for a state that somebody else has locked
    patience: seconds that a running Terraform may take to end after an interrupt before it is killed
    gateway: whether commands share providers: within a run, `"warm"`: also between runs, or `"off"`
    gateway_skip: providers that every command starts itself, such as `"hashicorp/kubernetes"`
    gateway_shared: providers of which one process may serve several units: they write no files
    gateway_idle: how many provider processes may stay alive unused
    gateway_memory: MiB of memory of all provider processes beyond which unused ones are ended
    require_approvals: so many people have to approve what an apply is to do, besides those who changed it. Not in the
        sandbox
    signed_approvals: whether only approvals in commits whose signatures git verifies count
    host_approvals: whether reviews of the pull request at GitHub or GitLab count, too, for what its preview showed
    templates: a folder with templates that `new` makes stacks and modules of, in the place of the shipped ones
    redact: more regular expressions of what is never shown or recorded
    allow: what rendered files may have Terraform run and reach
    notify: who is told of what: tables `[[notify]]`. The one setting without a variable
    """

    engine: str | None = None
    parallelism: int = 0
    commit: bool = True
    prune: bool = False
    provider_mirror: str | None = None
    provider_cache: str | None = None
    lock_platforms: tuple[str, ...] = ()
    lock_timeout: str = "0s"
    patience: float = 120.0
    gateway: str = "run"
    gateway_skip: tuple[str, ...] = ()
    gateway_shared: tuple[str, ...] = SHARED
    gateway_idle: int = 8
    gateway_memory: int = 2048
    redact: tuple[str, ...] = ()
    require_approvals: int = 0
    signed_approvals: bool = False
    host_approvals: bool = False
    templates: str = "templates"
    allow: Allow = Allow()
    notify: tuple[Rule, ...] = ()

    @property
    def workers(self) -> int:
        """How many units are at work at once."""
        return self.parallelism or os.cpu_count() or 1


def load_settings(root: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of the project at *root*, over which those of *environment* win; the defaults for the rest.

    Raises UsageError for a file that cannot be read, an unknown setting, a value of the wrong type, and for settings
    in two files.
    """
    values: dict[str, Any] = {}
    tables = {name: _table(root / name, keys) for name, keys in _PLACES.items()}
    found = [name for name, table in tables.items() if table is not None]
    if len(found) > 1:
        raise UsageError(f"there are settings in {' and in '.join(found)}", hint="keep one of the two")
    for name in found:
        values |= _from_table(tables[name] or {}, Where(name))
    values["allow"] = replace(values.get("allow", Allow()), **_allow_from_environment(environment))
    return Settings(**(values | _from_environment(environment)))


def set_in_file(root: Path, name: str) -> Any:
    """What the project's file, as it lies there, says of a setting; None where it says nothing."""
    found = (_table(root / file, keys) for file, keys in _PLACES.items())
    return next((table[name] for table in found if isinstance(table, dict) and name in table), None)


_PLACES: Mapping[str, tuple[str, ...]] = {FILE: (), "pyproject.toml": ("tool", "infra-orch")}


def has_settings(folder: Path) -> bool:
    """Whether *folder* has a file with settings. Raises UsageError as load_settings() does."""
    return any(_table(folder / name, keys) is not None for name, keys in _PLACES.items())


def _table(path: Path, keys: tuple[str, ...]) -> Any:
    """The table of settings in a TOML file; None where the file or the table is not there."""
    try:
        text = path.read_text(encoding="utf-8")
        if keys and keys[-1] not in text:
            return None  # whatever else may be wrong with somebody's pyproject.toml
        table: Any = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        if isinstance(error, UnicodeDecodeError):
            hint = "save it with the encoding UTF-8"
            raise UsageError(
                f"{path.name} cannot be read: it is not UTF-8", hint=hint, where=Where(path.name)
            ) from error
        words = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path.name} cannot be read: {words}", where=Where(path.name)) from error
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def _from_table(table: Any, where: Where) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"[tool.infra-orch] = {table!r} is not a table", where=where)
    names = [field.name for field in fields(Settings)]
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in names:
            hint = nearest(name, names) or f"settings: {', '.join(names)}"
            raise UsageError(f'unknown setting "{key}"', where=where, hint=hint)
        shown = f"setting {key} = {value!r}"
        values[name] = _TABLES[name](value, where) if name in _TABLES else _checked(name, value, shown, where)
    return values


_ALLOW_KINDS: Mapping[str, type] = {
    field.name: bool if field.name in ("external_data", "credential_commands") else tuple for field in fields(Allow)
}


def _allow(table: Any, where: Where) -> Allow:
    """The table `allow` of a file. Raises UsageError for an unknown key, or a value of the wrong type."""
    if not isinstance(table, dict):
        raise UsageError(f"setting allow = {table!r} is not a table", where=where, hint='[allow]\nproviders = ["…"]')
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in _ALLOW_KINDS:
            hint = nearest(name, _ALLOW_KINDS) or f"keys of allow: {', '.join(_ALLOW_KINDS)}"
            raise UsageError(f'unknown setting "allow.{key}"', where=where, hint=hint)
        settled, wanted = _typed(value, _ALLOW_KINDS[name])
        if wanted:
            raise UsageError(f"setting allow.{key} = {value!r} is not {wanted}", where=where)
        values[name] = settled
    return Allow(**values)


_TABLES: Mapping[str, Callable[[Any, Where], Any]] = {"allow": _allow, "notify": rules_of}


def _allow_from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """What variables allow, by key. One that is misspelt is refused: what it was to forbid would be allowed."""
    prefix = f"{PREFIX}ALLOW_"
    values: dict[str, Any] = {}
    for variable in sorted(environment):
        name, text = variable.removeprefix(prefix).lower(), environment[variable].strip()
        if variable == prefix.rstrip("_") or (variable.startswith(prefix) and variable not in _NO_SETTINGS):
            if name not in _ALLOW_KINDS or variable != f"{prefix}{name.upper()}":
                known = ", ".join(f"{prefix}{key.upper()}" for key in _ALLOW_KINDS)
                raise UsageError(f"{variable} is no setting", hint=f"there are {known}")
            kind = _ALLOW_KINDS[name]
            value, wanted = _typed([] if kind is tuple and text == NONE else _parsed(text, kind, ","), kind)
            if text and wanted:
                raise UsageError(f"{variable}={text} is not {wanted}")
            if text:
                values[name] = value
    return values


_NO_SETTINGS = frozenset({f"{PREFIX}ALLOW_UNSEEN"})
"""Variables of flags that are called like a key of `allow`."""


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings among variables; an empty one counts as not set."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        if field.name in _TABLES:
            continue
        variable = f"{PREFIX}{field.name.upper()}"
        text = environment.get(variable, "").strip()
        if text:
            value = _parsed(text, type(field.default), "\n" if field.name == "redact" else ",")
            values[field.name] = _checked(field.name, value, f"{variable}={text}")
    return values


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _parsed(text: str, kind: type, separator: str) -> Any:
    """A variable's text as TOML would have the value; text that is no such value stays text, and is refused then."""
    if kind is tuple:
        return [part.strip() for part in text.split(separator) if part.strip()]
    if kind is bool:
        return _WORDS.get(text.lower(), text)
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text


def _checked(name: str, value: Any, shown: str, where: Where | None = None) -> Any:
    kind = type(next(field.default for field in fields(Settings) if field.name == name))
    settled, wanted = _typed(value, kind)
    if wanted:
        raise UsageError(f"{shown} is not {wanted}", where=where)
    if name == "lock_timeout" and not _DURATION.fullmatch(settled):
        raise UsageError(f"{shown} is not a time as Terraform writes it", where=where, hint="30s, 5m or 1h30m")
    if name == "gateway" and settled not in GATEWAYS:
        raise UsageError(f"{shown} is none of {', '.join(GATEWAYS)}", where=where, hint=nearest(settled, GATEWAYS))
    for platform in settled if name == "lock_platforms" else ():
        if not _PLATFORM.fullmatch(platform):
            raise UsageError(f'{shown}: "{platform}" is no platform', where=where, hint="linux_amd64, darwin_arm64, …")
    for pattern in settled if name == "redact" else ():
        try:
            fits_nothing = re.match(pattern, "")
        except re.error as error:
            raise UsageError(f'{shown}: "{pattern}" is no regular expression: {error}', where=where) from error
        if fits_nothing:
            raise UsageError(f'{shown}: "{pattern}" fits an empty text, and so every place of every text', where=where)
    return settled


def _typed(value: Any, kind: type) -> tuple[Any, str]:
    """*value* as a setting of *kind* has it, and nothing; or what is wanted instead."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is tuple:
        fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        return (tuple(value), "") if fits else ((), "a list of strings")
    if kind is float:
        return (float(value), "") if number and 0 < value < math.inf else (0.0, "a number above 0")
    if kind is int:
        return (value, "") if number and isinstance(value, int) and value >= 0 else (0, "a whole number, 0 or more")
    if kind is bool:
        return value, "" if isinstance(value, bool) else "true or false"
    return value, "" if isinstance(value, str) and value else "a string that is not empty"
