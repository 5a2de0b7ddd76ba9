"""A package is what the lock file says, or it is left to Terraform."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rough_client import ADDRESS, copied, happened, initialised, mirrored

from infra_orch.gateway import provider as provider_module
from infra_orch.gateway.package import Packages, UnfitError, providers_of
from infra_orch.process import lives


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provider mirror, and a unit that Terraform initialised from it."""
    folder = tmp_path_factory.mktemp("site")
    mirrored(folder / "mirror")
    initialised(folder / "unit", folder / "mirror")
    return folder


@pytest.fixture
def unit(site: Path, tmp_path: Path) -> Path:
    """That unit, and its mirror, to be changed."""
    shutil.copytree(site / "mirror", tmp_path / "mirror")
    unit = copied(site / "unit", tmp_path / "unit")
    for link in (unit / ".terraform/providers").rglob("*"):
        if link.is_symlink():
            inside = link.readlink().relative_to(site / "mirror")
            link.unlink()
            link.symlink_to(tmp_path / "mirror" / inside)
    return unit


def program(unit: Path) -> Path:
    (found,) = (unit.parent / "mirror").rglob("terraform-provider-*")
    return found


def test_the_hash_of_a_package_is_the_one_that_terraform_wrote_into_the_lock_file(unit: Path) -> None:
    package = Packages().of(unit, ADDRESS)
    assert package.h1 in re.findall(r'"(h1:[^"]+)"', (unit / ".terraform.lock.hcl").read_text())
    assert (package.version, package.program) == ("1.0.0", program(unit).resolve())
    assert providers_of(unit) == [ADDRESS]


def test_a_package_that_changed_since_is_hashed_anew_and_refused(unit: Path) -> None:
    packages = Packages()
    packages.of(unit, ADDRESS)
    path = program(unit)
    known, text = path.stat(), path.read_text()
    path.write_text(text.replace("panic", "peace"))
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    with pytest.raises(UnfitError, match="not the one that the dependency lock file names"):
        packages.of(unit, ADDRESS)


def test_a_file_more_or_less_in_a_package_is_refused(unit: Path) -> None:
    packages = Packages()
    packages.of(unit, ADDRESS)
    (program(unit).parent / "more").touch()
    with pytest.raises(UnfitError, match="not the one"):
        packages.of(unit, ADDRESS)


def break_lock_file(unit: Path) -> None:
    (unit / ".terraform.lock.hcl").write_bytes(b"\xff")


def forget_provider(unit: Path) -> None:
    (unit / ".terraform.lock.hcl").write_text("# This file is maintained automatically.\n")


def forget_hashes(unit: Path) -> None:
    path = unit / ".terraform.lock.hcl"
    path.write_text(re.sub(r"  hashes = \[.*?\]\n", "", path.read_text(), flags=re.DOTALL))


def remove_program(unit: Path) -> None:
    program(unit).unlink()


def disable_program(unit: Path) -> None:
    program(unit).chmod(0o644)


def remove_packages(unit: Path) -> None:
    shutil.rmtree(unit / ".terraform")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (break_lock_file, "there is no dependency lock file"),
        (forget_provider, "it is not in the dependency lock file"),
        (forget_hashes, "not the one that the dependency lock file names"),
        (remove_program, "there is no program terraform-provider-rough"),
        (disable_program, "there is no program terraform-provider-rough"),
        (remove_packages, "version 1.0.0 is not installed"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_folder_that_is_not_as_init_left_it_is_left_to_terraform(unit: Path, harm: Any, said: str) -> None:
    harm(unit)
    with pytest.raises(UnfitError, match=said):
        Packages().of(unit, ADDRESS)


def test_a_provider_that_never_shakes_hands_is_given_up_and_ended(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module.Provider.shake_hands, "__defaults__", (0.5,))
    environment = {"PATH": os.environ["PATH"], "ROUGH": '{"silent": true}', "ROUGH_FOLDER": str(tmp_path)}
    with pytest.raises(UnfitError, match=re.escape("it did not begin to answer within 0.5 s")):
        asyncio.run(provider_module.start(Packages().of(unit, ADDRESS), environment, unit, tmp_path))
    assert not any(lives(line["pid"]) for line in happened(tmp_path / "provider.log", "started"))
