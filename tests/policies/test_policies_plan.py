"""What a policy sees of a plan: Terraform's changes, and nothing that is secret."""

from __future__ import annotations

from typing import Any

import pytest

from infra_orch import Change, Plan, policy
from infra_orch.policies.judge import Policies, Verdict
from infra_orch.policies.plan import changes_of


def raw(actions: list[str], **change: Any) -> dict[str, Any]:
    return {"address": "x.y", "type": "x", "provider_name": "acme/x", "change": {"actions": actions, **change}}


def one(actions: list[str], **change: Any) -> Change:
    (found,) = changes_of([raw(actions, **change)])
    return found


def plan(*changes: Change) -> Plan:
    return Plan("prod", "web", "modules/web", frozenset(), False, changes)


def found_by(function: Any, severity: Any = "deny") -> list[Verdict]:
    return Policies((policy(severity)(function),)).judge(plan(one(["create"], after={"size": 3})))


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (["create"], ["creates"]),
        (["update"], ["updates"]),
        (["delete"], ["destroys"]),
        (["delete", "create"], ["creates", "destroys", "replaces"]),
        (["create", "delete"], ["creates", "destroys", "replaces"]),
        (["read"], []),
    ],
)
def test_what_a_change_does_is_told_by_terraforms_actions(actions: list[str], words: list[str]) -> None:
    change = one(actions)
    assert [word for word in ("creates", "updates", "destroys", "replaces") if getattr(change, word)] == words


def test_what_is_sensitive_is_masked_as_deep_as_it_goes() -> None:
    change = one(
        ["update"],
        before={"password": "hunter2", "name": "a", "list": [{"key": "k1", "id": 1}, {"key": "k2"}], "none": None},
        before_sensitive={"password": True, "list": [{"key": True}], "none": True},
        after={"password": "hunter3"},
        after_sensitive=True,
        after_unknown={"id": True},
    )
    mask = "(sensitive)"
    assert change.before == {
        "password": mask,
        "name": "a",
        "list": [{"key": mask, "id": 1}, {"key": "k2"}],
        "none": None,
    }
    assert change.after == mask
    assert change.unknown == {"id": True}


def test_every_form_of_a_finding_is_a_verdict() -> None:
    def forms(plan: Plan) -> Any:
        """Never this.

        Nor that.
        """
        (change,) = plan.changes
        yield "a message"
        yield change
        yield change, "both"
        yield [change, ["nested"]]
        yield None

    assert [(verdict.address, verdict.message) for verdict in found_by(forms)] == [
        ("", "a message"),
        ("x.y", "Never this."),
        ("x.y", "both"),
        ("x.y", "Never this."),
        ("", "nested"),
    ]


def test_where_all_is_well_there_is_no_verdict() -> None:
    assert found_by(lambda plan: None) == []
    assert found_by(lambda plan: []) == []


def test_nobody_is_asked_where_nothing_changes() -> None:
    policies = Policies((policy()(lambda plan: "no"),))
    assert policies.judge(plan()) == []


@pytest.mark.parametrize("returned", [True, False, 3, {"a": 1}, object(), (1, 2)])
def test_what_is_no_finding_is_a_no(returned: object) -> None:
    (verdict,) = found_by(lambda plan: returned, "warn")
    assert (verdict.severity, "it could not be asked" in verdict.message) == ("deny", True)


def test_what_was_found_before_it_raised_is_told_too() -> None:
    def breaks(plan: Plan) -> Any:
        yield "first"
        raise RuntimeError("then")

    assert [(verdict.severity, verdict.message) for verdict in found_by(breaks, "warn")] == [
        ("warn", "first"),
        ("deny", "it could not be asked: RuntimeError: then"),
    ]


def test_a_verdict_says_where_its_policy_stands() -> None:
    def here(plan: Plan) -> str:
        return "no"

    (verdict,) = found_by(here)
    assert verdict.where == f"{__file__}:{here.__code__.co_firstlineno}"
    assert (verdict.policy, verdict.unit, str(verdict)) == ("here", "web", "policy here: no")
