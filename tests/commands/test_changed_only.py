"""`plan --changed-only` and `explain`: what is skipped had nothing to do, and it is said what a unit depends on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Begin, Desk

MODULE = """
    variable "text" {
      type    = string
      default = "x"
    }

    resource "terraform_data" "it" {
      input = "${var.text} ${file("${path.module}/note.txt")}"
    }

    output "id" {
      value = terraform_data.it.output
    }

    output "secret" {
      value     = "s3cret of ${terraform_data.it.id}"
      sensitive = true
    }
    """
SPEC = """
    from infra_orch import Stack, env

    stack = Stack("dev")
    a = stack.unit("a", module="one")
    stack.unit("b", module="one", inputs={"text": a.outputs.id})
    stack.unit("c", module="one", inputs={"text": a.outputs.secret})
    stack.unit("d", module="one", inputs={"text": env("TOKEN")})
    stack.unit("e", module="two")
    """


@pytest.fixture
def applied(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("TOKEN", "correct-horse")
    return begin(apply)


def apply(desk: Desk) -> None:
    desk.write(
        {
            "modules/one/main.tf": MODULE,
            "modules/one/note.txt": "note",
            "modules/two/main.tf": 'output "two" {\n  value = 2\n}\n',
            "stacks/dev/stack.py": SPEC,
        }
    )
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0


def statuses(desk: Desk, *words: str) -> dict[str, str]:
    done = desk.run("plan", "dev", "--changed-only", "--json", *words)
    assert done.code == 0, done.err
    return {name: unit["status"] for name, unit in json.loads(done.out)["units"].items()}


def skipped(desk: Desk) -> str:
    return "".join(name for name, status in sorted(statuses(desk).items()) if status == "skipped")


def explained(desk: Desk, unit: str) -> dict[str, Any]:
    done = desk.run("explain", "dev", unit, "--json")
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def changed(desk: Desk, unit: str) -> dict[str, str]:
    parts = explained(desk, unit)["parts"]
    return {name: part["since_apply"] for name, part in parts.items() if part["since_apply"] != "same"}


def test_with_nothing_changed_every_unit_is_skipped_and_that_is_said(applied: Desk) -> None:
    done = applied.run("plan", "dev", "--changed-only")
    (line,) = (line for line in done.out.splitlines() if line.startswith("skipped: "))
    assert sorted(line.removeprefix("skipped: ").partition("  (")[0].split(", ")) == list("abcde")
    assert "drift was not looked for" in line
    assert "No changes in what was planned." in done.out
    assert skipped(applied) == "abcde"


def test_what_is_skipped_has_nothing_to_do(applied: Desk) -> None:
    applied.write({"modules/one/note.txt": "other"})
    found = statuses(applied)
    real = json.loads(applied.run("plan", "dev", "--json").out)["units"]
    for name, status in found.items():
        assert (real[name]["status"] == "unchanged") == (status == "skipped")
    assert found["e"] == "skipped"


@pytest.mark.parametrize(
    ("path", "text", "stays"),
    [
        ("modules/one/note.txt", "other", "e"),
        ("modules/two/main.tf", 'output "two" {\n  value = 3\n}\n', "abcd"),
        ("modules/two/unused.txt", "nobody knows that", "abcd"),
        ("stacks/dev/stack.py", SPEC.replace('module="one")', 'module="one", inputs={"text": "y"})'), "cde"),
        ("stacks/dev/stack.py", SPEC + "\n    # nothing but a comment\n", "abcde"),
    ],
)
def test_a_change_is_planned_and_what_depends_on_it_and_nothing_else(
    applied: Desk, path: str, text: str, stays: str
) -> None:
    applied.write({path: text})
    assert skipped(applied) == stays


def test_another_value_of_a_variable_is_planned(applied: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "battery-staple")
    assert skipped(applied) == "abce"
    assert changed(applied, "d") == {"secret values": "changed"}


def test_secrets_are_in_no_record_and_on_another_machine_what_has_some_is_planned(applied: Desk) -> None:
    texts = [path.read_text() for path in (applied.root / "stacks/dev/record").rglob("*.json")]
    assert not any("correct-horse" in text or "s3cret" in text for text in texts)
    (applied.root / ".infra-orch/fingerprint.key").unlink()
    assert skipped(applied) == "abe"
    assert changed(applied, "d") == {"secret values": "unknown"}


def test_a_state_that_another_run_has_written_is_planned_on(applied: Desk) -> None:
    path = applied.root / "stacks/dev/state/e.tfstate"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "serial": state["serial"] + 1}))
    assert skipped(applied) == "abcd"


def test_a_unit_that_failed_last_is_planned(applied: Desk) -> None:
    path = applied.root / "stacks/dev/record/e.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "failed"}))
    assert skipped(applied) == "abcd"


def test_a_unit_that_reads_nobody_knows_what_is_never_skipped(applied: Desk) -> None:
    applied.write({"modules/two/main.tf": 'output "two" {\n  value = file(abspath("/etc/hostname"))\n}\n'})
    assert applied.run("apply", "dev", "--auto-approve").code == 0
    assert skipped(applied) == "abcd"
    assert explained(applied, "e")["unseen"] == [
        "modules/two/main.tf:2 has abspath",
        'modules/two/main.tf:2 reads file(abspath("/etc/hostname")',
    ]


def test_an_apply_skips_the_same_and_applies_the_rest(applied: Desk) -> None:
    applied.write({"modules/two/main.tf": 'output "two" {\n  value = 3\n}\n'})
    done = applied.run("apply", "dev", "--changed-only", "--auto-approve", "--json")
    units = json.loads(done.out)["units"]
    assert (done.code, {name: unit["status"] for name, unit in units.items()}) == (
        0,
        {"a": "skipped", "b": "skipped", "c": "skipped", "d": "skipped", "e": "applied"},
    )
    assert skipped(applied) == "abcde"


def test_what_was_applied_from_a_bundle_is_skipped_as_well(applied: Desk) -> None:
    applied.write({"modules/two/main.tf": 'output "two" {\n  value = 3\n}\n'})
    assert applied.run("plan", "dev", "--out", "it.plan").code == 0
    assert applied.run("apply", "dev", "--plan", "it.plan", "--auto-approve").code == 0
    assert skipped(applied) == "abcde"


def test_a_bundle_holds_every_plan_so_nothing_is_skipped_for_it(applied: Desk) -> None:
    done = applied.run("plan", "dev", "--changed-only", "--out", "it.plan")
    assert done.code == 64
    assert "give one of the two" in done.err


def test_a_person_sees_what_a_unit_depends_on_and_what_of_it_has_changed(applied: Desk) -> None:
    assert "the same as at its last apply" in applied.run("explain", "dev", "b").out
    applied.write({"modules/one/note.txt": "other", "modules/one/more.txt": "more"})
    lines = [line.split() for line in applied.run("explain", "dev", "b").out.splitlines()]
    assert ["file", "modules/one/note.txt", "changed"] in lines
    assert ["file", "modules/one/more.txt", "new"] in lines
    assert ["rendered", "main.tf", "same"] in lines


def test_a_unit_that_was_never_applied_is_explained_without_a_comparison(applied: Desk) -> None:
    applied.write({"stacks/dev/stack.py": SPEC.rstrip() + '\n    stack.unit("new", module="two")\n'})
    found = explained(applied, "new")
    assert found["applied"] is None
    assert {part["since_apply"] for part in found["parts"].values()} == {None}
    said = applied.run("explain", "dev", "new").out.splitlines()[1]
    assert said.endswith("; never applied, by the records, so there is nothing to compare it with")


def test_a_unit_that_was_destroyed_or_renamed_is_explained_as_that(applied: Desk) -> None:
    assert applied.run("destroy", "dev", "--unit", "e", "--auto-approve").code == 0
    assert "; destroyed 20" in applied.run("explain", "dev", "e").out.splitlines()[1]
    spec = applied.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('"a"', '"first", formerly="a"'))
    title, fingerprint, *_ = applied.run("explain", "dev", "first").out.splitlines()
    assert title.endswith(", renamed from a")
    assert "not the same as at its last apply" in fingerprint


def test_a_unit_that_is_not_there_is_refused_with_the_nearest(applied: Desk) -> None:
    applied.write({"stacks/dev/stack.py": SPEC.replace('"e"', '"web"')})
    done = applied.run("explain", "dev", "wbe")
    assert done.code == 64
    assert 'did you mean "web"?' in done.err
