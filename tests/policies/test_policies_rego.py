"""Policies in Rego mean what those in Python mean, and what cannot be asked of them says no: with the real interpreter."""

from __future__ import annotations

import json
import re
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra_orch import Change, Plan
from infra_orch.errors import SpecError, UnavailableError
from infra_orch.policies.judge import Policies
from infra_orch.policies.plan import changes_of, masked_plan
from infra_orch.policies.rego import load_rego
from infra_orch.policies.rego_text import RegoFile
from infra_orch.policies.verdict import Verdict

pytest.importorskip("regopy", reason="regopy is not published for this machine")

BUCKET = 'module.s3["eu"].aws_s3_bucket.logs'


def entry(address: str, actions: list[str], **change: Any) -> dict[str, Any]:
    kind = address.rpartition("]")[2].strip(".").split(".")[0] if address != BUCKET else "aws_s3_bucket"
    return {"address": address, "type": kind, "provider_name": "acme/x", "change": {"actions": actions, **change}}


def plan(*entries: dict[str, Any], **more: Any) -> Plan:
    document = {"format_version": "1.2", "resource_changes": list(entries), **more}
    changes: tuple[Change, ...] = tuple(changes_of(entries))
    json_plan = masked_plan(document, "terraform_data.helper")
    return Plan("prod", "web", "modules/web", frozenset({"data"}), False, changes, json_plan)


def asked(given: Plan, **files: str) -> list[Verdict]:
    """What files of these names (`a` is policies/a.rego) say of a plan."""
    return Policies(rego=load(**files)).judge(given)


def load(**files: str) -> Any:
    return load_rego([RegoFile(f"policies/{name}.rego", text) for name, text in files.items()])


def told(verdicts: list[Verdict]) -> list[tuple[str, str, str]]:
    return [(verdict.severity, verdict.address, verdict.message) for verdict in verdicts]


DATA = """
package main

import rego.v1

kept := {"aws_db_instance", "aws_s3_bucket"}

deny contains {"msg": "data is not destroyed", "address": change.address} if {
    some change in input.resource_changes
    change.type in kept
    "delete" in change.change.actions
}
"""


def test_data_is_not_destroyed() -> None:
    (verdict,) = asked(plan(entry(BUCKET, ["delete", "create"]), entry("aws_instance.a", ["delete"])), data=DATA)
    assert verdict == Verdict("data.rego:deny", "deny", "web", BUCKET, "data is not destroyed", "policies/data.rego:8")
    assert str(verdict) == f"policy data.rego:deny: {BUCKET}: data is not destroyed"
    assert asked(plan(entry(BUCKET, ["update"])), data=DATA) == []


TAGS = """
package main

required := {"Owner", "Env"}

deny_tags contains msg if {
    some change in input.resource_changes
    "create" in change.change.actions
    some tag in required
    not change.change.after.tags[tag]
    msg := sprintf("%s has no tag %s", [change.address, tag])
}
"""


def test_tags_are_required() -> None:
    verdicts = asked(plan(entry(BUCKET, ["create"], after={"tags": {"Owner": "ada"}})), tags=TAGS)
    assert told(verdicts) == [("deny", "", f"{BUCKET} has no tag Env")]
    assert asked(plan(entry(BUCKET, ["create"], after={"tags": {"Owner": "ada", "Env": "x"}})), tags=TAGS) == []


PUBLIC = """
package aws.s3

violation contains {"msg": "it lets the bucket be public", "address": change.address, "details": {}} if {
    some change in input.resource_changes
    change.type == "aws_s3_bucket_public_access_block"
    not change.change.after.block_public_acls
}

warn contains "many resources in one unit" if {
    count([change | some change in input.resource_changes; "create" in change.change.actions]) > 2
}
"""


def test_no_bucket_is_public_and_many_resources_are_warned_of_in_any_package() -> None:
    block = entry("aws_s3_bucket_public_access_block.a", ["create"], after={"block_public_acls": False})
    others = [entry(f"x.y{number}", ["create"], after={}) for number in range(2)]
    assert told(asked(plan(block, *others), s3=PUBLIC)) == [
        ("deny", "aws_s3_bucket_public_access_block.a", "it lets the bucket be public"),
        ("warn", "", "many resources in one unit"),
    ]
    assert told(asked(plan(*others), s3=PUBLIC)) == []


def test_files_that_have_a_rule_of_one_name_each_get_their_own_verdicts() -> None:
    one = 'package main\nhelper := 3\ndeny contains "one" if helper == 3\n'
    two = 'package main\n\n\ndeny contains "two" if helper == 3\ndeny contains "more" if true\n'
    verdicts = asked(plan(entry("x.y", ["create"])), one=one, two=two, three='package main\nwarn contains "w"\n')
    assert sorted((verdict.policy, verdict.where, verdict.message) for verdict in verdicts) == [
        ("main:deny", "policies/one.rego:3, policies/two.rego:4", "two"),
        ("one.rego:deny", "policies/one.rego:3", "one"),
        ("three.rego:warn", "policies/three.rego:2", "w"),
        ("two.rego:deny", "policies/two.rego:4", "more"),
    ]


def test_helpers_in_other_packages_are_found() -> None:
    lib = 'package lib.tags\n\nowner(change) := object.get(change, ["change", "after", "tags", "Owner"], "nobody")\n'
    use = "package main\nimport data.lib.tags\ndeny contains tags.owner(c) if some c in input.resource_changes\n"
    assert told(asked(plan(entry("x.y", ["create"], after={"tags": {}})), lib=lib, use=use)) == [("deny", "", "nobody")]


FORMS = {
    "a set": ('deny contains "m"', [("deny", "", "m")]),
    "a set as version 0 has it": ("deny[msg] { msg := input.infra_orch.unit }", [("deny", "", "web")]),
    "objects as version 0 has them": ('deny[{"msg": "m"}] { true }', [("deny", "", "m")]),
    "true": ("deny if { count(input.resource_changes) == 1 }", [("deny", "", "it is not allowed")]),
    "false": ("default deny := false", []),
    "one message": ('warn := "m" if true', [("warn", "", "m")]),
    "none": ('deny := "m" if false', []),
    "an empty set": ('violation contains "m" if false', []),
    "what is of the unit": (
        'warn contains sprintf("%s %s %v", [x.stack, x.module, x.tags]) if x := input.infra_orch',
        [("warn", "", 'prod modules/web ["data"]')],
    ),
    "quotes that the interpreter forgets to escape": (
        'deny contains msg if { m := {"a"} - object.keys(input.infra_orch); msg := concat(" ", ["no", concat("", m)]) }',
        [("deny", "", "no a")],
    ),
}


@pytest.mark.parametrize("what", FORMS)
def test_every_form_of_a_finding_is_a_verdict(what: str) -> None:
    text, expected = FORMS[what]
    assert told(asked(plan(entry("x.y", ["create"])), a=f"package main\n{text}\n")) == expected


CANNOT = {
    "a number": ("warn_days := 30", "30 is no finding"),
    "an object without msg": ('warn contains {"message": "m"}', "an object with message is no finding"),
    "a built-in that fails": ("warn contains x if { x := to_number(input.infra_orch.unit) }", ""),
    "a function that there is not": ("warn contains x if { x := foo(input.infra_orch.unit) }", "foo"),
    "two values": ("deny := input.infra_orch.unit\ndeny := input.infra_orch.stack", ""),
}


@pytest.mark.parametrize("what", CANNOT)
def test_what_cannot_be_asked_says_no(what: str) -> None:
    text, message = CANNOT[what]
    (verdict,) = asked(plan(entry("x.y", ["create"])), a=f"package main\n{text}\n")
    assert verdict.severity == "deny"
    assert "it could not be asked" in verdict.message
    assert message in verdict.message
    assert verdict.where.startswith("policies/a.rego")


WRONG = {
    "bad syntax": ("deny contains msg if {\n  msg :=\n}", "cannot be read as Rego: Invalid assignment operator", 3),
    "an open brace": ("deny contains msg if {", "cannot be read as Rego", 2),
    "a part of the plan that is kept back": ("x := input.variables", "input has no variables", 2),
    "a misspelt part": ("# input.x\nx := input.resource_change", "input has no resource_change", 3),
    "a name that is declared nowhere": (
        'deny contains "m" if {\n  some c in inptu.resource_changes\n  c.type == "x"\n}',
        '"inptu" is declared nowhere',
        3,
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_is_told_with_its_line(what: str) -> None:
    text, message, line = WRONG[what]
    with pytest.raises(SpecError) as caught:
        load(a=f"package main\n{text}\n")
    (problem,) = caught.value.problems
    assert message in problem.message
    assert str(problem.where) == f"policies/a.rego:{line}"


def test_a_file_without_a_package_is_wrong() -> None:
    with pytest.raises(SpecError, match="begins with no package"):
        load(a='# package main\ndeny contains "x"\n')


def test_names_that_are_declared_somewhere_are_fine() -> None:
    text = """
        package main

        import data.lib.x
        import input.planned_values as planned

        limits := {"a": 1}
        deny contains "m" if {
            some i, change in input.resource_changes
            y := x.z(change, i)
            y.b[0] == limits.a
            planned.root_module
            input.resource_changes[j].type == "inptu.x"   # inptu.y
            other.c == json.marshal(y)
            every part in y.parts { part.ok }
        }
        """
    load(a=text, b="package main\n\nother := {}\n", lib="package lib.x\n\nz(a, b) := a\n")


def test_what_is_sensitive_is_masked_in_every_part_of_the_plan() -> None:
    secret = {"id": 1, "password": "hunter2", "ratio": Decimal("1.50")}
    marks = {"password": True}
    values = {"address": "x.y", "values": secret, "sensitive_values": marks}
    given = plan(
        entry("x.y", ["update"], before=secret, before_sensitive=marks, after=secret, after_sensitive=marks),
        entry("terraform_data.helper", ["create"], after={"id": "ours"}),
        output_changes={"o": {"actions": ["create"], "before": None, "after": "hunter2", "after_sensitive": True}},
        planned_values={
            "outputs": {"o": {"sensitive": True, "value": "hunter2"}},
            "root_module": {"resources": [values], "child_modules": [{"resources": [values]}]},
        },
        variables={"v": {"value": "hunter2"}},
        prior_state={"values": "hunter2"},
    )
    (verdict,) = asked(given, a="package main\n\ndeny contains json.marshal(input)\n")
    assert "hunter2" not in verdict.message
    assert "helper" not in verdict.message
    seen = json.loads(verdict.message)
    assert set(seen) == set(given.json) | {"infra_orch"}
    masked = {"id": 1, "password": "(sensitive)", "ratio": 1.5}
    assert seen["resource_changes"][0]["change"]["after"] == masked
    assert seen["planned_values"]["root_module"]["child_modules"][0]["resources"][0]["values"] == masked


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "\u00e9\u2028", "", "{", "x" * 5000, "`"])
def test_texts_come_through_as_they_are(text: str) -> None:
    policy = 'package main\n\ndeny contains {"msg": c.change.after.v, "address": c.address} if some c in input.resource_changes\n'
    (verdict,) = asked(plan(entry(f"x.y[{json.dumps(text)}]", ["create"], after={"v": text})), a=policy)
    assert (verdict.message, verdict.address) == (text, f"x.y[{json.dumps(text)}]")


def test_units_that_are_judged_at_once_do_not_meet() -> None:
    policies = Policies(rego=load(a="package main\n\ndeny contains c.address if some c in input.resource_changes\n"))
    found: dict[int, list[Verdict]] = {}

    def judge(number: int) -> None:
        found[number] = policies.judge(plan(entry(f"x.y{number}", ["create"])))

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: verdict.message for number, (verdict,) in found.items()} == {n: f"x.y{n}" for n in range(20)}


def test_what_a_policy_prints_is_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    text = 'package main\n\nwarn contains "m" if {\n  print("unit", input.infra_orch.unit)\n}\n'
    assert told(asked(plan(entry("x.y", ["create"])), a=text)) == [("warn", "", "m")]
    printed = capfd.readouterr()
    assert (printed.out, "unit web" in printed.err) == ("", True)


def test_a_policy_sees_no_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    (verdict,) = asked(
        plan(entry("x.y", ["create"])), a='package main\n\ndeny contains sprintf("%v", [opa.runtime().env])\n'
    )
    assert "PATH" in verdict.message
    assert "hunter2" not in verdict.message


def test_without_regopy_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "regopy", None)
    with pytest.raises(UnavailableError, match="regopy, which evaluates it, is not installed") as caught:
        load(a=DATA)
    assert caught.value.hint == "pip install 'infra-orch[rego]'"


@pytest.mark.parametrize("end", ["os.abort()", "print('{', flush=True); os._exit(0)", "raise OSError('no libc')"])
def test_an_interpreter_that_dies_over_a_plan_says_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], end: str
) -> None:
    rego = load(a=DATA)
    (tmp_path / "regopy").mkdir()
    (tmp_path / "regopy/__init__.py").write_text(f"import os\n{end}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (verdict,) = Policies(rego=rego).judge(plan(entry("x.y", ["create"])))
    assert (verdict.severity, verdict.policy, verdict.where) == ("deny", "a.rego", "policies/a.rego")
    assert "it could not be asked: the interpreter ended with code " in verdict.message
    assert capfd.readouterr().out == ""


def test_the_policies_in_rego_that_the_page_shows_say_what_it_says() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/policies.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```rego\n# policies/(\w+)\.rego\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    bad = plan(
        entry(BUCKET, ["delete"], before={}),
        entry("aws_instance.a", ["create"], after={"tags": {"Env": "x"}}),
        entry("aws_s3_bucket_public_access_block.a", ["update"], after={"block_public_acls": False}),
        *(entry(f"x.y{number}", ["create"], after={}) for number in range(21)),
    )
    assert [(verdict.policy, verdict.severity, verdict.address) for verdict in asked(bad, **dict(shown))] == [
        ("data.rego:deny", "deny", BUCKET),
        ("house.rego:deny_public", "deny", "aws_s3_bucket_public_access_block.a"),
        ("house.rego:deny_tags", "deny", "aws_instance.a"),
        ("house.rego:warn_many", "warn", ""),
    ]
    assert asked(plan(entry("aws_instance.a", ["create"], after={"tags": {"Owner": "ada"}})), **dict(shown)) == []
