"""The provider cache: every provider version is downloaded once, whatever the number of units, runs and processes.

    CACHE/registry/mirror/HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/     what units install from, by a link; never overwritten
    CACHE/registry/hashes/HOST/NAMESPACE/TYPE/VERSION              the hashes that the registry vouched for
    CACHE/registry/incoming/…                                      a fill under way, or one that was killed
    CACHE/registry/lock                                            held while a fill is under way

Terraform's own plugin cache is not safe under parallel init (hashicorp/terraform#31964), so it is used here by one init
at a time, in an empty folder, and only what a successful init left there is moved on, by a rename.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.engine import command, lock_file
from infra_orch.engine.cli_config import CliConfig
from infra_orch.engine.engine import Engine
from infra_orch.engine.mirror import home, packages_in
from infra_orch.errors import InterruptedRun, UnavailableError, UserError
from infra_orch.files import private_folder, with_home, write_atomically, write_if_different
from infra_orch.process import Program, Supervisor

POLL_SECONDS = 0.05
UNREACHABLE = re.compile(
    r"Failed to query available provider packages|Failed to install provider|Invalid provider registry host"
)
"""Errors of `terraform init` that every unit with the same requirements would meet."""

CHANGED = re.compile(r"match any of the checksums")
CHANGED_HINT = (
    "what comes now is not what was locked: find out why; to trust it, remove the unit's .terraform.lock.hcl "
    "beside its rendered files"
)
REACH_HINT = "check the network, or name a folder of providers: INFRA_ORCH_PROVIDER_MIRROR=DIR"


@dataclass(frozen=True)
class UnitToInit:
    """A unit that is about to init.

    folder: where its files are; its lock file is read and, unless *lockfile_readonly*, written there.
    required: version constraints by source address (`{"hashicorp/aws": "~> 5.0"}`), those of its modules included.
    env: the environment of its Terraform. log: the file that Terraform's output is added to.
    """

    name: str
    folder: Path
    required: Mapping[str, str]
    env: Mapping[str, str]
    log: Path
    upgrade: bool = False
    lockfile_readonly: bool = False

    @property
    def lock_path(self) -> Path:
        """The dependency lock file."""
        return self.folder / lock_file.NAME

    def lock(self) -> str:
        """The text of the dependency lock file; empty where there is none."""
        try:
            return self.lock_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""


def provider_cache_folder(base_env: Mapping[str, str], setting: str | None, fallback: Path) -> Path:
    """Where the provider cache lies: *setting*, or `infra-orch/providers` in the user's cache folder, or *fallback*."""
    if setting:
        return with_home(setting).absolute()
    own = home(base_env)
    if (xdg := base_env.get("XDG_CACHE_HOME", "")).startswith("/"):
        caches = Path(xdg)
    elif own and own.is_dir():
        caches = own / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    else:
        return fallback
    return caches / "infra-orch" / "providers"


@dataclass
class ProviderCache:
    """Fills the cache for units that are about to init. Safe to use from many threads and processes."""

    engine: Engine
    config: CliConfig
    supervisor: Supervisor
    _results: dict[object, str | UserError] = field(default_factory=dict, init=False)
    _settled: frozenset[str] = field(default=frozenset(), init=False)
    _writing: threading.Lock = field(default_factory=threading.Lock, init=False)

    def prepare(self, unit: UnitToInit) -> bool:
        """See to it that *unit*'s init finds its providers in the cache or a mirror; returns whether Terraform was run.

        Where something is missing, one `init -backend=false` for the unit downloads it, with a data folder of its own,
        and leaves the unit's lock file behind as its own init would, with the registry's hashes. Units with the same
        requirements and lock file get a copy of that lock file, so that all select the same versions.

        Raises UnavailableError where a provider cannot be had (again, at once, for each unit that needs the same),
        UserError where the init fails otherwise or the cache cannot be written, InterruptedRun when asked to stop.
        """
        needed = [address for address in map(self._address, unit.required) if self._is_downloaded(address)]
        if not needed:
            return False
        try:
            filled = self._ensure(unit, needed)
            with self._writing:
                # Also where another process filled it since the configuration files were written.
                if filled or not self._settled.issuperset(needed):
                    self._settled = self._settled.union(needed)
                    self.config.write(self._settled)
        except OSError as error:
            raise UserError(
                f"the provider cache {self.config.store} cannot be filled: {error}",
                hint="free some space, or name another folder: INFRA_ORCH_PROVIDER_CACHE=FOLDER",
            ) from error
        return filled

    def _ensure(self, unit: UnitToInit, needed: list[str]) -> bool:
        if not unit.upgrade and self._holds(needed, unit.lock()):
            return False
        key = (tuple(sorted(unit.required.items())), unit.lock(), unit.upgrade, unit.lockfile_readonly)
        with self.locked(unit) as handle:
            known = self._results.get(key)
            if isinstance(known, UserError):
                raise known
            if known is not None:
                write_if_different(unit.lock_path, known)
                return False
            if not unit.upgrade and self._holds(needed, unit.lock()):
                return False
            try:
                self._results[key] = self._fill(unit, handle)
            except UnavailableError as error:
                self._results[key] = error
                raise
        return True

    def _holds(self, needed: list[str], lock: str) -> bool:
        """Whether every needed provider is locked to a version that is on this machine already."""
        locked = lock_file.locked_providers(lock)
        if any(address not in locked for address in needed):
            return False
        wanted = {(address, locked[address].version, self.engine.platform) for address in needed}
        wanted = {package for package in wanted if not self.config.cached.joinpath(*package).is_dir()}
        return all(any(package in packages_in(mirror) for mirror in self.config.local_mirrors()) for package in wanted)

    def _fill(self, unit: UnitToInit, handle: int) -> str:
        incoming = self.config.store / "incoming"
        # Whoever holds the lock is alone: the child of a killed run holds it on until it ends. So this is left over.
        shutil.rmtree(incoming, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=private_folder(incoming)))
        before = lock_file.locked_providers(unit.lock())
        begin = unit.log.stat().st_size if unit.log.exists() else 0
        try:
            with self._writing:
                self.config.write(self._settled)
            if self._init(unit, work, handle):
                raise self._error(unit, begin)
            self._publish(work / "providers")
            return self._with_known_hashes(unit, before)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _init(self, unit: UnitToInit, work: Path, handle: int) -> int:
        packages = private_folder(work / "providers")
        env = {
            **unit.env,
            "TF_CLI_CONFIG_FILE": str(self.config.fill_file),
            "TF_PLUGIN_CACHE_DIR": str(packages),
            "TF_DATA_DIR": str(work / "data"),
        }
        argv = command.init(self.engine, backend=False, upgrade=unit.upgrade, lockfile_readonly=unit.lockfile_readonly)
        label = f"{unit.name}: providers"
        return self.supervisor.run(Program(argv, label, unit.folder, env, stdout=unit.log, inherit=[handle]))

    def _publish(self, packages: Path) -> None:
        """Move what was downloaded into the cache; a link leads to what a mirror or the cache had already."""
        for package in packages.glob("*/*/*/*/*"):
            target = self.config.cached / package.relative_to(packages)
            if package.is_symlink() or target.exists():
                continue
            for file in package.rglob("*"):
                if file.is_file():
                    _flush(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            package.rename(target)

    def _with_known_hashes(self, unit: UnitToInit, before: Mapping[str, lock_file.Locked]) -> str:
        """Complete the unit's lock file with hashes that the registry gave earlier for the same versions.

        An init that finds a package in the cache learns no hash of it but the one for this platform.
        """
        text = unit.lock()
        more: dict[str, frozenset[str]] = {}
        for address, locked in lock_file.locked_providers(text).items():
            # The hashes of a provider that was locked before came with the unit: nobody vouches for them elsewhere.
            if address in before or not self._is_downloaded(address):
                continue
            record = self.config.store / "hashes" / address / locked.version
            known = frozenset(record.read_text(encoding="utf-8").split()) if record.exists() else frozenset()
            more[address] = known
            write_if_different(record, "\n".join(sorted(known | locked.hashes)) + "\n", mode=0o600)
        if not unit.lockfile_readonly and (whole := lock_file.with_hashes(text, more)) != text:
            write_atomically(unit.lock_path, whole)
            return whole
        return text

    def _error(self, unit: UnitToInit, begin: int) -> UserError:
        if self.supervisor.stopping:
            return InterruptedRun(f"{unit.name}: stopped while its providers were downloaded")
        with unit.log.open("rb") as log:
            log.seek(begin)
            said = log.read().decode(errors="replace")
        first = re.search(r"^Error: (?P<summary>.+)\n+(?P<detail>(?:.+\n)*)", said, re.MULTILINE)
        reason = f"{first['summary']}: {' '.join(first['detail'].split())}".rstrip(": ") if first else "init failed"
        kind = UnavailableError if UNREACHABLE.search(said) else UserError
        hint = CHANGED_HINT if CHANGED.search(reason) else REACH_HINT
        # Units that need the same get this error too, and their own logs say nothing of it.
        return kind(f"providers cannot be installed: {reason}", hint=f"{hint}; the whole output is in {unit.log}")

    def _is_downloaded(self, address: str) -> bool:
        # The provider `terraform` is part of Terraform.
        return not address.startswith("terraform.io/builtin/") and self.config.is_downloaded(address)

    def _address(self, source: str) -> str:
        """`aws` and `hashicorp/aws` in full, as Terraform reads them."""
        parts = source.split("/")
        return "/".join([*(self.config.default_host, "hashicorp")[: 3 - len(parts)], *parts])

    @contextlib.contextmanager
    def locked(self, unit: UnitToInit) -> Iterator[int]:
        """Hold the cache's lock, across threads and processes; yields its file descriptor."""
        handle = os.open(private_folder(self.config.store) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self.supervisor.wait_for_stop(POLL_SECONDS):
                        message = f"{unit.name}: stopped while it waited for the provider cache"
                        raise InterruptedRun(message) from None
            yield handle
        finally:
            os.close(handle)


def _flush(file: Path) -> None:
    """Make a file's content last through a power cut: after the rename nobody would look at it again."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
