"""The environment that Terraform gets."""

from __future__ import annotations

import pytest

from infra_orch.engine.environment import terraform_environment
from infra_orch.errors import UsageError


def test_everything_else_is_kept() -> None:
    base = {
        "PATH": "/bin",
        "AWS_PROFILE": "prod",
        "AWS_SECRET_ACCESS_KEY": "s",
        "TF_TOKEN_app_terraform_io": "t",
        "X": "",
    }
    made = terraform_environment(base)
    assert (made.values, made.warnings) == ({**base, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}, ())


@pytest.mark.parametrize("name", ["TF_CLI_ARGS", "TF_CLI_ARGS_plan", "TF_WORKSPACE", "TF_REATTACH_PROVIDERS"])
def test_what_changes_the_meaning_of_a_plan_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is set") as caught:
        terraform_environment({name: "-lock=false"})
    assert caught.value.hint == f"unset {name}"


@pytest.mark.parametrize(("name", "value"), [("TF_CLI_ARGS", ""), ("TF_WORKSPACE", "default"), ("TF_WORKSPACE", "")])
def test_what_would_have_no_effect_is_not_refused(name: str, value: str) -> None:
    made = terraform_environment({name: value})
    assert (name in made.values, made.warnings) == (False, ())


@pytest.mark.parametrize(
    "name",
    [
        "TF_VAR_region",
        "TF_INPUT",
        "TF_DATA_DIR",
        "TF_PLUGIN_CACHE_DIR",
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE",
        "TF_LOG",
        "TF_LOG_PATH",
        "TF_LOG_PROVIDER_AWS",
        "TF_STATE_PERSIST_INTERVAL",
        "TF_DISABLE_PLUGIN_TLS",
    ],
)
def test_what_only_disturbs_is_removed_with_a_warning(name: str) -> None:
    made = terraform_environment({name: "1"})
    assert name not in made.values
    assert len(made.warnings) == 1
    assert made.warnings[0].startswith(f"{name} ignored: ")


def test_an_empty_one_is_removed_without_a_word() -> None:
    assert terraform_environment({"TF_LOG": ""}).warnings == ()


def test_one_warning_names_all_of_a_kind_and_no_value() -> None:
    made = terraform_environment({"TF_VAR_b": "secret", "TF_VAR_a": "secret"})
    assert len(made.warnings) == 1
    assert made.warnings[0].startswith("TF_VAR_a, TF_VAR_b ignored")
    assert "secret" not in made.warnings[0]


def test_extra_comes_last_and_is_not_checked() -> None:
    made = terraform_environment(
        {"AWS_PROFILE": "prod", "TF_VAR_env_TOKEN": "stray"},
        extra={"TF_VAR_env_TOKEN": "ours", "AWS_PROFILE": "", "TF_REATTACH_PROVIDERS": "{}", "CHECKPOINT_DISABLE": "0"},
    )
    names = ("TF_VAR_env_TOKEN", "AWS_PROFILE", "TF_REATTACH_PROVIDERS", "CHECKPOINT_DISABLE")
    assert [made.values[name] for name in names] == ["ours", "", "{}", "0"]
