"""What the setting `allow` does not allow stops a run before Terraform sees it, and a mark would tell if it had not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk, Result

PLAIN = 'resource "terraform_data" "it" {\n}\n\noutput "id" {\n  value = terraform_data.it.id\n}\n'
STACK = """
    from infra_orch import Stack

    stack = Stack("dev")
    one = stack.unit("one", module="m")
    stack.unit("two", module="other", after=[one])
"""


def provisioner(desk: Desk) -> str:
    return f'resource "terraform_data" "x" {{\n  provisioner "local-exec" {{\n    command = "touch {mark(desk)}"\n  }}\n}}\n'


def mark(desk: Desk) -> Path:
    return desk.root.parent / "mark"


@pytest.fixture
def project(desk: Desk) -> Desk:
    """A stack of two units that is rendered and committed."""
    desk.write({"modules/m/main.tf": PLAIN, "modules/other/main.tf": PLAIN, "stacks/dev/stack.py": STACK})
    assert desk.run("render", "dev").code == 0
    desk.commit()
    return desk


def planned(desk: Desk, command: str = "plan", *more: str) -> Result:
    """What became of a run from what is committed."""
    if command != "plan":
        more = (*more, "--auto-approve")
    return desk.run(command, "dev", "--from-rendered", *more)


def test_ordinary_files_pass(project: Desk) -> None:
    assert planned(project, "apply").code == 0
    assert planned(project, "destroy").code == 0


def test_everything_is_told_at_once_and_nothing_was_run(project: Desk) -> None:
    project.write({
        "modules/m/x.tf": provisioner(project) + 'data "external" "e" {\n  program = ["x"]\n}\n',
        "modules/other/x.tf.json": json.dumps({"module": {"far": {"source": "acme/vpc/aws"}}}),
    })  # fmt: skip
    project.commit()
    for command in ("plan", "apply", "destroy"):
        refused = planned(project, command)
        assert refused.code == 77
        hint = "  → allowed by {} under [allow] in infra-orch.toml, or by INFRA_ORCH_ALLOW_{}"
        assert refused.err.splitlines() == [
            'error: modules/m/x.tf:2: the provisioner "local-exec" is not allowed',
            hint.format('provisioners = ["local-exec"]', "PROVISIONERS='local-exec'"),
            'error: modules/m/x.tf:6: data "external", which runs a program, is not allowed',
            hint.format("external_data = true", "EXTERNAL_DATA='1'"),
            'error: modules/other/x.tf.json:1: the module source "acme/vpc/aws" is not allowed',
            hint.format('module_sources = ["acme/vpc/aws"]', "MODULE_SOURCES='acme/vpc/aws'"),
        ]
    assert not list(project.root.glob(".infra-orch/runs/*"))
    assert not mark(project).exists()


def test_the_setting_that_a_finding_names_allows_it(project: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write({"modules/m/x.tf": provisioner(project)})
    project.commit()
    refused = planned(project, "apply")
    monkeypatch.setenv(*refused.err.split("or by ")[1].strip().replace("'", "").split("="))
    assert planned(project, "apply").code == 0
    assert mark(project).exists()


def test_the_table_in_the_file_allows_it_and_a_variable_forbids_it_again(
    project: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(
        {"modules/m/x.tf": provisioner(project), "infra-orch.toml": '[allow]\nprovisioners = ["local-exec"]\n'}
    )
    project.commit()
    assert planned(project).code == 0
    monkeypatch.setenv("INFRA_ORCH_ALLOW_PROVISIONERS", "none")
    assert planned(project).code == 77


def test_a_desk_is_left_alone_until_allow_is_set(project: Desk) -> None:
    project.write({"modules/m/x.tf": provisioner(project)})
    assert project.run("plan", "dev").code == 0
    project.write({"infra-orch.toml": '[allow]\nproviders = ["hashicorp/*"]\n'})
    refused = project.run("apply", "dev", "--auto-approve")
    assert refused.code == 77
    assert 'modules/m/x.tf:2: the provisioner "local-exec"' in refused.err
    assert not mark(project).exists()


@pytest.mark.parametrize("name", ["x.tofu", "x.tf.json", "m_override.tf", "nested/main.tf"])
def test_no_kind_of_file_is_passed_over(project: Desk, name: str) -> None:
    body = {
        "resource": {"terraform_data": {"it": {"provisioner": {"local-exec": {"command": f"touch {mark(project)}"}}}}}
    }
    text = json.dumps(body) if name.endswith(".json") else provisioner(project)
    project.write({f"modules/m/{name}": text})
    if name.startswith("nested"):
        project.write({"modules/m/call.tofu": 'module "nested" {\n  source = "./nested"\n}\n'})
    project.commit()
    refused = planned(project, "apply")
    assert (refused.code, f"modules/m/{name}:" in refused.err) == (77, True), refused.err


def test_a_file_that_cannot_be_read_stops_it(project: Desk) -> None:
    project.write({"modules/m/x.tf": "resource {\n"})
    project.commit()
    refused = planned(project)
    assert refused.code == 77
    assert "modules/m/x.tf:1: this file cannot be read" in refused.err


def rewritten(desk: Desk, change) -> None:
    """Change stack.json, as somebody might who commits what no render wrote."""
    path = desk.root / "stacks/dev/rendered/stack.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=2))
    desk.commit()


def test_what_only_the_index_holds_is_looked_at_too(project: Desk) -> None:
    evil = provisioner(project) + 'terraform {\n  backend "http" {\n  }\n}\n'
    rewritten(project, lambda index: index["units"]["one"].update(formerly="old", former_backend=evil))
    refused = planned(project, "apply")
    assert refused.code == 77
    for what in ('the provisioner "local-exec"', 'the backend "http"'):
        assert f"stacks/dev/rendered/stack.json (former_backend of one): {what}" in refused.err
    rewritten(project, lambda index: index["units"]["one"].update(former_backend=None, required={"evil.test/x/y": ""}))
    refused = planned(project)
    assert 'stacks/dev/rendered/stack.json: the provider "evil.test/x/y" is not allowed' in refused.err
    rewritten(project, lambda index: index["units"]["one"].update(required={'x"]\n} dev_overrides {': ""}))
    refused = planned(project)
    assert (refused.code, "is not the address of a provider" in refused.err) == (77, True)


def test_a_unit_that_comes_back_from_the_history_to_be_destroyed_is_looked_at_too(project: Desk) -> None:
    """Its files are in no commit that is checked out."""
    assert planned(project, "apply").code == 0
    body = f'removed {{\n  from = module.two\n  provisioner "local-exec" {{\n    command = "touch {mark(project)}"\n  }}\n}}\n'
    main = project.root / "stacks/dev/rendered/two/main.tf"
    main.write_text(body)
    rewritten(project, lambda index: index["units"]["two"]["files"].update({"main.tf": sha256(main)}))
    (project.root / "stacks/dev/stack.py").write_text('from infra_orch import Stack\n\nstack = Stack("dev")\n')
    project.write({"stacks/dev/stack.py": STACK.replace('    stack.unit("two", module="other", after=[one])\n', "")})
    assert project.run("render", "dev").code == 0
    project.commit()
    refused = planned(project, "apply", "--prune")
    assert refused.code == 77
    assert 'the provisioner "local-exec" is not allowed' in refused.out + refused.err
    assert not mark(project).exists()


def sha256(path: Path) -> str:
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


@pytest.fixture
def downloaded(project: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Desk, Path]:
    """A module in a git repository that is allowed, and calls a module in a folder of its own."""
    folder = tmp_path / "far.git"
    (folder / "inner").mkdir(parents=True)
    (folder / "main.tf").write_text('module "inner" {\n  source = "./inner"\n}\n')
    (folder / "inner/main.tf").write_text(PLAIN)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    publish(folder)
    project.write({"modules/m/far.tf": f'module "far" {{\n  source = "git::file://{folder}"\n}}\n'})
    project.commit()
    monkeypatch.setenv("INFRA_ORCH_ALLOW_MODULE_SOURCES", f"git::file://{folder.parent}/*")
    return project, folder


def publish(folder: Path) -> None:
    for command in (["add", "--all"], ["commit", "--quiet", "--message", "it"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def test_a_module_that_is_downloaded_is_looked_at_before_a_plan(downloaded: tuple[Desk, Path]) -> None:
    desk, folder = downloaded
    assert planned(desk).code == 0
    reads = 'data "terraform_remote_state" "x" {\n  backend = "http"\n}\n'
    (folder / "inner/main.tf").write_text(provisioner(desk) + reads)
    publish(folder)
    (desk.root / ".infra-orch/work/dev/one/.infra-orch-init").unlink()
    subprocess.run(["rm", "-rf", desk.root / ".infra-orch/work/dev/one/.terraform/modules"], check=True)
    refused = planned(desk, "apply", "--unit", "one")
    assert refused.code == 77
    said = refused.out + refused.err
    assert 'far/inner/main.tf:2: the provisioner "local-exec" is not allowed' in said
    assert 'far/inner/main.tf:7: the backend "http" is not allowed' in said
    assert not mark(desk).exists()
    assert len(list(desk.root.glob(".infra-orch/runs/*/one/plan.log"))) == 1, "that of the plan before"


def test_a_module_that_is_downloaded_reaches_no_folder_of_the_machine(downloaded: tuple[Desk, Path]) -> None:
    desk, folder = downloaded
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "main.tf").write_text(PLAIN)
    up = "/".join([".."] * 20)
    (folder / "inner/main.tf").write_text(f'module "out" {{\n  source = "./{up}{outside}"\n}}\n')
    publish(folder)
    refused = planned(desk, "plan", "--unit", "one")
    assert (refused.code, "outside of the project is not allowed" in refused.err + refused.out) == (77, True)
    assert not list(desk.root.glob(".infra-orch/runs/*/one/plan.log"))


def test_what_is_initialised_already_is_looked_at_again(project: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever worked there before may have been allowed more."""
    project.write({"modules/m/x.tf": provisioner(project)})
    project.commit()
    monkeypatch.setenv("INFRA_ORCH_ALLOW_PROVISIONERS", "local-exec")
    assert planned(project).code == 0
    monkeypatch.delenv("INFRA_ORCH_ALLOW_PROVISIONERS")
    assert planned(project).code == 77


def test_the_backend_that_outputs_are_read_from_is_looked_at(project: Desk) -> None:
    backend = project.root / "stacks/dev/rendered/one/backend.tf"
    backend.write_text('terraform {\n  backend "http" {\n    address = "http://127.0.0.1:1"\n  }\n}\n')
    rewritten(project, lambda index: index["units"]["one"]["files"].update({"backend.tf": sha256(backend)}))
    for arguments in (
        ("output", "dev", "--from-rendered"),
        ("tf", "dev", "one", "--from-rendered", "--", "state", "list"),
    ):
        refused = project.run(*arguments)
        assert refused.code == 77
        assert 'stacks/dev/rendered/one/backend.tf:2: the backend "http" is not allowed' in refused.err


def test_a_secret_in_a_source_is_not_told(project: Desk) -> None:
    password = "s3cr3t" + "-of-mine"
    project.write({"modules/m/x.tf": f'module "x" {{\n  source = "git::https://me:{password}@example.com/x.git"\n}}\n'})
    project.commit()
    refused = planned(project)
    assert (refused.code, password in refused.err, "example.com/x.git" in refused.err) == (77, False, True)


def test_the_sandbox_does_not_let_anything_pass(project: Desk, emulator: str) -> None:
    assert planned(project, "apply", "--sandbox").code == 0
    project.write({"modules/m/x.tf": provisioner(project)})
    project.commit()
    assert planned(project, "apply", "--sandbox").code == 77
