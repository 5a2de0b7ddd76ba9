"""Dependency lock files that hold hashes for every platform of a team, and not only for the one that ran init.

    CACHE/registry/platforms/HOST/NAMESPACE/TYPE/VERSION    the platforms that are known here, then their hashes

What is known is put into the next unit's lock file without a download.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra_orch.engine import command, lock_file
from infra_orch.engine.mirror import packages_in
from infra_orch.engine.providers import ProviderCache, UnitToInit
from infra_orch.errors import InterruptedRun, UnavailableError
from infra_orch.files import write_atomically, write_if_different
from infra_orch.process import Program


def complete_lock(providers: ProviderCache, unit: UnitToInit, platforms: Sequence[str]) -> None:
    """Add hashes for *platforms* (`linux_amd64`) to the lock file of an initialised unit, where it has not got them.

    A lock file counts as whole that has as many hashes of unpacked packages (`h1:`) as there are platforms. Hashes come
    from where the provider comes from: its registry, a network mirror, or a filesystem mirror that has all platforms.
    Raises UnavailableError where they cannot be had, InterruptedRun when asked to stop, OSError where the disk is full.
    """
    wanted = {*platforms, providers.engine.platform}
    if not list(_incomplete(unit, wanted)):
        return
    with providers.locked(unit) as handle:
        _recall(providers, unit, wanted)
        missing = list(_incomplete(unit, wanted))
        for source in sorted({_source(providers, address, version, wanted) for address, version in missing}):
            addresses = [a for a, version in missing if _source(providers, a, version, wanted) == source]
            _ask(providers, unit, sorted(wanted), source, addresses, handle)
        _remember(providers, unit, wanted, missing)


def _incomplete(unit: UnitToInit, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """The providers of a unit, as (address, version), of whose hashes too few are locked."""
    for address, locked in lock_file.locked_providers(unit.lock()).items():
        if sum(entry.startswith("h1:") for entry in locked.hashes) < len(wanted):
            yield address, locked.version


def _source(providers: ProviderCache, address: str, version: str, wanted: set[str]) -> tuple[str, str]:
    """Where the hashes of a provider are to come from: ("fs", folder), ("net", URL) or ("", "") for its registry."""
    config = providers.config
    for method in config.methods or ():
        if method.kind == "dev_overrides" or not method.serves(address, config.default_host):
            continue
        if method.kind == "network_mirror":
            return "net", method.argument("url")
        if method.is_local and {(address, version, one) for one in wanted} <= packages_in(Path(method.path)):
            return "fs", method.path
    return "", ""


def _ask(
    providers: ProviderCache,
    unit: UnitToInit,
    platforms: Sequence[str],
    source: tuple[str, str],
    addresses: Sequence[str],
    handle: int,
) -> None:
    kind, place = source
    argv = command.providers_lock(
        providers.engine,
        platforms,
        addresses,
        fs_mirror=place if kind == "fs" else None,
        net_mirror=place if kind == "net" else None,
    )
    begin = unit.log.stat().st_size if unit.log.exists() else 0
    code = providers.supervisor.run(
        Program(argv, label=f"{unit.name}: hashes", cwd=unit.folder, env=unit.env, stdout=unit.log, inherit=[handle])
    )
    if code == 0:
        return
    if providers.supervisor.stopping:
        raise InterruptedRun(f"{unit.name}: stopped while hashes were fetched")
    with unit.log.open("rb") as log:
        log.seek(begin)
        said = " ".join(log.read().decode(errors="replace").split())
    reason = re.search(r"could not be installed: (?:- )?(.*)", said) or re.search(r"Error: (.*)", said)
    raise UnavailableError(
        f"hashes for {', '.join(platforms)} cannot be had: {reason[1] if reason else said}",
        hint="the setting lock_platforms asks for them; take a platform out that the provider is not made for",
    )


def _recall(providers: ProviderCache, unit: UnitToInit, wanted: set[str]) -> None:
    more: dict[str, frozenset[str]] = {}
    for address, version in _incomplete(unit, wanted):
        try:
            known, *hashes = _record(providers, address, version).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        if wanted <= set(known.split()):
            more[address] = frozenset(hashes)
    if more:
        write_atomically(unit.lock_path, lock_file.with_hashes(unit.lock(), more))


def _remember(providers: ProviderCache, unit: UnitToInit, wanted: set[str], fetched: Sequence[tuple[str, str]]) -> None:
    locked = lock_file.locked_providers(unit.lock())
    for address, version in fetched:
        lines = [" ".join(sorted(wanted)), *sorted(locked[address].hashes)]
        write_if_different(_record(providers, address, version), "\n".join(lines) + "\n", mode=0o600)


def _record(providers: ProviderCache, address: str, version: str) -> Path:
    return providers.config.store / "platforms" / address / version
