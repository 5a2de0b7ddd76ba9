"""Terraform's command lines: each function takes an engine and options, and returns a whole argv. Nothing is run here.

Terraform is started in the unit's folder, so no command has `-chdir`. No function can produce `-lock=false`: a state
that is not locked can be written by two at once. What a user names comes after `--`, so it is never taken for an
option. The options are those of `terraform COMMAND -help` since 1.6.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged, IsNotFlagged, Terraform

from infra_orch.engine.engine import Engine
from infra_orch.errors import UsageError

NO_STATE = f"{os.devnull}/none"
"""python-terraform reads a state file as soon as it is made; this one cannot exist."""

LOCK_OFF = re.compile(r"--?lock=(?!(1|t|T|true|TRUE|True)$).*")
"""What Go's flag package takes for `-lock=false`, and anything else that is not plainly true."""


@dataclass(frozen=True)
class PlanOptions:
    """How a plan is made; see `terraform plan -help`. *lock_timeout* is as Terraform writes it (`30s`)."""

    destroy: bool = False
    refresh: bool = True
    refresh_only: bool = False
    targets: Sequence[str] = ()
    replace: Sequence[str] = ()
    json: bool = True
    detailed_exit_code: bool = True
    lock_timeout: str | None = None
    parallelism: int | None = None


DEFAULT_PLAN = PlanOptions()


def init(
    engine: Engine,
    *,
    backend: bool = True,
    reconfigure: bool = False,
    migrate_state: bool = False,
    upgrade: bool = False,
    lockfile_readonly: bool = False,
) -> list[str]:
    """Download modules, install providers and, with *backend*, connect to the state.

    *migrate_state* copies the state from the backend of the last init to the one that is configured now, unasked.
    """
    return _argv(
        engine,
        "init",
        input=False,
        no_color=IsFlagged,
        backend=None if backend else False,
        reconfigure=_flag(reconfigure),
        migrate_state=_flag(migrate_state),
        force_copy=_flag(migrate_state),
        upgrade=_flag(upgrade),
        lockfile="readonly" if lockfile_readonly else None,
    )


def plan(engine: Engine, out: Path | str, options: PlanOptions = DEFAULT_PLAN) -> list[str]:
    """Plan into the file *out*. With `json` each line of the output is one JSON event, and errors are among them."""
    return _argv(
        engine,
        "plan",
        input=False,
        no_color=IsFlagged,
        json=_flag(options.json),
        detailed_exitcode=_flag(options.detailed_exit_code),
        destroy=_flag(options.destroy),
        refresh=None if options.refresh else False,
        refresh_only=_flag(options.refresh_only),
        target=list(options.targets),
        replace=list(options.replace),
        lock_timeout=options.lock_timeout,
        parallelism=options.parallelism,
        out=out,
    )


def apply(
    engine: Engine,
    plan_file: Path | str,
    *,
    json: bool = True,
    lock_timeout: str | None = None,
    parallelism: int | None = None,
) -> list[str]:
    """Do what a plan file says, and nothing else. With *json* each line of the output is one JSON event."""
    return _argv(
        engine,
        "apply",
        str(plan_file),
        input=False,
        no_color=IsFlagged,
        json=_flag(json),
        lock_timeout=lock_timeout,
        parallelism=parallelism,
    )


def show(engine: Engine, plan_file: Path | str | None = None, *, json: bool = True) -> list[str]:
    """Print a plan file, or the state where none is given: one JSON document, or Terraform's text."""
    arguments = [] if plan_file is None else [str(plan_file)]
    return _argv(engine, "show", *arguments, no_color=IsFlagged, json=_flag(json))


def output(engine: Engine, *, json: bool = True) -> list[str]:
    """Print every output of the state. The JSON form holds sensitive values in clear text."""
    return _argv(engine, "output", no_color=IsFlagged, json=_flag(json))


def validate(engine: Engine, *, json: bool = True) -> list[str]:
    """Check the configuration of an initialised folder."""
    return _argv(engine, "validate", no_color=IsFlagged, json=_flag(json))


def providers_schema(engine: Engine) -> list[str]:
    """Print the schemas of an initialised folder's providers as one JSON document."""
    return _argv(engine, "providers schema", json=IsFlagged)


def providers_lock(
    engine: Engine,
    platforms: Sequence[str],
    addresses: Sequence[str] = (),
    *,
    fs_mirror: Path | str | None = None,
    net_mirror: str | None = None,
) -> list[str]:
    """Write hashes for *platforms* (`linux_amd64`) into the lock file, of the providers *addresses* or of all.

    They come from the folder *fs_mirror*, the URL *net_mirror*, or else from the providers' registries.
    """
    return _argv(
        engine,
        "providers lock",
        *(("--", *addresses) if addresses else ()),
        no_color=IsFlagged,
        platform=list(platforms),
        fs_mirror=fs_mirror,
        net_mirror=net_mirror,
    )


def state_list(engine: Engine) -> list[str]:
    """Print the address of every resource instance in the state, one a line."""
    return _argv(engine, "state list")


def state_pull(engine: Engine) -> list[str]:
    """Print the whole state as JSON, sensitive values in clear text; nothing where there is no state."""
    return _argv(engine, "state pull")


def state_push(engine: Engine, file: Path | str, *, lock_timeout: str | None = None) -> list[str]:
    """Write *file* as the whole state; Terraform refuses one of another lineage or of a lower serial."""
    return _argv(engine, "state push", str(file), lock_timeout=lock_timeout)


def state_mv(engine: Engine, source: str, destination: str, *, lock_timeout: str | None = None) -> list[str]:
    """Move an address to another within the state."""
    return _argv(engine, "state mv", "--", source, destination, lock_timeout=lock_timeout)


def state_rm(engine: Engine, *addresses: str, lock_timeout: str | None = None) -> list[str]:
    """Forget *addresses*: the objects stay, the state no longer knows of them."""
    return _argv(engine, "state rm", "--", *addresses, lock_timeout=lock_timeout)


def take_lock(engine: Engine, *, lock_timeout: str | None = None) -> list[str]:
    """Take the lock of the state and give it back, and change nothing: whoever has it is named by the error.

    No resource has this address, which `untaint` may be told not to mind (tried with 1.6 to 1.15): it starts no
    provider, so it answers at once.
    """
    address = "terraform_data.infra_orch_takes_the_lock"
    return _argv(
        engine, "untaint", "--", address, allow_missing=IsFlagged, no_color=IsFlagged, lock_timeout=lock_timeout
    )


def force_unlock(engine: Engine, lock_id: str) -> list[str]:
    """Release a state lock that its holder left behind; asks nothing."""
    return _argv(engine, "force-unlock", "--", lock_id, no_color=IsFlagged, force=IsFlagged)


def fmt_check(engine: Engine, folder: Path | str) -> list[str]:
    """List the files under *folder* that are not in canonical form; the exit code is 3 where there is one."""
    return _argv(engine, "fmt", "--", str(folder), no_color=IsFlagged, check=IsFlagged, recursive=IsFlagged)


def version(engine: Engine) -> list[str]:
    """Print the versions of the engine and of the folder's providers as JSON."""
    return _argv(engine, "version", json=IsFlagged)


def raw(engine: Engine, arguments: Sequence[str]) -> list[str]:
    """Any command, as the user gave it. Raises UsageError for a `-lock` that is not on."""
    for argument in arguments:
        if LOCK_OFF.fullmatch(argument):
            raise UsageError(f'"{argument}" is refused: without its lock a state can be written by two at once')
    return [*engine.program, *arguments]


def _argv(engine: Engine, command: str, *arguments: str, **options: Any) -> list[str]:
    *begin, program = engine.program
    terraform = Terraform(terraform_bin_path=program, state=NO_STATE)
    return [*begin, *terraform.generate_cmd_string(command, *arguments, **options)]


def _flag(on: object) -> Any:
    return IsFlagged if on else IsNotFlagged
