"""What others wrote is read or refused, whatever it is: nobody's file ends in a defect of ours.

Each document is one that was really written, with a part of it replaced, taken away, or cut off.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra_orch.bundle import archive, manifest
from infra_orch.engine.lock_file import locked_providers
from infra_orch.errors import UserError
from infra_orch.git.repository import find_repository
from infra_orch.module.lock_file import provider_versions
from infra_orch.project import StackFolder, find_project
from infra_orch.recovery.intent import read_intent
from infra_orch.recovery.lost import in_flight, lost_resources
from infra_orch.redact import Redactor
from infra_orch.render.index import from_json
from infra_orch.run.changes import read_plan
from infra_orch.run.diagnosis import read_messages
from infra_orch.run.journal import read_journal
from infra_orch.run.state import instances, read_state

if TYPE_CHECKING:
    from conftest import Begin, Desk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
EXAMPLES = 150 if "FAULTS_ROUNDS" in os.environ else 60
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def altered(document: Any, data: st.DataObject) -> Any:
    """*document* with one part of it replaced or taken away."""
    whole = copy.deepcopy(document)
    holder, key, part = None, None, whole
    while isinstance(part, (dict, list)) and part and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part))))
        holder, part = part, part[key]
    if holder is None or key is None:
        return data.draw(JSON)
    if data.draw(st.booleans()):
        holder[key] = data.draw(JSON)
    else:
        del holder[key]
    return whole


def altered_text(text: str, data: st.DataObject) -> str:
    """JSON *text* altered, or cut off."""
    if data.draw(st.integers(0, 4)) == 0:
        return text[: data.draw(st.integers(0, len(text)))]
    return json.dumps(altered(json.loads(text), data))


@pytest.fixture
def written(begin: Begin, request: pytest.FixtureRequest) -> Path:
    """A project with everything that a run writes."""

    def run(desk: Desk) -> None:
        request.getfixturevalue("two_units")
        assert desk.run("plan", "dev", "--out", "dev.plan").code == 0
        assert desk.run("apply", "dev", "--auto-approve").code == 0

    return begin(run).root


def stack_folder(root: Path) -> StackFolder:
    return find_project(root).stack("dev")


def reads(read: Callable[[], object], *refuses: type[Exception]) -> None:
    try:
        read()
    except (UserError, *refuses):
        return


def test_the_index_of_a_rendered_stack(written: Path) -> None:
    folder = stack_folder(written)
    text = folder.index.read_text()

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        reads(lambda: from_json(altered_text(text, data), folder))

    check()


def test_what_a_run_was_about_to_do(written: Path) -> None:
    folder = stack_folder(written)
    (path,) = written.glob(".infra-orch/runs/*/intent.json")
    text = path.read_text()

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path.write_text(altered_text(text, data))
        reads(lambda: read_intent(path.parent, folder))

    check()


def test_the_manifest_of_a_bundle(written: Path) -> None:
    text = manifest.to_json(archive.read_bundle(written / "dev.plan").manifest)

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        reads(lambda: manifest.from_json(altered_text(text, data).encode(), "dev.plan"))

    check()


def test_the_bytes_of_a_bundle(written: Path) -> None:
    whole = (written / "dev.plan").read_bytes()
    path = written / "altered.plan"

    @MANY
    @given(at=st.integers(0, len(whole) - 1), length=st.integers(0, 40), new=st.binary(max_size=40))
    def check(at: int, length: int, new: bytes) -> None:
        path.write_bytes(whole[:at] + new + whole[at + length :])
        path.chmod(0o600)
        reads(lambda: archive.read_bundle(path))

    check()


@pytest.mark.parametrize(
    "command", [["history", "dev"], ["show", "last"], ["plan", "dev"], ["history", "dev", "--json"]]
)
def test_records(desk: Desk, written: Path, command: list[str]) -> None:
    paths = [*written.glob("stacks/dev/record/**/*.json"), *written.glob(".infra-orch/runs/*/run.json")]
    texts = {path: path.read_text() for path in paths}

    @settings(MANY, max_examples=5 if command[0] == "plan" else EXAMPLES)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(texts)))
        path.write_text(altered_text(texts[path], data))
        done = desk.run(*command)
        path.write_text(texts[path])
        assert "defect" not in done.out + done.err
        assert "Traceback" not in done.out + done.err

    check()


def test_a_journal(written: Path) -> None:
    path = max(written.glob(".infra-orch/runs/*/journal.jsonl"))
    lines = path.read_text().splitlines()

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(lines) - 1))
        path.write_text("\n".join([*lines[:number], altered_text(lines[number], data), *lines[number + 1 :]]))
        reads(lambda: read_journal(path))

    check()


def test_what_terraform_says(written: Path, tmp_path: Path) -> None:
    lines = max(written.glob(".infra-orch/runs/*/web/apply.log")).read_text().splitlines()
    path = tmp_path / "apply.log"

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(lines) - 1))
        path.write_text("\n".join([*lines[:number], altered_text(lines[number], data), *lines[number + 1 :]]))
        said = read_messages(path)
        lost_resources("web", path, {})
        in_flight("web", path, said, {}, None, Redactor())

    check()


WITH_ALL = """
resource "terraform_data" "it" {
  for_each = toset(["a", "b"])
  input    = { secret = sensitive("hidden"), list = [1, null, "x"] }
}

output "it" {
  value     = terraform_data.it["a"].output
  sensitive = true
}

output "list" {
  value = [1, 2.5, true]
}
"""


def test_a_plan_and_a_state(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(WITH_ALL)
    for arguments in (["init"], ["plan", "-out=plan"], ["apply", "plan"]):
        subprocess.run(["terraform", *arguments], cwd=tmp_path, check=True, capture_output=True)
    shown = subprocess.run(["terraform", "show", "-json", "plan"], cwd=tmp_path, check=True, capture_output=True)
    text, state = shown.stdout.decode(), (tmp_path / "terraform.tfstate").read_text()
    path = tmp_path / "plan.json"

    @MANY
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path.write_text(altered_text(text, data))

        def read() -> None:
            plan = read_plan(path)
            plan.learn_secrets(Redactor(), {})
            plan.resources(Redactor())
            plan.outputs(destroy=False)
            plan.outputs(destroy=True)
            plan.outputs_changed()
            plan.addresses()

        reads(read, ValueError)
        reads(lambda: list(instances(read_state(altered_text(state, data).encode()))), ValueError)

    check()


LOCK = """
provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.100.0"
  constraints = "~> 5.0"
  hashes = [
    "h1:Ijt7pOlB7Tr7maGQIqtsLFbl7pSMIj06TVdkoSBcYOw=",
  ]
}
"""


@MANY
@given(at=st.integers(0, len(LOCK)), length=st.integers(0, 30), new=st.text(max_size=10))
def test_a_dependency_lock_file(at: int, length: int, new: str) -> None:
    text = LOCK[:at] + new + LOCK[at + length :]
    reads(lambda: locked_providers(text), ValueError)
    reads(lambda: provider_versions(text, None))


@settings(MANY, max_examples=25)
@given(message=st.text(max_size=60), name=st.text(st.characters(exclude_characters="<>\n\x00"), max_size=12))
def test_what_git_says_of_anybodys_commits(tmp_path_factory: pytest.TempPathFactory, message: str, name: str) -> None:
    root = tmp_path_factory.mktemp("repository")
    git = ["git", "-C", str(root)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (root / "file").write_text("x")
    subprocess.run([*git, "add", "file"], check=True)
    text = message.replace("\x00", "").encode(errors="replace")
    who = f"x{name}".encode(errors="replace").decode()
    made = subprocess.run(
        [
            *git,
            "-c",
            f"user.name={who}",
            "-c",
            "user.email=a@example.com",
            "commit",
            "--quiet",
            "--allow-empty-message",
            "-F",
            "-",
        ],
        input=text,
        capture_output=True,
        check=False,
    )
    repository = find_repository(root)
    assert repository is not None
    entries = repository.log(["file"], 5)
    assert len(entries) == (1 if made.returncode == 0 else 0)
