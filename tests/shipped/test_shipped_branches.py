"""What the environments of branches are called in stacks/delivery."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_code import code

branches = code("delivery", "branches")
WHOLE = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9/._#+@-]*", fullmatch=True)


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        ("main", "main"),
        ("feature/checkout", "feature-checkout"),
        ("fix/JIRA-421_cart-total", "fix-jira-421-cart-total"),
        ("release/2.0", "release-2-0"),
        ("a--b__c//", "a-b-c"),
    ],
)
def test_a_name_is_what_aws_can_hold_of_the_branchs(branch: str, name: str) -> None:
    assert branches.environment_name(branch) == name


@given(WHOLE)
def test_every_name_is_taken_by_the_module(branch: str) -> None:
    name = branches.environment_name(branch)
    assert 1 <= len(name) <= branches.LONGEST
    assert name.strip("-") == name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = (branches.environment_name(f"feature/a-very-long-story-about-the-{what}") for what in ("cart", "till"))
    assert one != other
    assert one[:20] == other[:20]


@pytest.mark.parametrize("branch", ["", "*", "release/*", "-x", "two words", "ünïcode", "a\nb", "refs heads"])
def test_what_is_no_branch_is_refused_by_its_name(branch: str) -> None:
    with pytest.raises(ValueError) as caught:
        branches.environment_name(branch)
    assert repr(branch) in str(caught.value)


@pytest.mark.parametrize("other", ["feature-cart", "Feature/Cart", "feature/cart"])
def test_two_branches_that_would_share_an_environment_are_both_named(other: str) -> None:
    with pytest.raises(ValueError) as caught:
        branches.environments([branches.Branch("feature/cart"), branches.Branch(other)])
    assert "'feature/cart'" in str(caught.value)
    assert repr(other) in str(caught.value)


def test_environments_are_in_the_order_of_the_branches() -> None:
    listed = [branches.Branch(name) for name in ("main", "b/2", "a/1")]
    assert list(branches.environments(listed)) == ["main", "b-2", "a-1"]
