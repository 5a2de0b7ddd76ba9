"""The engines at the command line: each does the whole work, one may follow another, and what cannot be is said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from network_mirror import PLATFORM, NetworkMirror, package, serve

from infra_orch.engine.engine import find_engine
from infra_orch.engine.lock_file import locked_providers

if TYPE_CHECKING:
    from conftest import Desk

STAND_IN = str(Path(__file__).parents[1] / "stand_in_terraform.py")
TINY = "registry.terraform.io/acme/tiny"


def engine_of(desk: Desk) -> str:
    """The engine of the newest run."""
    return str(json.loads(desk.run("show", "last", "--json").out)["engine"]["name"])


@pytest.mark.parametrize("engine", ["terraform", "embedded"])
def test_an_engine_does_the_whole_work(two_units: Desk, engine: str) -> None:
    desk = two_units
    assert desk.run("apply", "dev", "--auto-approve", "--engine", engine).code == 0
    assert engine_of(desk) == engine
    assert desk.run("plan", "dev", "--detailed-exitcode", "--engine", engine).code == 0
    assert desk.run("destroy", "dev", "--auto-approve", "--engine", engine).code == 0
    assert desk.run("plan", "dev", "--detailed-exitcode", "--engine", engine).code == 2


def test_engines_take_over_from_one_another(two_units: Desk) -> None:
    desk = two_units
    newest, oldest = sorted(("terraform", "embedded"), key=lambda name: find_engine(name).version, reverse=True)
    assert desk.run("apply", "dev", "--auto-approve", "--engine", newest).code == 0
    for engine in (oldest, newest):
        again = desk.run("plan", "dev", "--detailed-exitcode", "--engine", engine)
        assert again.code == 0, again.out + again.err


def test_the_flag_wins_over_the_variable_and_that_over_the_setting(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = two_units.write({"infra-orch.toml": 'engine = "embedded"\n'})
    assert desk.run("plan", "dev").code == 0
    assert engine_of(desk) == "embedded"
    monkeypatch.setenv("INFRA_ORCH_ENGINE", "/nowhere/terraform")
    assert desk.run("plan", "dev").code == 69
    assert desk.run("plan", "dev", "--engine", "terraform").code == 0
    assert engine_of(desk) == "terraform"


def test_where_no_binary_is_on_path_the_embedded_engine_does_it(
    two_units: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin" / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    assert engine_of(two_units) == "embedded"


def test_a_module_that_asks_for_another_version_says_which(two_units: Desk) -> None:
    main = two_units.root / "modules/network/main.tf"
    main.write_text('terraform {\n  required_version = ">= 99.0"\n}\n\n' + main.read_text())
    refused = two_units.run("plan", "dev")
    assert refused.code == 1
    assert ">= 99.0" in refused.out + refused.err
    assert str(find_engine().version) in refused.out + refused.err
    assert "--engine" in refused.out + refused.err


def test_a_missing_cli_configuration_is_warned_of_once_and_survived(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/nowhere/terraformrc")
    done = two_units.run("apply", "dev", "--auto-approve")
    assert done.code == 0
    assert (done.out + done.err).count("/nowhere/terraformrc") == 1


@pytest.mark.parametrize("name", ["TF_CLI_ARGS", "TF_CLI_ARGS_apply", "TF_WORKSPACE"])
def test_variables_that_would_change_what_terraform_does_stop_the_run(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "-lock=false")
    refused = two_units.run("apply", "dev", "--auto-approve")
    assert refused.code == 64
    assert f"unset {name}" in refused.err
    assert not list(two_units.root.glob("stacks/dev/state/*.tfstate"))


@pytest.fixture
def locking(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkMirror]:
    """A stack of two units with the provider acme/tiny, which comes from a network mirror and cannot be started."""
    with serve(tmp_path, {TINY: {"1.0.0": package("tiny", "1.0.0")}}) as mirror:
        rc = tmp_path / "user.tfrc"
        rc.write_text(f'provider_installation {{\n  network_mirror {{\n    url = "{mirror.url}"\n  }}\n}}\n')
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(rc))
        monkeypatch.setenv("SSL_CERT_FILE", str(mirror.certificate))
        desk.write({
            "modules/tiny/main.tf": """
                terraform {
                  required_providers {
                    tiny = { source = "acme/tiny" }
                  }
                }
            """,
            "stacks/dev/stack.py": """
                from infra_orch import Stack

                stack = Stack("dev")
                for name in ("one", "two"):
                    stack.unit(name, module="tiny")
            """,
        })  # fmt: skip
        desk.commit()
        yield mirror


def locked(desk: Desk, unit: str) -> tuple[str, int]:
    """The version of acme/tiny in a unit's lock file, and how many platforms it has hashes for."""
    text = (desk.root / f"stacks/dev/rendered/{unit}/.terraform.lock.hcl").read_text()
    tiny = locked_providers(text)[TINY]
    return tiny.version, sum(one.startswith("h1:") for one in tiny.hashes)


def test_lock_files_hold_hashes_for_every_platform_of_the_team(desk: Desk, locking: NetworkMirror) -> None:
    team = sorted({PLATFORM, "linux_amd64", "darwin_arm64", "windows_amd64"})
    locking.platforms = tuple(team)
    desk.write({"infra-orch.toml": f"lock_platforms = {json.dumps(team)}\n"})
    desk.run("plan", "dev")
    assert locked(desk, "one") == locked(desk, "two") == ("1.0.0", len(team))
    before = locking.downloads()
    shutil.rmtree(desk.root / ".infra-orch")
    desk.run("plan", "dev")
    assert locking.downloads() == before


def test_a_platform_that_a_provider_is_not_made_for_is_named(desk: Desk, locking: NetworkMirror) -> None:
    desk.write({"infra-orch.toml": f'lock_platforms = ["{PLATFORM}", "plan9_arm"]\n'})
    refused = desk.run("plan", "dev")
    assert refused.code == 1
    assert "plan9_arm" in refused.out + refused.err
    assert "lock_platforms" in refused.out + refused.err


def test_the_locked_version_stays_on_another_machine(desk: Desk, locking: NetworkMirror) -> None:
    desk.run("plan", "dev")
    desk.commit()
    locking.versions[TINY]["1.1.0"] = package("tiny", "1.1.0")
    shutil.rmtree(desk.root / ".infra-orch")
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    desk.run("plan", "dev")
    assert [locked(desk, unit)[0] for unit in ("one", "two")] == ["1.0.0", "1.0.0"]
    assert desk.git("status", "--porcelain") == ""


def test_a_lock_file_that_was_taken_away_lets_the_provider_be_chosen_anew(desk: Desk, locking: NetworkMirror) -> None:
    desk.run("plan", "dev")
    locking.versions[TINY]["1.1.0"] = package("tiny", "1.1.0")
    (desk.root / "stacks/dev/rendered/one/.terraform.lock.hcl").unlink()
    desk.run("plan", "dev")
    assert [locked(desk, unit)[0] for unit in ("one", "two")] == ["1.1.0", "1.0.0"]


def test_a_package_that_is_not_the_locked_one_is_refused(desk: Desk, locking: NetworkMirror) -> None:
    desk.run("plan", "dev")
    desk.commit()
    locking.versions[TINY]["1.0.0"] = package("evil", "1.0.0")
    shutil.rmtree(desk.root / ".infra-orch")
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    refused = desk.run("plan", "dev")
    assert refused.code == 1
    assert "checksum" in refused.out + refused.err
    assert desk.git("status", "--porcelain") == ""


def test_a_run_from_committed_files_adds_none_to_them(
    desk: Desk, locking: NetworkMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFRA_ORCH_ALLOW_PROVIDERS", "acme/*")
    desk.run("render", "dev")
    desk.commit()
    desk.run("plan", "dev", "--from-rendered")
    assert locking.downloads()
    assert desk.git("status", "--porcelain", "--untracked-files=all") == ""
