"""Whether a plan does more than what was approved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra_orch.approval.effects import Plan, beyond, digest
from infra_orch.run.outcome import AttributeChange, Outcome, ResourceChange, Status

AT = "2026-03-01T10:00:00+00:00"
LATER = "2026-03-04T08:00:00+00:00"


def value(after: str, before: str = "null", path: str = "name") -> AttributeChange:
    return AttributeChange(path, before, after)


def change(*actions: str, address: str = "a.b", attributes: tuple[AttributeChange, ...] = (), **more) -> ResourceChange:
    return ResourceChange(address, "a", actions, attributes, **more)


def plan(*changes: ResourceChange, at: str = AT, **more) -> Plan:
    return Plan(Outcome("web", Status.PLANNED, resources=changes, **more), at)


READ = change("read", address="data.a.b")
UNKNOWN = value("(known after apply)")

NO_MORE = {
    "the same": (plan(change("create")), plan(change("create"))),
    "in another order": (
        plan(change("create"), change("update", address="a.c")),
        plan(change("update", address="a.c"), change("create")),
    ),
    "data that is read": (plan(change("create")), plan(change("create"), READ)),
    "a value that was unknown": (
        plan(change("create", attributes=(UNKNOWN,))),
        plan(change("create", attributes=(value("7"),))),
    ),
    "less": (plan(change("create"), change("delete", address="a.c")), plan(change("create"))),
    "an update instead of a replacement": (plan(change("delete", "create")), plan(change("update"))),
    "lines that go and come under one number": (
        plan(change("update", attributes=(value("null", '"b"', "it line 2"), value('"c"', path="it line 2")))),
        plan(change("update", attributes=(value("null", '"b"', "it line 2"), value('"c"', path="it line 2")))),
    ),
    "the time of planning, which was no other": (
        plan(change("update")),
        plan(change("update", attributes=(value('"2026-03-04T08:00:05Z"'),)), at=LATER),
    ),
    "the time of planning": (
        plan(change("update", attributes=(value('"at 2026-03-01T10:00:09Z"'),))),
        plan(change("update", attributes=(value('"at 2026-03-04T08:00:05Z"'),)), at=LATER),
    ),
}
MORE = {
    "another resource": (
        plan(change("create")),
        plan(change("create"), change("create", address="a.c")),
        "a.c: create, which was not approved",
    ),
    "a deletion": (plan(change("update")), plan(change("delete")), "a.b: delete, where update was approved"),
    "a replacement": (
        plan(change("update")),
        plan(change("create", "delete")),
        "a.b: replace, where update was approved",
    ),
    "an object that was to be gone": (
        plan(change("update")),
        plan(change("update"), change("delete", deposed="c0ffee")),
        "a.b (deposed c0ffee): delete, which was not approved",
    ),
    "another value": (
        plan(change("create", attributes=(value('"x"'),))),
        plan(change("create", attributes=(value('"y"'),))),
        'a.b: name becomes "y", where "x" was approved',
    ),
    "another attribute": (
        plan(change("update")),
        plan(change("update", attributes=(value('"y"'),))),
        'a.b: name becomes "y", which was not approved',
    ),
    "a value that is another by now": (
        plan(change("update", attributes=(value("5", "3"),))),
        plan(change("update", attributes=(value("5", "10"),))),
        "a.b: name is 10 by now, and was 3 when it was approved",
    ),
    "a time that is not the one of planning": (
        plan(change("update", attributes=(value('"2027-01-01T00:00:00Z"'),))),
        plan(change("update", attributes=(value('"2028-01-01T00:00:00Z"'),))),
        'a.b: name becomes "2028-01-01T00:00:00Z", where "2027-01-01T00:00:00Z" was approved',
    ),
    "a move": (
        plan(change("no-op")),
        plan(change("no-op", moved_from="a.c")),
        "a.b: moved from a.c, which was not approved",
    ),
    "an import": (
        plan(change("no-op", imported_id="i-1")),
        plan(change("no-op", imported_id="i-2")),
        "a.b: imported as i-2, which was not approved",
    ),
    "what is in use, and not what a replacement left behind": (
        plan(change("delete", deposed="5f3c")),
        plan(change("delete"), change("delete", deposed="5f3c")),
        "a.b: delete, which was not approved",
    ),
    "another deposed object": (
        plan(change("delete", deposed="5f3c")),
        plan(change("delete", deposed="77aa")),
        "a.b (deposed 77aa): delete, which was not approved",
    ),
    "something new without a value that was approved": (
        plan(change("create", attributes=(value("true", path="encrypted"), value('"x"')))),
        plan(change("create", attributes=(value('"x"'),))),
        "a.b: encrypted is not set, where true was approved",
    ),
    "another output": (
        plan(outputs_changed=("name",)),
        plan(outputs_changed=("name", "users")),
        "output users changes, which was not approved",
    ),
    "the unit as a whole": (
        plan(change("delete")),
        plan(change("delete"), destroys_unit=True),
        "the unit is destroyed, which was not approved",
    ),
}


@pytest.mark.parametrize("name", NO_MORE)
def test_a_plan_that_does_no_more(name: str):
    assert beyond(*NO_MORE[name]) == []


@pytest.mark.parametrize("name", MORE)
def test_a_plan_that_does_more_says_what(name: str):
    approved, now, line = MORE[name]
    assert beyond(approved, now)[:1] == [line]


@pytest.mark.parametrize("name", ["in another order", "data that is read", "the time of planning"])
def test_plans_that_do_the_same_have_one_digest(name: str):
    first, second = NO_MORE[name]
    assert digest({"web": first}) == digest({"web": second})


@pytest.mark.parametrize("name", MORE)
def test_plans_that_do_something_else_have_another_digest(name: str):
    first, second, _ = MORE[name]
    assert digest({"web": first}) != digest({"web": second})


def test_long_values_that_begin_alike_are_not_taken_for_the_same():
    from infra_orch.redact import Redactor
    from infra_orch.run.differences import Side

    said = [Side("x" * 5000 + end).text("policy", Redactor(())) for end in ("a", "b")]
    first, second = (plan(change("create", attributes=(value(text),))) for text in said)
    assert beyond(first, second)
    assert not beyond(first, replace(second, outcome=first.outcome))
