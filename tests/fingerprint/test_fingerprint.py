"""Fingerprints: equal where all is equal, and what became of each part where it is not."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from infra_orch.fingerprint.fingerprint import SECRETS, Fingerprint, compare
from infra_orch.fingerprint.key import key_of
from infra_orch.project import find_project

if TYPE_CHECKING:
    from conftest import Desk


def test_what_became_of_each_part_is_told() -> None:
    before = Fingerprint({"a": "1", "b": "1", "c": "1", SECRETS: "k1:1"})
    now = Fingerprint({"a": "1", "b": "2", "d": "1", SECRETS: "k1:2"})
    assert compare(now, before) == {"a": "same", "b": "changed", "c": "gone", "d": "new", SECRETS: "changed"}


def test_secrets_that_were_digested_with_another_key_cannot_be_compared() -> None:
    assert compare(Fingerprint({SECRETS: "k1:1"}), Fingerprint({SECRETS: "k2:1"})) == {SECRETS: "unknown"}


def test_a_fingerprint_is_read_back_and_anything_else_is_none() -> None:
    found = Fingerprint({"a": "1"}, ("b",))
    assert Fingerprint.from_json(found.as_json()) == found
    for other in (None, {}, [], {"digest": "x", "parts": {"a": 1}, "unseen": []}):
        assert Fingerprint.from_json(other) is None


def test_the_key_stays_the_same_and_is_readable_by_its_owner_alone(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": ""})
    project = find_project(desk.root)
    key = key_of(project)
    assert key_of(project) == key
    (path,) = project.scratch.glob("*.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) == 32
