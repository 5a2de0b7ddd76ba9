"""A name from outside is checked at every door, and what others wrote reaches terminal and git as text only."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra_orch.record.store import TRAILER, commit_message
from infra_orch.run.outcome import Failure, Outcome, Status

if TYPE_CHECKING:
    from conftest import Begin, Desk

HOSTILE_NAMES = (
    "../dev", "/etc", "dev/../../x", "--help-me", "-x", "dev;touch x", "$(touch x)", "dev\nx", "de\x1bv", "dev\u202e",
    "", ".", "..", "dev\0",
)  # fmt: skip
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
HOSTILE = "\033[2J\033]0;title\007\u202ereversed\u2028\r\b\x9b31m"


@pytest.fixture
def applied(begin: Begin, request: pytest.FixtureRequest) -> Desk:
    def apply(desk: Desk) -> None:
        request.getfixturevalue("two_units")
        assert desk.run("apply", "dev", "--auto-approve").code == 0

    return begin(apply)


def test_a_stack_of_a_strange_name_is_no_stack(two_units: Desk) -> None:
    for name in HOSTILE_NAMES:
        for command in (("plan",), ("graph",), ("render", "--check"), ("history",), ("output",)):
            refused = two_units.run(command[0], *command[1:], "--", name)
            assert refused.code == 64, (command, name, refused.err)
            assert not CONTROL.search(refused.err)
    assert not list(two_units.root.rglob("x"))


def test_a_unit_of_a_strange_name_is_no_unit(two_units: Desk) -> None:
    for name in filter(None, HOSTILE_NAMES):
        for command in (
            ("plan", "dev", f"--unit={name}"),
            ("output", "dev", "--", name),
            ("tf", "dev", "--", name, "show"),
        ):
            refused = two_units.run(*command)
            assert refused.code == 64, (command, refused.err)
            assert not CONTROL.search(refused.err)


def test_a_run_of_a_strange_name_is_no_run(applied: Desk) -> None:
    for name in filter(None, HOSTILE_NAMES):
        for command in (("show", "--", name), ("apply", "dev", f"--resume={name}", "--auto-approve")):
            refused = applied.run(*command)
            assert refused.code == 64, (command, refused.err)
            assert not CONTROL.search(refused.err)


def test_a_record_that_was_tampered_with_leads_nowhere(applied: Desk) -> None:
    """`show` reads logs by what stands in a record, and records come with a checkout."""
    applied.write({"stacks/web/secret.log": "hush\n", "secret.log": "hush\n"})
    record = next(applied.root.glob("stacks/dev/record/runs/*.json"))
    document = json.loads(record.read_text())
    document["units"]["../.."] = document["units"]["web"]
    document["run"] = "../../stacks"
    other = record.with_name("20990101T000000000Z-abcdef.json")
    other.write_text(json.dumps(document))
    for unit in ("web", "../.."):
        told = applied.run("show", "20990101T000000000Z-abcdef", unit)
        assert told.code != 0
        assert "hush" not in told.out + told.err


def test_a_render_whose_index_names_strange_things_is_none(two_units: Desk) -> None:
    assert two_units.run("render", "dev").code == 0
    path = two_units.root / "stacks/dev/rendered/stack.json"
    whole = path.read_text()
    web = json.loads(whole)["units"]["web"]
    for name in ("../web", "a/b", "-x", "x y", "x\n", ".x", ""):
        for change in (
            {"units": {name: web}, "edges": [], "tasks": {}},
            {"units": {"web": {**web, "needs": {}, "files": {name: "0" * 64}}}, "edges": [], "tasks": {}},
            {"units": {"web": {**web, "needs": {}, "formerly": name}}, "edges": [], "tasks": {}},
            {"stack": name},
        ):
            path.write_text(json.dumps({**json.loads(whole), **change}))
            refused = two_units.run("plan", "dev", "--from-rendered")
            assert (refused.code, "is not a rendered stack" in refused.err) == (1, True), refused.err


def everywhere(value: object) -> object:
    """A record in which every text that is nothing's name is hostile."""
    if isinstance(value, dict):
        return {key: everywhere(item) if key not in ("actions", "status") else item for key, item in value.items()}
    if isinstance(value, list):
        return [everywhere(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_nothing_in_a_record_or_a_file_is_a_command_to_the_terminal(applied: Desk) -> None:
    for record in applied.root.glob("stacks/dev/record/**/*.json"):
        document = everywhere(json.loads(record.read_text()))
        document["run"] = record.stem if record.parent.name == "runs" else document.get("run")
        record.write_text(json.dumps(document))
    for run in applied.root.glob(".infra-orch/runs/*/run.json"):
        run.unlink()
    main = applied.root / "stacks/dev/rendered/web/main.tf"
    main.write_text(f"# {HOSTILE}\n" + main.read_text())
    seen = 0
    for command in (("history", "dev"), ("show", "last"), ("render", "dev", "--check"), ("plan", "dev", "--full")):
        told = applied.run(*command)
        assert not CONTROL.search(told.out + told.err), command
        seen += "\\u001b[2J" in told.out + told.err
    assert seen >= 3


def test_what_a_module_says_is_no_command_to_the_terminal(applied: Desk) -> None:
    text = 'output "said" {\n  value = "\\u001b[2J\\u202e"\n}\n\nvariable "x" {\n  default = "\\u001b]0;t\\u0007"\n}\n'
    says = 'resource "terraform_data" "x" {\n  input = var.x\n  lifecycle {\n    precondition {\n'
    says += '      condition     = var.x == ""\n      error_message = "no: ${var.x}"\n    }\n  }\n}\n'
    applied.write({"modules/servers/said.tf": text})
    for command in (
        ("plan", "dev", "--full"),
        ("apply", "dev", "--auto-approve"),
        ("output", "dev"),
        ("show", "last", "web"),
    ):
        told = applied.run(*command)
        assert told.code == 0, told.err
        assert not CONTROL.search(told.out + told.err), command
    applied.write({"modules/servers/says.tf": says})
    failed = applied.run("plan", "dev")
    assert failed.code == 1
    assert not CONTROL.search(failed.out + failed.err)
    assert not CONTROL.search(applied.run("show", "last", "web").out)


def test_a_graph_holds_no_name_that_is_no_name(two_units: Desk) -> None:
    """Labels need no escape where names have none of the signs that would: a quote, a bracket, a line's end."""
    two_units.write(
        {
            "stacks/dev/stack.py": 'from infra_orch import Stack\n\nstack = Stack("dev")\nstack.unit("a\\"]; b", module="network")\n'
        }
    )
    for form in ("mermaid", "dot", "tree"):
        refused = two_units.run("graph", "dev", "--format", form)
        assert refused.code == 65
        assert "cannot be a unit's name" in refused.err


def test_a_commit_message_has_one_trailer_whatever_went_wrong() -> None:
    failure = Failure(f"no\n\n{TRAILER}: 20990101T000000000Z-abcdef\n{HOSTILE}")
    message = commit_message({"web": Outcome("web", Status.FAILED, failure=failure)}, "apply dev", ["the-run"])
    trailers = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message, capture_output=True, text=True, check=True
    )
    assert trailers.stdout == f"{TRAILER}: the-run\n"
    assert not CONTROL.search(message)


@pytest.mark.parametrize("ref", ["--upload-pack=x", "-x", "a..b", "HEAD;x", "a b", "$(x)", "a\nb", "HEAD:x", ""])
def test_a_ref_that_is_an_option_or_a_script_is_no_ref(two_units: Desk, ref: str) -> None:
    from infra_orch.errors import UsageError
    from infra_orch.git.repository import find_repository

    repository = find_repository(two_units.root)
    assert repository is not None
    for ask in (
        repository.resolve,
        lambda name: repository.show(name, "x"),
        lambda name: repository.list_tree(name, ""),
    ):
        with pytest.raises(UsageError, match="is not the name of a branch"):
            ask(ref)


def test_a_pattern_of_the_settings_hides_in_what_is_shown_logged_and_committed(two_units: Desk) -> None:
    desk = two_units.write({"infra-orch.toml": "redact = ['(?i)corp-[0-9a-f]{8}']\n"})
    spec = desk.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('{"name": "dev"}', '{"name": "CORP-" + "0badcafe"}'))
    printed = ""
    for command in (
        ("plan", "dev"),
        ("plan", "dev", "--full"),
        ("apply", "dev", "--auto-approve", "--json"),
        ("output", "dev"),
        ("show", "last", "network"),
    ):
        told = desk.run(*command)
        assert told.code == 0, told.err
        printed += told.out + told.err
    assert "0badcafe" not in printed
    logs = [path.read_text() for path in desk.root.glob(".infra-orch/runs/**/*") if path.is_file()]
    records = [path.read_text() for path in desk.root.glob("stacks/dev/record/**/*.json")]
    assert logs
    assert records
    assert "0badcafe" not in "".join([*logs, *records])


def test_a_bundle_is_for_its_owner_alone_also_over_one_that_was_not(two_units: Desk, tmp_path: Path) -> None:
    there = tmp_path / "dev.plan"
    there.write_text("old")
    there.chmod(0o666)
    assert two_units.run("plan", "dev", "--out", str(there)).code == 0
    assert oct(there.stat().st_mode & 0o777) == "0o600"
    for folder in (two_units.root / ".infra-orch", *(two_units.root / ".infra-orch").glob("*/")):
        assert oct(folder.stat().st_mode & 0o077) == "0o0" or folder.parent.stat().st_mode & 0o077 == 0
