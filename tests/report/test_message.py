"""What a notification says: numbers, names and words, and nothing that calls a whole channel or holds a provider's text."""

from __future__ import annotations

from typing import Any

from infra_orch.report.message import text_of, title_of, values_of


def unit(status: str, *, create: int = 0, delete: int = 0, error: str = "", resources: int = 0) -> dict[str, Any]:
    resource = {"address": "a.b", "type": "a", "actions": ["update"]}
    return {
        "status": status,
        "changes": {"create": create, "delete": delete},
        "resources": [resource] * resources,
        "error": {"summary": error} if error else None,
        "duration_s": 1.0,
    }


def run(units: dict[str, Any], **facts: Any) -> dict[str, Any]:
    known = {"run_id": "20260101T000000000Z-abcdef", "command": "apply", "by": "Ada <ada@example.com>"}
    return {**known, "commit": "0123456789abcdef", "units": units, "tasks": {}, **facts}


def test_what_went_wrong_comes_first_and_what_stayed_as_it_is_is_left_out() -> None:
    units = {
        "network": unit("applied", create=3),
        "same": unit("unchanged"),
        "web": unit("failed", create=1, error="the provider said hunter2"),
        "alerts": unit("blocked"),
    }
    values = values_of("failed", {"prod": run(units)}, "https://ci.example.com/7")
    assert title_of(values) == "apply prod: failed"
    assert text_of(values) == (
        "1 applied, 1 failed, 1 blocked · 4 created\n"
        "web: failed (1 created)\nalerts: blocked\nnetwork: applied (3 created)\n"
        "run 20260101T000000000Z-abcdef · commit 0123456789ab · by Ada\n"
        "https://ci.example.com/7"
    )


def test_before_it_begins_it_says_what_is_to_happen() -> None:
    values = values_of("start", {"prod": run({"a": unit("planned", create=1, delete=2)})}, "")
    assert title_of(values) == "apply prod: started"
    assert (values["summary"], values["units"]) == (
        "1 to create, 2 to destroy",
        "a: planned (1 to create, 2 to destroy)",
    )


def test_drift_is_counted_with_what_could_not_be_looked_at() -> None:
    units = {"a": unit("planned", resources=2), "b": unit("failed"), "c": unit("unchanged")}
    values = values_of("drift", {"prod": run(units, command="drift")}, "")
    assert title_of(values) == "drift prod: has drifted"
    assert values["summary"] == "2 resources drifted in 1 unit, 1 could not be looked at"
    assert values["units"] == "b: failed\na: drifted"


def test_several_stacks_are_one_message_in_which_units_go_by_their_stacks() -> None:
    documents = {name: run({"a": unit("applied", create=1)}) for name in ("s1", "s2", "s3", "s4", "s5", "s6")}
    values = values_of("applied", documents, "")
    assert values["stack"] == "s1, s2, s3, s4, s5 and 1 more"
    assert values["summary"] == "6 applied · 6 created"
    assert values["units"].splitlines()[0] == "s1/a: applied (1 created)"


def test_many_units_are_not_all_named() -> None:
    values = values_of("applied", {"prod": run({f"u{number}": unit("applied") for number in range(25)})}, "")
    assert values["units"].splitlines()[19:] == ["u19: applied", "… and 5 more"]


def test_nobody_is_called_by_a_name_that_somebody_chose() -> None:
    values = values_of("applied", {"prod": run({}, by="<!channel> @everyone `x`\n\x1b[2J <a@b>")}, "")
    assert values["by"] == "(!channel)  at everyone 'x'\\u000a\\u001b[2J"
    assert len(values_of("applied", {"prod": run({}, by="x" * 999)}, "")["by"]) == 200


def test_a_run_that_has_no_document_says_why_in_general() -> None:
    known = {"command": "drift", "status": "failed", "reason": "somebody else is at work on it"}
    values = values_of("failed", {"prod": known, "dev": known}, "")
    assert title_of(values) == "drift dev, prod: failed"
    assert text_of(values) == "somebody else is at work on it"
