"""`--from-rendered` imports no Python of a project, whatever it is called; `render` needs no credential and no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

SHADOWS = (
    "json",
    "shared",
    "sitecustomize",
    "usercustomize",
    "conftest",
    "jinja2",
    "hcl2",
    "boto3",
    "fnmatch",
    "typer",
)
"""Modules that are looked for by every Python program, by every program with a test, or by infra-orch itself."""
SCRIPT = [str(Path(sys.executable).with_name("infra-orch"))]
MODULE = [sys.executable, "-m", "infra_orch"]


@pytest.fixture
def marked(two_units: Desk) -> Desk:
    """A committed stack in whose project every Python file leaves a mark where it is run."""
    desk = two_units
    assert desk.run("render", "dev").code == 0
    spec = desk.root / "stacks/dev/stack.py"
    leaves = f"open({str(mark(desk))!r}, 'a').write(__file__ + '\\n')\n"
    spec.write_text(leaves + spec.read_text() + "\n\n@stack.task(after=[web])\ndef look(context):\n    pass\n")
    for folder in ("", "stacks", "stacks/dev", "modules", "modules/network"):
        for name in SHADOWS:
            desk.write({f"{folder}/{name}.py".lstrip("/"): leaves})
    desk.commit()
    return desk


def mark(desk: Desk) -> Path:
    return desk.root.parent / "mark"


def python(desk: Desk, program: list[str], folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*program, *arguments]
    return subprocess.run(command, cwd=desk.root / folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("folder", [".", "stacks", "stacks/dev"])
def test_a_plan_from_committed_files_runs_no_file_of_the_project(marked: Desk, program: list[str], folder: str) -> None:
    done = python(marked, program, folder, "plan", "dev", "--from-rendered")
    assert done.returncode == 0, done.stderr
    assert not mark(marked).exists()


def test_no_command_that_changes_or_reads_does_so_either(marked: Desk) -> None:
    for arguments in (
        ("apply", "dev", "--from-rendered", "--auto-approve"),
        ("output", "dev", "--from-rendered"),
        ("history", "dev"),
        ("show", "last"),
        ("tf", "dev", "network", "--from-rendered", "--", "state", "list"),
        ("recover", "dev"),
        ("destroy", "dev", "--from-rendered", "--auto-approve"),
    ):
        done = python(marked, SCRIPT, "stacks/dev", *arguments)
        assert done.returncode == 0, done.stderr
    assert not mark(marked).exists()


def test_the_marks_would_tell(marked: Desk) -> None:
    assert python(marked, SCRIPT, "stacks", "plan", "dev").returncode == 0
    assert mark(marked).read_text() == f"{marked.root}/stacks/dev/stack.py\n", (
        "and nothing that is called like a module"
    )


def test_render_needs_neither_a_network_nor_a_credential_nor_terraform(two_units: Desk, home: Path) -> None:
    two_units.write({"stacks/dev/stack.py": """
        from infra_orch import Provider, S3Backend, Stack, env

        stack = Stack(
            "dev",
            backend=S3Backend(bucket="states", region="eu-west-1"),
            providers=[Provider("aws", source="hashicorp/aws", region="eu-west-1", token=env("SESSION"))],
        )
        stack.unit("network", module="network", inputs={"name": env("NAME")})
    """})  # fmt: skip
    alone = ["unshare", "--map-root-user", "--net"]
    able = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    tools = home / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(
        subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    )
    closed = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    environment = {"PATH": str(tools), "HOME": str(home), **({} if able else closed)}
    unshare = ["/usr/bin/env", f"PATH={os.environ['PATH']}", *alone, "/usr/bin/env", f"PATH={tools}"] if able else []
    for more in ((), ("--check",)):
        done = subprocess.run(
            [*unshare, *SCRIPT, "render", "dev", *more],
            cwd=two_units.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (two_units.root / "stacks/dev/rendered/network/main.tf").is_file()


def test_what_is_rendered_by_nobody_is_told_by_a_job_without_credentials(two_units: Desk) -> None:
    """Files that were written by hand are committed, and so `--from-rendered` runs them; `render --check` tells."""
    assert two_units.run("render", "dev").code == 0
    two_units.commit()
    assert two_units.run("render", "dev", "--check").code == 0
    main = two_units.root / "stacks/dev/rendered/web/main.tf"
    main.write_text(main.read_text().replace("-web", "-evil"))
    two_units.commit()
    checked = two_units.run("render", "dev", "--check")
    assert (checked.code, "-evil" in checked.out) == (1, True)


@pytest.mark.parametrize("name", [".infra-orch/cache/modules/x.json", ".Infra-Orch/work/dev/web/.terraform/x"])
def test_what_a_commit_plants_where_earlier_runs_leave_things_is_refused(two_units: Desk, name: str) -> None:
    assert two_units.run("render", "dev").code == 0
    two_units.write({name: "{}"})
    two_units.git("add", "--all", "--force")
    two_units.commit()
    refused = two_units.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert f"{Path(name).parts[0]}/ is committed" in refused.err


def test_a_link_in_the_place_of_that_folder_is_refused(two_units: Desk) -> None:
    assert two_units.run("render", "dev").code == 0
    subprocess.run(["mv", ".infra-orch", "elsewhere"], cwd=two_units.root, check=True)
    (two_units.root / ".infra-orch").symlink_to("elsewhere")
    two_units.commit()
    assert two_units.run("plan", "dev", "--from-rendered").code == 77


@pytest.mark.parametrize(
    ("setting", "value"),
    [("engine", "./bin/terraform"), ("engine", "../project/bin/terraform"), ("provider_mirror", "bin"), ("provider_cache", "bin/x")],
)  # fmt: skip
def test_a_program_of_the_repository_is_no_engine_and_no_provider(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    desk = two_units
    desk.write({
        "bin/terraform": f"#!/bin/sh\ntouch {mark(desk)}\n",
        "infra-orch.toml": f'{setting} = "{value}"\n',
    })  # fmt: skip
    (desk.root / "bin/terraform").chmod(0o755)
    assert desk.run("render", "dev").code == 0
    desk.commit()
    refused = desk.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert f'setting {setting} = "{value}" names what lies in the repository' in refused.err
    assert not mark(desk).exists()
    if setting == "provider_cache":
        monkeypatch.setenv("INFRA_ORCH_PROVIDER_CACHE", str(desk.root / value))
        assert desk.run("plan", "dev", "--from-rendered").code == 0
