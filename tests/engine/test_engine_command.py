"""The whole argv of every command: with defaults, with everything overridden, and accepted by the real Terraform."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra_orch.engine import command
from infra_orch.engine.command import PlanOptions
from infra_orch.engine.engine import Engine, Version
from infra_orch.errors import UsageError

ENGINE = Engine("terraform", ("/bin/terraform",), Version(1, 11, 4))
ALL_OF_PLAN = PlanOptions(
    destroy=True,
    refresh=False,
    refresh_only=True,
    targets=["module.a", "module.b[x y]"],
    replace=["aws_vpc.c"],
    json=False,
    detailed_exit_code=False,
    lock_timeout="30s",
    parallelism=3,
)
CASES: list[tuple[list[str], str]] = [
    (command.init(ENGINE), "init -input=false -no-color"),
    (
        command.init(ENGINE, backend=False, reconfigure=True, upgrade=True, lockfile_readonly=True),
        "init -input=false -no-color -backend=false -reconfigure -upgrade -lockfile=readonly",
    ),
    (command.plan(ENGINE, "p"), "plan -input=false -no-color -json -detailed-exitcode -out=p"),
    (
        command.plan(ENGINE, Path("p"), ALL_OF_PLAN),
        "plan -input=false -no-color -destroy -refresh=false -refresh-only -target=module.a -target=module.b[x\N{NO-BREAK SPACE}y] -replace=aws_vpc.c -lock-timeout=30s -parallelism=3 -out=p",
    ),
    (command.apply(ENGINE, "p"), "apply -input=false -no-color -json p"),
    (
        command.apply(ENGINE, Path("p"), json=False, lock_timeout="1m", parallelism=2),
        "apply -input=false -no-color -lock-timeout=1m -parallelism=2 p",
    ),
    (command.show(ENGINE), "show -no-color -json"),
    (command.show(ENGINE, Path("p"), json=False), "show -no-color p"),
    (command.output(ENGINE), "output -no-color -json"),
    (command.output(ENGINE, json=False), "output -no-color"),
    (command.validate(ENGINE), "validate -no-color -json"),
    (command.validate(ENGINE, json=False), "validate -no-color"),
    (command.providers_schema(ENGINE), "providers schema -json"),
    (command.providers_lock(ENGINE, ["linux_amd64"]), "providers lock -no-color -platform=linux_amd64"),
    (
        command.providers_lock(ENGINE, ["linux_amd64", "darwin_arm64"], fs_mirror=Path("/m")),
        "providers lock -no-color -platform=linux_amd64 -platform=darwin_arm64 -fs-mirror=/m",
    ),
    (
        command.providers_lock(ENGINE, ["linux_amd64"], ["host/acme/tiny"], net_mirror="https://m/"),
        "providers lock -no-color -platform=linux_amd64 -net-mirror=https://m/ -- host/acme/tiny",
    ),
    (command.state_list(ENGINE), "state list"),
    (command.state_pull(ENGINE), "state pull"),
    (command.state_mv(ENGINE, "a.b", "c.d"), "state mv -- a.b c.d"),
    (command.state_mv(ENGINE, "-a", "c.d", lock_timeout="5s"), "state mv -lock-timeout=5s -- -a c.d"),
    (command.state_rm(ENGINE, "a.b", "c.d"), "state rm -- a.b c.d"),
    (command.state_rm(ENGINE, "a.b", lock_timeout="5s"), "state rm -lock-timeout=5s -- a.b"),
    (command.force_unlock(ENGINE, "-id"), "force-unlock -no-color -force -- -id"),
    (command.fmt_check(ENGINE, Path("f")), "fmt -no-color -check -recursive -- f"),
    (command.version(ENGINE), "version -json"),
    (command.raw(ENGINE, ["taint", "a.b"]), "taint a.b"),
]


@pytest.mark.parametrize(("argv", "expected"), CASES, ids=[" ".join(argv[1:4]) for argv, _ in CASES])
def test_the_whole_argv(argv: list[str], expected: str) -> None:
    words = [word.replace("\N{NO-BREAK SPACE}", " ") for word in expected.split(" ")]
    assert argv == ["/bin/terraform", *words]


def test_a_program_of_several_words_comes_first() -> None:
    embedded = Engine("embedded", ("/my python/bin/python", "-P", "/x y/embedded.py"), Version(1, 15))
    assert command.version(embedded) == ["/my python/bin/python", "-P", "/x y/embedded.py", "version", "-json"]


def test_no_state_file_of_the_working_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """python-terraform loads one as soon as it is made, and this one would make it fail."""
    (tmp_path / "terraform.tfstate").write_text("not JSON")
    monkeypatch.chdir(tmp_path)
    assert command.state_list(ENGINE)[1:] == ["state", "list"]


@pytest.mark.parametrize("argument", ["-lock=false", "--lock=false", "-lock=0", "-lock=F", "-lock=", "-lock=no"])
def test_the_state_lock_cannot_be_turned_off(argument: str) -> None:
    with pytest.raises(UsageError, match=argument):
        command.raw(ENGINE, ["plan", argument])


@pytest.mark.parametrize("argument", ["-lock=true", "-lock-timeout=5s", "-lockfile=readonly", "-block=false"])
def test_other_options_pass(argument: str) -> None:
    assert command.raw(ENGINE, ["plan", argument])[2:] == [argument]


@pytest.fixture
def run(terraform: Engine, tmp_path: Path, base_env: dict[str, str]) -> Callable[[list[str]], tuple[int, str]]:
    """Run an argv in a folder with one resource of the built-in provider; returns exit code and standard output."""
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "main.tf").write_text('resource "terraform_data" "a" {}\n')

    def run(argv: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            argv,
            cwd=tmp_path / "unit",
            env=base_env,
            capture_output=True,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout

    return run


def test_terraform_takes_every_command(
    terraform: Engine, run: Callable[[list[str]], tuple[int, str]], tmp_path: Path
) -> None:
    everything = PlanOptions(
        targets=["terraform_data.a"], replace=["terraform_data.a"], refresh=False, lock_timeout="1s", parallelism=1
    )
    codes = [
        run(argv)[0]
        for argv in (
            command.init(terraform, reconfigure=True, upgrade=True),
            command.init(terraform, backend=False, lockfile_readonly=True),
            command.plan(terraform, "p"),
            command.show(terraform, "p"),
            command.show(terraform, "p", json=False),
            command.apply(terraform, "p", lock_timeout="1s", parallelism=1),
            command.plan(terraform, "all", everything),
            command.plan(terraform, "refresh", PlanOptions(refresh_only=True)),
            command.plan(terraform, "destroy", PlanOptions(destroy=True, json=False, detailed_exit_code=False)),
            command.show(terraform),
            command.output(terraform),
            command.output(terraform, json=False),
            command.validate(terraform),
            command.validate(terraform, json=False),
            command.providers_schema(terraform),
            command.providers_lock(terraform, ["linux_amd64"], fs_mirror=tmp_path),
            command.state_list(terraform),
            command.state_pull(terraform),
            command.state_mv(terraform, "terraform_data.a", "terraform_data.b", lock_timeout="1s"),
            command.state_rm(terraform, "terraform_data.b", lock_timeout="1s"),
            command.fmt_check(terraform, tmp_path),
            command.version(terraform),
            command.raw(terraform, ["workspace", "list"]),
        )
    ]
    assert codes == [0, 0, 2, 0, 0, 0, 2, 0, *[0] * 15]


def test_json_plans_and_applies_are_lines_of_json(
    terraform: Engine, run: Callable[[list[str]], tuple[int, str]]
) -> None:
    run(command.init(terraform))
    lines = run(command.plan(terraform, "p"))[1].splitlines() + run(command.apply(terraform, "p"))[1].splitlines()
    assert {"planned_change", "apply_complete"} <= {json.loads(line)["type"] for line in lines}


def test_terraform_takes_a_forced_unlock(
    terraform: Engine, run: Callable[[list[str]], tuple[int, str]], tmp_path: Path, base_env: dict[str, str]
) -> None:
    """A local state's lock ends with its holder, so there is none to release: Terraform says so, and asks nothing."""
    run(command.init(terraform))
    argv = command.force_unlock(terraform, "49ba2b57-8a4d-4a4f-b1c0-b0a6a4c5d6e7")
    done = subprocess.run(argv, cwd=tmp_path / "unit", env=base_env, capture_output=True, check=False, text=True)
    assert "LocalState not locked" in done.stderr
