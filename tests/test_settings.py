"""Settings come from one file, and variables win over it; whatever is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_orch.errors import UsageError
from infra_orch.project import find_project
from infra_orch.settings import Allow, Settings, load_settings

FILE = """
engine = "tofu"
parallelism = 3
commit = false
lock-platforms = ["linux_amd64", "darwin_arm64"]
patience = 5
redact = ["sk-[a-z]+"]
"""
IN_FILE = Settings(
    engine="tofu",
    parallelism=3,
    commit=False,
    lock_platforms=("linux_amd64", "darwin_arm64"),
    patience=5.0,
    redact=("sk-[a-z]+",),
)


def test_without_a_file_everything_is_as_by_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}) == Settings()


@pytest.mark.parametrize("file", ["infra-orch.toml", "pyproject.toml"])
def test_settings_are_read_from_either_file(tmp_path: Path, file: str) -> None:
    table = "[project]\nname = 'x'\n[tool.infra-orch]\n" if file == "pyproject.toml" else ""
    (tmp_path / file).write_text(table + FILE)
    assert load_settings(tmp_path, {}) == IN_FILE


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "infra-orch.toml").write_text(FILE)
    environment = {
        "INFRA_ORCH_ENGINE": "terraform",
        "INFRA_ORCH_PARALLELISM": "7",
        "INFRA_ORCH_COMMIT": "yes",
        "INFRA_ORCH_PRUNE": "1",
        "INFRA_ORCH_LOCK_PLATFORMS": "linux_arm64, windows_amd64",
        "INFRA_ORCH_PATIENCE": "0.5",
        "INFRA_ORCH_LOCK_TIMEOUT": "1m30s",
        "INFRA_ORCH_REDACT": "a{1,3}\nb",
        "INFRA_ORCH_UNIT": "a flag of its own",
    }
    assert load_settings(tmp_path, environment) == Settings(
        engine="terraform", parallelism=7, commit=True, prune=True, lock_platforms=("linux_arm64", "windows_amd64"),
        patience=0.5, lock_timeout="1m30s", redact=("a{1,3}", "b"),
    )  # fmt: skip


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / "infra-orch.toml").write_text(FILE)
    assert load_settings(tmp_path, {"INFRA_ORCH_ENGINE": "", "INFRA_ORCH_COMMIT": " "}) == IN_FILE


def test_the_flag_wins_over_the_variable(two_units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFRA_ORCH_ENGINE", "no-such-engine")
    assert two_units.run("plan", "dev").code == 64
    assert two_units.run("plan", "dev", "--engine", "terraform").code == 0


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("enginee = 'x'", 'unknown setting "enginee"', 'did you mean "engine"?'),
        ("zzz = 1", 'unknown setting "zzz"', "settings: engine, parallelism"),
        ("engine = 3", "setting engine = 3 is not a string that is not empty", ""),
        ("engine = ''", "setting engine = '' is not a string that is not empty", ""),
        ("parallelism = 1.5", "setting parallelism = 1.5 is not a whole number, 0 or more", ""),
        ("parallelism = true", "is not a whole number", ""),
        ("parallelism = -1", "is not a whole number, 0 or more", ""),
        ("commit = 'no'", "setting commit = 'no' is not true or false", ""),
        ("patience = 0", "is not a number above 0", ""),
        ("patience = inf", "is not a number above 0", ""),
        ("patience = nan", "is not a number above 0", ""),
        ("lock_platforms = 'linux_amd64'", "is not a list of strings", ""),
        ("lock_platforms = [1]", "is not a list of strings", ""),
        ("lock_platforms = ['linux/amd64']", '"linux/amd64" is no platform', "linux_amd64"),
        ("lock_timeout = '30'", "is not a time as Terraform writes it", "30s"),
        ("redact = ['(']", '"(" is no regular expression', ""),
        ("redact = ['x', 'a*']", '"a*" fits an empty text', ""),
        ("engine = ", "infra-orch.toml cannot be read: Invalid value", ""),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, message: str, hint: str) -> None:
    (tmp_path / "infra-orch.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path, {})
    assert message in caught.value.summary
    assert hint in caught.value.hint
    assert str(caught.value.where) == "infra-orch.toml"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PARALLELISM", "many", "INFRA_ORCH_PARALLELISM=many is not a whole number, 0 or more"),
        ("COMMIT", "perhaps", "INFRA_ORCH_COMMIT=perhaps is not true or false"),
        ("PATIENCE", "-1", "INFRA_ORCH_PATIENCE=-1 is not a number above 0"),
        ("LOCK_TIMEOUT", "soon", "INFRA_ORCH_LOCK_TIMEOUT=soon is not a time as Terraform writes it"),
        ("LOCK_PLATFORMS", "linux", 'INFRA_ORCH_LOCK_PLATFORMS=linux: "linux" is no platform'),
        ("REDACT", "(", 'INFRA_ORCH_REDACT=(: "(" is no regular expression'),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path, {f"INFRA_ORCH_{variable}": text})
    assert message in caught.value.summary


ALLOW = """
[allow]
providers = ["hashicorp/aws", "acme/*"]
module-sources = ["terraform-aws-modules/*/aws"]
provisioners = []
external_data = true
"""


def test_what_is_allowed_is_a_table_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "infra-orch.toml").write_text(ALLOW)
    allow = load_settings(tmp_path, {}).allow
    assert allow == Allow(
        ("hashicorp/aws", "acme/*"), ("terraform-aws-modules/*/aws",), None, (), external_data=True
    )  # fmt: skip
    assert allow.is_set
    assert not Settings().allow.is_set


def test_a_variable_for_each_key_wins_over_the_table(tmp_path: Path) -> None:
    (tmp_path / "infra-orch.toml").write_text(ALLOW)
    environment = {
        "INFRA_ORCH_ALLOW_PROVIDERS": "hashicorp/aws",
        "INFRA_ORCH_ALLOW_MODULE_SOURCES": "none",
        "INFRA_ORCH_ALLOW_PROVISIONERS": " ",
        "INFRA_ORCH_ALLOW_EXTERNAL_DATA": "no",
        "INFRA_ORCH_ALLOW_CREDENTIAL_COMMANDS": "1",
        "INFRA_ORCH_ALLOW_UNSEEN": "1",
    }
    assert load_settings(tmp_path, environment).allow == Allow(
        ("hashicorp/aws",), (), None, (), external_data=False, credential_commands=True
    )


def test_what_is_not_set_is_answered_on_the_safe_side() -> None:
    safe = Allow(providers=("acme/x",)).settled()
    assert (safe.providers, safe.module_sources, safe.provisioners) == (("acme/x",), (), ())
    assert (safe.external_data, safe.credential_commands) == (False, False)
    assert not {"http", "consul", "pg", "kubernetes"} & set(safe.backends or ())
    assert Allow(provisioners=()).is_set, "an empty list is an answer"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("allow = true", "setting allow = True is not a table", "[allow]"),
        ("[allow]\nprovider = []", 'unknown setting "allow.provider"', 'did you mean "providers"?'),
        ("[allow]\nproviders = 'hashicorp/aws'", "setting allow.providers = 'hashicorp/aws' is not a list", ""),
        ("[allow]\nexternal_data = 'yes'", "setting allow.external_data = 'yes' is not true or false", ""),
    ],
)
def test_a_wrong_key_of_allow_is_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    (tmp_path / "infra-orch.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path, {})
    assert message in caught.value.summary
    assert hint in caught.value.hint


@pytest.mark.parametrize("variable", ["INFRA_ORCH_ALLOW", "INFRA_ORCH_ALLOW_PROVIDER", "INFRA_ORCH_ALLOW_Providers"])
def test_a_misspelt_variable_of_allow_is_refused_and_does_not_allow_what_it_was_to_forbid(
    tmp_path: Path, variable: str
) -> None:
    with pytest.raises(UsageError, match=f"{variable} is no setting") as caught:
        load_settings(tmp_path, {variable: "hashicorp/aws"})
    assert "INFRA_ORCH_ALLOW_PROVIDERS" in caught.value.hint


def test_settings_in_two_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "infra-orch.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text("[tool.infra-orch]\n")
    with pytest.raises(UsageError, match=r"there are settings in infra-orch\.toml and in pyproject\.toml"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("text", ["[tool]\ninfra-orch = 3\n", "tool = 'infra-orch'\n"])
def test_a_table_that_is_none_is_refused_or_not_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    if "= 3" in text:
        with pytest.raises(UsageError, match="is not a table"):
            load_settings(tmp_path, {})
    else:
        assert load_settings(tmp_path, {}) == Settings()


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, make) -> None:
    make(tmp_path / "infra-orch.toml")
    with pytest.raises(UsageError, match=r"infra-orch\.toml cannot be read"):
        load_settings(tmp_path, {})


def test_somebody_elses_broken_pyproject_is_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[broken\n")
    assert load_settings(tmp_path, {}) == Settings()


def test_a_project_is_found_by_its_settings_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.infra-orch]\nparallelism = 2\n")
    (tmp_path / "deep/er").mkdir(parents=True)
    project = find_project(tmp_path / "deep/er")
    assert (project.root, project.settings.workers) == (tmp_path, 2)
