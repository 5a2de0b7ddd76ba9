"""Where providers come from on this machine without a download: folders laid out as a Terraform filesystem mirror.

The layouts are those of developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror:

    unpacked    HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/terraform-provider-…
    packed      HOST/NAMESPACE/TYPE/terraform-provider-TYPE_VERSION_OS_ARCH.zip
"""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra_orch.errors import UsageError
from infra_orch.files import with_home

VARIABLE = "INFRA_ORCH_PROVIDER_MIRROR"
OPT = Path("/opt")
PACKED = re.compile(r"terraform-provider-(?P<type>[^_]+)_(?P<version>[^_]+)_(?P<platform>[a-z0-9]+_[a-z0-9]+)\.zip")

Package = tuple[str, str, str]
"""A provider package: (source address `host/namespace/type`, version `5.100.0`, platform `linux_amd64`)."""


def find_mirrors(base_env: Mapping[str, str], setting: str | None = None, *, opt: Path = OPT) -> tuple[Path, ...]:
    """Find the provider mirrors of this machine, in the order in which Terraform is to look at them.

    First what INFRA_ORCH_PROVIDER_MIRROR or else *setting* names, then Terraform's implied local mirrors that hold a
    provider (they stop being implied as soon as a CLI configuration names any); where there is none of these, a folder
    one level under *opt* that holds a `registry.terraform.io` tree. Raises UsageError where a named folder is missing.
    """
    found: list[Path] = []
    if named := base_env.get(VARIABLE) or setting:
        source = VARIABLE if base_env.get(VARIABLE) else "provider_mirror"
        folder = with_home(named).absolute()
        if not folder.is_dir():
            raise UsageError(
                f'{source} names "{named}", which is not a folder', hint="name the folder above registry.terraform.io/"
            )
        found.append(folder)
    found += [folder for folder in _implied(base_env) if folder not in found and packages_in(folder)]
    if not found:
        trees = (folder for folder in _folders(opt) if (folder / "registry.terraform.io").is_dir())
        found += [folder for folder in trees if packages_in(folder)][:1]
    return tuple(found)


def find_mirror(base_env: Mapping[str, str], setting: str | None = None, *, opt: Path = OPT) -> Path | None:
    """The first of `find_mirrors`, or None."""
    return next(iter(find_mirrors(base_env, setting, opt=opt)), None)


def packages_in(mirror: Path) -> frozenset[Package]:
    """What a mirror holds, in both layouts; nothing where it cannot be read."""
    found: set[Package] = set()
    for host in _folders(mirror):
        for provider in (path for namespace in _folders(host) for path in _folders(namespace)):
            address = f"{host.name}/{provider.parent.name}/{provider.name}"
            found |= {
                (address, version.name, platform.name)
                for version in _folders(provider)
                for platform in _folders(version)
            }
            archives = (PACKED.fullmatch(entry.name) for entry in _entries(provider))
            found |= {(address, archive["version"], archive["platform"]) for archive in archives if archive}
    return frozenset(found)


def providers_in(mirror: Path) -> frozenset[str]:
    """The source addresses (`host/namespace/type`) of which a mirror holds at least one version."""
    return frozenset(address for address, _, _ in packages_in(mirror))


def home(base_env: Mapping[str, str]) -> Path | None:
    """The user's home as Terraform finds it: HOME, or else what the system's user database says; None: neither does."""
    if base_env.get("HOME"):
        return Path(base_env["HOME"])
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _implied(base_env: Mapping[str, str]) -> Iterator[Path]:
    """The implied local mirror folders of developer.hashicorp.com/terraform/cli/config/config-file.

    Left out is `terraform.d/plugins` of the working folder: that is a folder which we render.
    """
    own = home(base_env)
    if own:
        yield own / ".terraform.d/plugins"
    if sys.platform == "darwin":
        library = "Library/Application Support/io.hashicorp.terraform/plugins"
        if own:
            yield own / library
        yield Path("/", library)
        return
    shared = base_env.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    data = base_env.get("XDG_DATA_HOME") or (str(own / ".local/share") if own else "")
    for folder in (data, *shared.split(":")):
        # The XDG base directory specification: a path that is not absolute is to be ignored.
        if folder.startswith("/"):
            yield Path(folder, "terraform/plugins")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith(".")]
