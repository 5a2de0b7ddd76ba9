"""`infra-orch new`: what it makes works as it is, and what was there stays as it was."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra_orch.settings import Settings, load_settings

if TYPE_CHECKING:
    from conftest import Desk, Result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that lies in no project and no repository."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def made(place: Path, desk: Desk) -> Desk:
    """A project that was made by the command."""
    done = desk.run("-C", str(place), "new", "project", "infra")
    assert done.code == 0, done.err
    root = place / "infra"
    return replace(desk, root=root, run=lambda *words: desk.run("-C", str(root), *words))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below *folder*, git's own left out, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def document(result: Result) -> dict[str, object]:
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_a_new_project_can_be_planned_at_once(made: Desk) -> None:
    units = document(made.run("plan", "dev", "--json"))["units"]
    assert {name: (unit["status"], unit["basis"]) for name, unit in units.items()} == {
        "database": ("planned", "exact"),
        "web": ("planned", "unknown"),
    }


def test_a_new_project_can_be_applied_and_has_nothing_left_to_do(made: Desk) -> None:
    assert made.run("apply", "dev", "--auto-approve").code == 0
    assert document(made.run("plan", "dev", "--json"))["status"] == "unchanged"


def test_a_new_project_names_every_file_that_it_made(desk: Desk, place: Path) -> None:
    done = desk.run("-C", str(place), "new", "project", "infra")
    named = {line.removeprefix("made infra/") for line in done.out.splitlines()}
    assert named == set(files_of(place / "infra"))


def test_the_next_command_that_a_new_project_names_works(desk: Desk, place: Path) -> None:
    done = desk.run("-C", str(place), "new", "project", "infra")
    folder, words = re.search(r"next: cd (\S+) && infra-orch (.+)", done.err).groups()
    assert desk.run("-C", str(place / folder), *words.split()).code == 0


def test_the_settings_file_shows_every_setting_and_its_default(made: Desk) -> None:
    file = made.root / "infra-orch.toml"
    text = re.sub(r"^# (?=\w+ = )", "", file.read_text(), flags=re.MULTILINE)
    file.write_text(text)
    shown, default = load_settings(made.root), Settings()
    assert set(re.findall(r"^(\w+) = ", text, re.MULTILINE)) == {field.name for field in fields(Settings)}
    with_default = [field.name for field in fields(Settings) if getattr(default, field.name) is not None]
    assert {name: getattr(shown, name) for name in with_default} == {
        name: getattr(default, name) for name in with_default
    }


def test_a_settings_file_as_it_is_made_changes_nothing(made: Desk) -> None:
    assert load_settings(made.root) == Settings()


def test_a_new_project_is_a_git_repository_of_its_own(made: Desk) -> None:
    assert Path(made.git("rev-parse", "--show-toplevel")) == made.root.resolve()


@pytest.mark.parametrize(("configured", "branch"), [("", "main"), ("[init]\n\tdefaultBranch = trunk\n", "trunk")])
def test_its_branch_is_main_unless_the_user_has_chosen_another_name(
    desk: Desk, place: Path, home: Path, configured: str, branch: str
) -> None:
    (home / ".gitconfig").write_text(configured)
    assert desk.run("-C", str(place), "new", "project", "infra").code == 0
    assert replace(desk, root=place / "infra").git("symbolic-ref", "--short", "HEAD") == branch


def test_a_new_project_within_a_repository_stays_part_of_it(desk: Desk, place: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    desk.run("-C", str(place), "new", "project", "infra")
    assert not (place / "infra" / ".git").exists()


def test_git_leaves_the_line_ends_of_rendered_files_alone(made: Desk) -> None:
    paths = ("stacks/dev/rendered/web/main.tf", "stacks/team/dev/rendered/stack.json", "stacks/dev/record/web.json")
    attributes = made.git("check-attr", "text", "--", *paths).splitlines()
    assert {line.rsplit(": ", 1)[1] for line in attributes} == {"unset"}


def test_what_was_made_is_formatted_as_terraform_formats(made: Desk) -> None:
    assert made.run("new", "module", "network").code == 0
    assert made.run("render", "dev").code == 0
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive"], check=False, cwd=made.root, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_was_made_passes_strict_type_checks(made: Desk) -> None:
    assert made.run("new", "stack", "prod").code == 0
    flags = ["--strict", "--explicit-package-bases", f"--cache-dir={made.root / '.mypy_cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "stacks"], check=False, cwd=made.root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_clone_can_become_a_project(desk: Desk, place: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    done = desk.run("-C", str(place), "new", "project", ".")
    assert done.code == 0, done.err
    assert (place / "stacks" / "dev" / "stack.py").is_file()


def test_a_folder_that_holds_something_is_left_alone(desk: Desk, place: Path) -> None:
    (place / "infra").mkdir()
    (place / "infra" / "README.md").write_text("mine")
    done = desk.run("-C", str(place), "new", "project", "infra")
    assert (done.code, files_of(place)) == (64, {"infra/README.md": b"mine"})
    assert "README.md" in done.err


def test_a_file_in_the_place_of_the_project_is_left_alone(desk: Desk, place: Path) -> None:
    (place / "infra").write_text("mine")
    assert desk.run("-C", str(place), "new", "project", "infra").code == 64
    assert desk.run("-C", str(place), "new", "project", "infra/below").code == 64
    assert files_of(place) == {"infra": b"mine"}


def test_a_project_within_a_project_is_refused(made: Desk) -> None:
    before = files_of(made.root)
    done = made.run("new", "project", "inner")
    assert (done.code, files_of(made.root)) == (64, before)
    assert "infra-orch new stack" in done.err


@pytest.mark.parametrize("name", ["", "/", "two words", "-x", "ünï", "a\nb", "x" * 300])
def test_a_name_that_no_project_can_have_makes_nothing(desk: Desk, place: Path, name: str) -> None:
    assert desk.run("-C", str(place), "new", "project", "--", name).code == 64
    assert not list(place.iterdir())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nobody can make anything")
def test_a_place_that_cannot_be_written_is_named(desk: Desk) -> None:
    done = desk.run("new", "project", "/proc/infra")
    assert done.code == 1
    assert "/proc/infra" in done.err


def test_a_new_stack_is_valid_and_can_be_planned(made: Desk) -> None:
    assert made.run("new", "stack", "prod").code == 0
    assert made.run("validate", "prod").code == 0
    assert made.run("plan", "prod").code == 0


def test_the_example_in_a_new_stack_works_once_it_is_no_comment(made: Desk) -> None:
    assert made.run("new", "stack", "prod").code == 0
    spec = made.root / "stacks" / "prod" / "stack.py"
    spec.write_text(re.sub(r"^#     ", "", spec.read_text(), flags=re.MULTILINE))
    units = document(made.run("plan", "prod", "--json"))["units"]
    assert {unit["status"] for unit in units.values()} == {"planned"}


def test_stacks_of_two_teams_do_not_share_a_name(made: Desk) -> None:
    for name in ("a/prod", "b/prod"):
        assert made.run("new", "stack", name).code == 0
    names = {made.run("validate", name).out.split(" ")[0] for name in ("a/prod", "b/prod")}
    assert len(names) == 2


def test_the_call_that_a_new_module_prints_works(made: Desk) -> None:
    done = made.run("new", "module", "network")
    call = re.search(r"(?<=^a stack uses it by a unit, in stacks/dev/stack.py: ).+$", done.err, re.MULTILINE).group()
    spec = made.root / "stacks" / "dev" / "stack.py"
    spec.write_text(f"{spec.read_text()}\n{call}\n")
    assert document(made.run("plan", "dev", "--unit", "network", "--json"))["status"] == "planned"


@pytest.mark.parametrize(("kind", "name"), [("stack", "dev"), ("module", "service")])
def test_a_stack_or_module_that_exists_is_left_alone(made: Desk, kind: str, name: str) -> None:
    before = files_of(made.root)
    done = made.run("new", kind, name)
    assert (done.code, files_of(made.root)) == (64, before)
    assert f"{kind}s/{name}" in done.err


@pytest.mark.parametrize("kind", ["stack", "module"])
@pytest.mark.parametrize("name", ["", ".", "../x", "/x", "a//b", "a/", "two words", "1st", "a/../b", "x" * 65])
def test_a_name_that_no_stack_or_module_can_have_makes_nothing(made: Desk, kind: str, name: str) -> None:
    before = files_of(made.root)
    done = made.run("new", kind, "--", name)
    assert (done.code, files_of(made.root)) == (64, before)
    assert "cannot be" in done.err


def test_a_stack_or_module_may_be_named_by_its_folder(made: Desk) -> None:
    assert made.run("new", "stack", "stacks/prod").out == "made stacks/prod/stack.py\n"
    assert made.run("new", "module", "modules/network").out.startswith("made modules/network/main.tf\n")


@pytest.mark.parametrize("name", ["dev/inner", "rendered", "team/record", "stacks", "team/stacks/prod", "modules"])
def test_a_stack_that_would_be_taken_for_part_of_another_is_refused(made: Desk, name: str) -> None:
    before = files_of(made.root)
    assert (made.run("new", "stack", name).code, files_of(made.root)) == (64, before)


def test_a_module_that_cannot_be_written_leaves_nothing_behind(made: Desk) -> None:
    (made.root / "modules" / "team").write_text("mine")
    before = files_of(made.root)
    done = made.run("new", "module", "team/network")
    assert (done.code, files_of(made.root)) == (64, before)


def test_a_stack_needs_a_project(desk: Desk, place: Path) -> None:
    done = desk.run("-C", str(place), "new", "stack", "prod")
    assert done.code == 64
    assert "infra-orch new project" in done.err


MAIN = """
    variable "name" {
      type = string
    }

    variable "retention" {
      type = number
    }

    # {{ name }}, the way that we do it
    resource "terraform_data" "{{ resource }}" {
      input = [var.name, var.retention]
    }
"""


def test_a_team_has_templates_of_its_own(made: Desk) -> None:
    made.write(
        {
            "templates/module/main.tf.j2": MAIN,
            "templates/module/README.md.j2": "# {{ name }}\n{% include '_owner.j2' %}",
            "templates/module/_owner.j2": "team platform",
            "templates/module/tests/{{ resource }}.tftest.hcl": "run {{ not a template }}",
            "templates/module/check": "#!/bin/sh\n",
            "templates/stack/stack.py.j2": 'from infra_orch import Stack\n\nstack = Stack("{{ name }}")  # {{ path }}\n',
        }
    )
    (made.root / "templates/module/check").chmod(0o755)
    done = made.run("new", "module", "team/queue")
    assert done.code == 0, done.err
    found = files_of(made.root / "modules/team/queue")
    assert set(found) == {"main.tf", "README.md", "check", "tests/queue.tftest.hcl"}
    assert b"# team/queue, the way that we do it" in found["main.tf"]
    assert (found["README.md"], found["tests/queue.tftest.hcl"]) == (
        b"# team/queue\nteam platform",
        b"run {{ not a template }}",
    )
    assert (made.root / "modules/team/queue/check").stat().st_mode & 0o111
    call = 'stack.unit("queue", module="team/queue", inputs={"name": "queue", "retention": ...})'
    assert call in done.err
    assert made.run("new", "stack", "eu/prod").code == 0
    assert (made.root / "stacks/eu/prod/stack.py").read_text().endswith('Stack("eu-prod")  # eu/prod\n')
    assert made.run("validate", "eu/prod").code == 0


def test_one_of_several_templates_is_named_and_the_folder_is_a_setting(made: Desk) -> None:
    made.write({"ours/module-web/main.tf.j2": "# web {{ name }}\n", "infra-orch.toml": 'templates = "ours"\n'})
    assert made.run("new", "module", "one").code == 0
    assert (made.root / "modules/one/outputs.tf").is_file()  # of the shipped one
    assert made.run("new", "module", "two", "--template", "web").code == 0
    assert files_of(made.root / "modules/two") == {"main.tf": b"# web two\n"}
    unknown = made.run("new", "module", "three", "--template", "wed")
    assert (unknown.code, 'did you mean "web"?' in unknown.err) == (64, True)
    assert not (made.root / "modules/three").exists()
    made.write({"infra-orch.toml": 'templates = "theirs"\n'})
    assert 'templates = "theirs": there is no such folder' in made.run("new", "module", "three").err


def test_a_project_is_made_of_templates_that_lie_elsewhere(desk: Desk, place: Path) -> None:
    shared = place / "shared"
    files = {
        "project/infra-orch.toml": "parallelism = 4\n",
        "project/README.md.j2": "# {{ name }}\n",
        "project/stacks/base/stack.py.j2": 'from infra_orch import Stack\nstack = Stack("base")\n',
        "project/templates/module/main.tf.j2": "# {{ name }}\n",
    }
    for name, text in files.items():
        path = shared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = desk.run("-C", str(place), "new", "project", "infra", "--templates", "shared")
    assert done.code == 0, done.err
    assert "infra-orch plan base" in done.err
    assert files_of(place / "infra") == {
        "infra-orch.toml": b"parallelism = 4\n",
        "README.md": b"# infra\n",
        "stacks/base/stack.py": b'from infra_orch import Stack\nstack = Stack("base")\n',
        "templates/module/main.tf.j2": b"# {{ name }}\n",  # for the project's own use
    }
    assert desk.run("-C", str(place / "infra"), "new", "module", "x").code == 0
    assert desk.run("-C", str(place), "new", "project", "more", "--templates", "nowhere").code == 64
    assert desk.run("-C", str(place), "new", "project", "more", "--template", "web").code == 64
    assert not (place / "more").exists()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("main.tf.j2", "# fine\n{% if %}\n", "templates/module/main.tf.j2:2: template: Expected an expression"),
        ("main.tf.j2", "# fine\n\n{{ nmae }}\n", "templates/module/main.tf.j2:3: template: 'nmae' is undefined"),
        ("main.tf.j2", "{{ nmae }}\n", "names there are: name, resource"),
        ("main.tf.j2", "{{ ''.__class__.__mro__ }}", "templates/module/main.tf.j2:1: template: access to attribute"),
        ("main.tf.j2", "{% include '../../infra-orch.toml' %}", "templates/module/main.tf.j2:1: template: "),
        ("main.tf.j2", "{% include '_part.j2' %}", "templates/module/_part.j2:2: template: "),
        ("main.tf.j2", "{{ 'x' * 99999999999 }}", "templates/module/main.tf.j2:1: template: 'x' * 99999999999 is too long"),
        ("README.md", "nothing", "templates/module: the template of a module makes no *.tf"),
        ("{{ nmae }}.tf", "", 'templates/module/{{ nmae }}.tf: this template has "nmae" in its name'),
        ("main.tf", "", "templates/module/main.tf.j2: two templates make main.tf"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template_is_said_with_its_place_and_nothing_is_made(
    made: Desk, file: str, text: str, said: str
) -> None:
    made.write({f"templates/module/{file}": text, "templates/module/_part.j2": "#\n{% oh %}"})
    if file == "main.tf":
        made.write({"templates/module/main.tf.j2": ""})
    done = made.run("new", "module", "x")
    assert done.code == 1, done.err
    assert said in done.err
    assert not (made.root / "modules/x").exists()


def test_a_template_that_is_a_link_out_of_the_project_is_refused(made: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    made.write({"templates/module/main.tf": ""})
    (made.root / "templates/module/more.tf").symlink_to(tmp_path / "secret")
    done = made.run("new", "module", "x")
    assert (done.code, "a link that leads out" in done.err) == (1, True)
    assert not (made.root / "modules/x").exists()


def test_a_template_that_is_no_text_is_said_to_be_none(made: Desk) -> None:
    made.write({"templates/module/main.tf.j2": ""})
    (made.root / "templates/module/main.tf.j2").write_bytes(b"\xff")
    done = made.run("new", "module", "x")
    assert (done.code, "main.tf.j2: template: it is not UTF-8" in done.err) == (1, True)


@pytest.mark.parametrize("words", [("project", "~nobody-of-that-name/x"), ("stack", "x")])
def test_a_home_that_nobody_has_is_said(made: Desk, words: tuple[str, ...]) -> None:
    made.write({"infra-orch.toml": 'templates = "~nobody-of-that-name/t"\n'})
    done = made.run("new", *words)
    assert (done.code, 'nobody knows which folder "~nobody-of-that-name" is' in done.err) == (64, True)


def test_a_file_in_the_place_of_stacks_is_named(made: Desk) -> None:
    shutil.rmtree(made.root / "stacks")
    (made.root / "stacks").write_text("mine")
    done = made.run("new", "stack", "x")
    assert (done.code, f"{made.root}/stacks is in the way" in done.err) == (64, True)
