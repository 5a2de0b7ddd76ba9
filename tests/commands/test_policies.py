"""Policies: Python that says what may be done, asked about every plan, and whose no nothing gets around."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "text" {
      type      = string
      sensitive = true
    }

    variable "size" {
      type    = number
      default = 1
    }

    resource "terraform_data" "it" {
      count = var.size
      input = { text = var.text, owner = "ada" }
    }

    output "id" {
      value = one(terraform_data.it[*].id)
    }
    """
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    a = stack.unit("a", module="it", inputs={"text": "correct-horse"}, tags=["data"])
    stack.unit("b", module="it", inputs={"text": "battery-staple"}, after=[a])
    """
NO_DESTROY = """
    from infra_orch import Plan, policy
    from _names import KEPT

    @policy("deny")
    def no_destroy(plan: Plan):
        \"\"\"What is tagged data is not destroyed.

        Never.
        \"\"\"
        return [change for change in plan.changes if change.destroys and KEPT in plan.tags]
    """
OWNERS = """
    from infra_orch import policy

    @policy("warn")
    def owners(plan):
        print("asked about", plan.unit)
        for change in plan.changes:
            if change.creates and change.after["input"]["owner"] != "eve":
                yield change, f"the owner is {change.after['input']['owner']}, and the text {change.after['input']['text']}"
    """
WARNED = "policy owners: module.a.terraform_data.it[0]: the owner is ada, and the text (sensitive)"


@pytest.fixture
def judged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    spec = (
        SPEC.replace('"correct-horse"', "env('A')")
        .replace('"battery-staple"', "env('B')")
        .replace("import Stack", "import Stack, env")
    )
    monkeypatch.setenv("A", "correct-horse")
    monkeypatch.setenv("B", "battery-staple")
    desk.write(
        {
            "modules/it/main.tf": MODULE,
            "stacks/dev/stack.py": spec,
            "policies/destroy.py": NO_DESTROY,
            "policies/_names.py": "KEPT = 'data'\n",
            "policies/owners.py": OWNERS,
        }
    )
    desk.commit()
    return desk


def shrink(desk: Desk, unit: str) -> None:
    """Have a unit lose its resource."""
    path = desk.root / "stacks/dev/stack.py"
    path.write_text(
        path.read_text().replace(f"\"text\": env('{unit.upper()}')", f'"size": 0, "text": env(\'{unit.upper()}\')')
    )


def test_what_a_policy_warns_of_is_told_and_done(judged: Desk) -> None:
    planned = judged.run("plan", "dev")
    assert planned.code == 0, planned.err
    assert f"warning: {WARNED}" in planned.out
    assert "asked about a" in planned.err
    applied = judged.run("apply", "dev", "--auto-approve", "--json")
    assert applied.code == 0, applied.err
    assert json.loads(applied.out)["units"]["a"]["status"] == "applied"


def test_what_a_policy_denies_is_refused_before_anything_is_done(judged: Desk) -> None:
    assert judged.run("apply", "dev", "--auto-approve").code == 0
    shrink(judged, "a")
    shrink(judged, "b")
    planned = judged.run("plan", "dev", "--json")
    assert planned.code == 77
    error = json.loads(planned.out)["units"]["a"]["error"]
    assert error["kind"] == "policy"
    assert error["summary"] == (
        "policy no_destroy: module.a.terraform_data.it[0]: What is tagged data is not destroyed."
    )
    assert error["hint"].startswith("policies/destroy.py:4 says so")
    before = judged.git("rev-parse", "HEAD")
    applied = judged.run("apply", "dev", "--auto-approve")
    assert (applied.code, judged.git("rev-parse", "HEAD")) == (77, before)
    assert "a: refused: policy no_destroy" in applied.out
    assert judged.run("destroy", "dev", "--auto-approve").code == 77
    assert judged.run("apply", "dev", "--unit", "b", "--auto-approve").code == 0
    preview = judged.run("preview", "--base", "HEAD~1")
    assert preview.code == 77
    assert preview.out.startswith("### infra-orch: 1 refused")


def test_a_plan_made_elsewhere_is_judged_by_those_who_apply_it(judged: Desk) -> None:
    policies = shutil.move(judged.root / "policies", judged.root.parent / "policies")
    assert judged.run("plan", "dev", "--out", "dev.plan").code == 0
    no = "from infra_orch import policy\n\n@policy()\ndef nothing(plan):\n    return f'{plan.unit} is not to be'\n"
    (judged.root.parent / "policies/more.py").write_text(no)
    done = judged.run("apply", "dev", "--plan", "dev.plan", "--auto-approve", "--policies", str(policies))
    assert done.code == 77
    assert "policy nothing: a is not to be" in done.out


def test_what_an_apply_plans_anew_is_judged_then(judged: Desk) -> None:
    """What waits for a value of another unit is known in the apply alone."""
    limit = (
        "from infra_orch import policy\n\n@policy()\ndef limit(plan):\n"
        "    return [c for c in plan.changes if plan.unit == 'b' and len(c.after['input'].get('text', '')) > 20]\n"
    )
    spec = (
        "from infra_orch import Stack\nstack = Stack('dev')\na = stack.unit('a', module='plain', inputs={'text': 'a'})\n"
        "stack.unit('b', module='plain', inputs={'text': a.outputs.id})\n"
    )
    plain = MODULE.replace("      sensitive = true\n", "")
    (judged.root / "policies/owners.py").unlink()
    judged.write({"policies/limit.py": limit, "modules/plain/main.tf": plain, "stacks/dev/stack.py": spec})
    done = judged.run("apply", "dev", "--auto-approve", "--json")
    found = {name: unit["status"] for name, unit in json.loads(done.out)["units"].items()}
    assert (done.code, found) == (1, {"a": "applied", "b": "refused"}), done.err
    assert not (judged.root / "stacks/dev/state/b.tfstate").exists()


BROKEN = {
    "a policy that raises": ("    return plan.changes[7]\n", "policy broken: it could not be asked: IndexError"),
    "one that ends the program": ("    raise SystemExit(0)\n", "policy broken: it could not be asked: SystemExit"),
    "one that says neither yes nor no": ("    return True\n", "True is no finding"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_policy_that_cannot_be_asked_says_no(judged: Desk, what: str) -> None:
    body, said = BROKEN[what]
    judged.write({"policies/broken.py": f"from infra_orch import policy\n\n@policy('warn')\ndef broken(plan):\n{body}"})
    done = judged.run("plan", "dev")
    assert done.code == 77
    assert said in done.out


WRONG = {
    "raises": ("x(\n", "policies/wrong.py:1", ""),
    "declares none": ("X = 1\n", "declares no policy", "@policy()"),
    "has no parentheses": (
        "from infra_orch import policy\n\n@policy\ndef f(plan):\n    pass\n",
        "with parentheses",
        "",
    ),
    "has another severity": (
        "from infra_orch import policy\n\n@policy('fatal')\ndef f(plan):\n    pass\n",
        "severity='fatal'",
        "",
    ),
    "has a name twice": (
        "from infra_orch import policy\n\n@policy(name='owners')\ndef f(plan):\n    pass\n",
        'policy "owners" is declared in',
        "give one another name",
    ),
    "names what is not there": (
        "from infra_orch import polizy\n",
        "cannot import name 'polizy'",
        'did you mean "policy"',
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_of_policies_that_is_wrong_stops_the_run_with_its_line(judged: Desk, what: str) -> None:
    text, message, hint = WRONG[what]
    judged.write({"policies/wrong.py": text})
    done = judged.run("apply", "dev", "--auto-approve")
    assert done.code == 65
    assert message in done.err
    assert hint in done.err
    assert not (judged.root / "stacks/dev/state/a.tfstate").exists()


def test_a_run_from_rendered_files_asks_only_policies_from_elsewhere(judged: Desk) -> None:
    assert judged.run("apply", "dev", "--auto-approve").code == 0
    shrink(judged, "a")
    judged.run("render", "dev")
    judged.commit()
    for words in ((), ("--policies", "policies")):
        refused = judged.run("plan", "dev", "--from-rendered", *words)
        assert refused.code == 77
        assert "--policies DIR names those of a checkout that you trust" in refused.err
    trusted = shutil.copytree(judged.root / "policies", judged.root.parent / "trusted")
    done = judged.run("plan", "dev", "--from-rendered", "--policies", str(trusted))
    assert done.code == 77
    assert "policy no_destroy: module.a.terraform_data.it[0]" in done.out
    shutil.rmtree(judged.root / "policies")
    judged.commit()
    assert judged.run("plan", "dev", "--from-rendered").code == 0


def test_a_folder_without_policies_is_a_mistake_where_it_was_named(judged: Desk) -> None:
    done = judged.run("plan", "dev", "--policies", "nowhere")
    assert done.code == 64
    assert '--policies "nowhere" holds no policies' in done.err


def test_a_policy_does_not_take_a_specs_module_for_its_own(judged: Desk) -> None:
    judged.write({"stacks/dev/_names.py": "KEPT = 'other'\n"})
    path = judged.root / "stacks/dev/stack.py"
    path.write_text("import _names\n" + path.read_text())
    assert judged.run("apply", "dev", "--auto-approve").code == 0
    shrink(judged, "a")
    assert judged.run("plan", "dev").code == 77


REGO = """
package main

deny contains {"msg": "data stays", "address": change.address} if {
    "data" in input.infra_orch.tags
    some change in input.resource_changes
    "delete" in change.change.actions
}

warn contains sprintf("the text is %s", [change.change.after.input.text]) if some change in input.resource_changes
"""


def test_a_policy_in_rego_denies_and_warns_as_one_in_python_does(judged: Desk) -> None:
    pytest.importorskip("regopy", reason="regopy is not published for this machine")
    shutil.rmtree(judged.root / "policies")
    (judged.root / "policies/data").mkdir(parents=True)
    (judged.root / "policies/data/stay.rego").write_text(REGO)
    (judged.root / "policies/data/stay_test.rego").write_text("package main\n\ntest_deny if {\n")
    applied = judged.run("apply", "dev", "--auto-approve")
    assert applied.code == 0, applied.err
    assert "warning: policy stay.rego:warn: the text is (sensitive)" in applied.out
    shrink(judged, "a")
    planned = judged.run("plan", "dev", "--json")
    assert planned.code == 77, planned.err
    error = json.loads(planned.out)["units"]["a"]["error"]
    assert error["summary"] == "policy stay.rego:deny: module.a.terraform_data.it[0]: data stays"
    assert error["hint"].startswith("policies/data/stay.rego:4 says so")
    judged.run("render", "dev")
    judged.commit()
    assert judged.run("plan", "dev", "--from-rendered").code == 77
    trusted = shutil.copytree(judged.root / "policies", judged.root.parent / "trusted")
    (trusted / "data/stay.rego").write_text("package main\n\ndeny contains msg if {\n  msg :=\n}\n")
    wrong = judged.run("plan", "dev", "--from-rendered", "--policies", str(trusted))
    assert wrong.code == 65
    assert f"{trusted}/data/stay.rego:4: it cannot be read as Rego: Invalid assignment operator" in wrong.err
