"""Rules in the settings say who is told of what, and an address that somebody wrote there is refused and not quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_orch.errors import UsageError
from infra_orch.notify.rules import Rule, filled
from infra_orch.settings import load_settings

RULES = """
[[notify]]
to = "env:SLACK_URL"
on = ["failed", "drift"]
stacks = ["prod*", "team/web"]
title = "$stack: ${status}, $$5"

[[notify]]
to = "env:TEAM_MAIL"
on = ["applied"]
"""


def load(tmp_path: Path, text: str) -> tuple[Rule, ...]:
    (tmp_path / "infra-orch.toml").write_text(text)
    return load_settings(tmp_path, {}).notify


def test_each_table_is_a_rule(tmp_path: Path) -> None:
    assert load(tmp_path, RULES) == (
        Rule("SLACK_URL", ("failed", "drift"), ("prod*", "team/web"), "$stack: ${status}, $$5"),
        Rule("TEAM_MAIL", ("applied",)),
    )


@pytest.mark.parametrize(
    ("stack", "event", "fits"),
    [
        ("prod", "failed", True),
        ("prod-eu", "drift", True),
        ("team/web", "failed", True),
        ("prod", "applied", False),
        ("dev", "failed", False),
        ("team/prod", "failed", False),
        ("Prod", "failed", False),
    ],
)
def test_a_rule_is_about_some_events_of_some_stacks(tmp_path: Path, stack: str, event: str, fits: bool) -> None:
    assert load(tmp_path, RULES)[0].fits(stack, event) is fits


def test_a_rule_without_stacks_is_about_all(tmp_path: Path) -> None:
    assert load(tmp_path, RULES)[1].fits("any/where", "applied")


def test_a_template_is_filled_and_a_dollar_can_be_written(tmp_path: Path) -> None:
    assert filled(load(tmp_path, RULES)[0].title, {"stack": "prod", "status": "$run"}) == "prod: $run, $5"


GOOD = 'to = "env:SLACK_URL"\non = ["failed"]\n'
WRONG = {
    "one table": ("[notify]\n" + GOOD, "setting notify is not an array of tables", "[[notify]]"),
    "a misspelt key": (f"[[notify]]\n{GOOD}stack = ['x']", 'unknown setting "notify[1].stack"', 'mean "stacks"?'),
    "the second": (f"[[notify]]\n{GOOD}[[notify]]\n{GOOD}x = 1", 'unknown setting "notify[2].x"', "keys of notify: to"),
    "nobody": ("[[notify]]\non = ['failed']", "setting notify[1] has no to", ""),
    "nothing": ("[[notify]]\nto = 'env:X'", "setting notify[1] has no on", ""),
    "no event": ("[[notify]]\nto = 'env:X'\non = []", "notify[1].on = [] is not a list of strings, one at least", ""),
    "another event": ("[[notify]]\nto = 'env:X'\non = ['fail']", '"fail" is nothing that can be', 'mean "failed"?'),
    "a pattern alone": (f"[[notify]]\n{GOOD}stacks = 'prod'", "notify[1].stacks = 'prod' is not a list", ""),
    "another name": (f"[[notify]]\n{GOOD}text = 'of $stak'", 'notify[1].text names "$stak"', 'mean "stack"?'),
    "a bare dollar": (f"[[notify]]\n{GOOD}text = '5 $'", "has a $ that names nothing", "is written $$"),
    "a number as a text": (f"[[notify]]\n{GOOD}text = 5", "notify[1].text = 5 is not a string", ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_rule_is_told_when_the_settings_are_read(tmp_path: Path, what: str) -> None:
    text, message, hint = WRONG[what]
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert message in caught.value.summary
    assert hint in caught.value.hint
    assert str(caught.value.where) == "infra-orch.toml"


@pytest.mark.parametrize("address", ["slack://TokenA/TokenB/TokenC", "env:slack://TokenA", "SLACK_URL", "env:"])
def test_an_address_in_the_file_is_refused_and_not_quoted(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match=r"notify\[1\].to does not name a variable") as caught:
        load(tmp_path, f"[[notify]]\nto = '{address}'\non = ['failed']")
    assert "Token" not in str(caught.value) + caught.value.hint
    assert 'to = "env:SLACK_URL"' in caught.value.hint
