"""Provider mirrors of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra_orch.engine.mirror import find_mirror, find_mirrors, packages_in, providers_in
from infra_orch.errors import UsageError

AWS = "registry.terraform.io/hashicorp/aws"
linux = pytest.mark.skipif(sys.platform == "darwin", reason="the XDG folders are not used on macOS")


def mirror(folder: Path, address: str = AWS, version: str = "5.100.0") -> Path:
    """A folder with one unpacked package."""
    package = folder / address / version / "linux_amd64"
    package.mkdir(parents=True)
    (package / "terraform-provider-x").touch()
    return folder


def find(env: dict[str, str], setting: str | None = None, *, opt: Path = Path("/nowhere")) -> tuple[Path, ...]:
    return find_mirrors(env, setting, opt=opt)


def test_both_layouts_are_read(tmp_path: Path) -> None:
    mirror(tmp_path)
    packed = tmp_path / "example.com" / "acme" / "tiny"
    packed.mkdir(parents=True)
    (packed / "terraform-provider-tiny_1.2.0-beta1_darwin_arm64.zip").touch()
    (packed / "index.json").touch()
    assert packages_in(tmp_path) == {
        (AWS, "5.100.0", "linux_amd64"),
        ("example.com/acme/tiny", "1.2.0-beta1", "darwin_arm64"),
    }
    assert providers_in(tmp_path) == {AWS, "example.com/acme/tiny"}


def test_what_is_no_mirror_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "registry.terraform.io" / "hashicorp" / "aws").mkdir(parents=True)
    assert [packages_in(folder) for folder in (tmp_path, tmp_path / "gone", tmp_path / "file")] == [frozenset()] * 3


def test_a_package_may_be_a_link(tmp_path: Path) -> None:
    mirror(tmp_path / "real")
    version = tmp_path / "linked" / AWS / "5.100.0"
    version.mkdir(parents=True)
    (version / "linux_amd64").symlink_to(tmp_path / "real" / AWS / "5.100.0" / "linux_amd64")
    assert packages_in(tmp_path / "linked") == packages_in(tmp_path / "real")


def test_the_variable_wins_over_the_setting_and_over_what_is_found(tmp_path: Path, base_env: dict[str, str]) -> None:
    named, setting, opt = mirror(tmp_path / "named"), mirror(tmp_path / "setting"), tmp_path / "opt"
    mirror(opt / "plugins")
    found = [find(base_env, opt=opt), find(base_env, str(setting), opt=opt)]
    found.append(find({**base_env, "INFRA_ORCH_PROVIDER_MIRROR": str(named)}, str(setting), opt=opt))
    assert found == [(opt / "plugins",), (setting,), (named,)]


@pytest.mark.parametrize("source", ["INFRA_ORCH_PROVIDER_MIRROR", "provider_mirror"])
def test_a_named_folder_must_exist(source: str, base_env: dict[str, str]) -> None:
    variable = {source: "/no/such"} if source.isupper() else {}
    with pytest.raises(UsageError, match=f'{source} names "/no/such"'):
        find({**base_env, **variable}, None if variable else "/no/such")


def test_implied_mirrors_are_kept_beside_a_named_one(tmp_path: Path, base_env: dict[str, str]) -> None:
    implied = mirror(Path(base_env["HOME"]) / ".terraform.d/plugins", "registry.terraform.io/acme/tiny")
    named = mirror(tmp_path / "named")
    assert find(base_env, str(named)) == (named, implied)


@linux
def test_implied_mirrors_come_in_terraforms_order(tmp_path: Path, base_env: dict[str, str]) -> None:
    env = {
        **base_env,
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_DATA_DIRS": f"{tmp_path / 'a'}:relative:{tmp_path / 'b'}",
    }
    expected = [
        Path(env["HOME"]) / ".terraform.d/plugins",
        *(tmp_path / name / "terraform/plugins" for name in ("data", "a", "b")),
    ]
    for folder in expected:
        mirror(folder)
    assert find(env) == tuple(expected)


def test_empty_implied_folders_do_not_count(base_env: dict[str, str]) -> None:
    (Path(base_env["HOME"]) / ".terraform.d/plugins/registry.terraform.io").mkdir(parents=True)
    assert (find(base_env), find_mirror(base_env, opt=Path("/nowhere"))) == ((), None)


def test_opt_is_looked_at_one_level_deep(tmp_path: Path, base_env: dict[str, str]) -> None:
    mirror(tmp_path / "too" / "deep")
    (tmp_path / "empty" / "registry.terraform.io").mkdir(parents=True)
    mirror(tmp_path / "tf-plugins")
    assert find_mirror(base_env, opt=tmp_path) == tmp_path / "tf-plugins"


def test_no_home_is_no_reason_to_fail(base_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert find({"XDG_DATA_DIRS": "/nowhere"}) == ()
