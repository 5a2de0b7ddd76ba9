"""`infra-orch doctor`: what would keep a run from going well, and what mends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cloud_account import BUCKET, enter
from local_http import Quiet, served

from infra_orch.commands.checks import check_credentials, check_extras, check_terminal
from infra_orch.commands.checks_online import check_clock
from infra_orch.project import find_project
from infra_orch.report.doctor import Finding

if TYPE_CHECKING:
    from conftest import Desk

AT_S3 = f"""
    from infra_orch import S3Backend, Stack

    stack = Stack("dev", backend=S3Backend(bucket="{BUCKET}", region="eu-west-1", use_path_style=True))
    stack.unit("one", module="m")
"""


def findings(desk: Desk, *arguments: str) -> dict[str, list[Any]]:
    """What doctor finds, by check."""
    document = json.loads(desk.run("doctor", "--json", *arguments).out)
    found: dict[str, list[Any]] = {}
    for one in document["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


@pytest.fixture
def project(desk: Desk) -> Desk:
    desk.write({"modules/m/main.tf": "locals {\n}\n", "stacks/dev/stack.py": AT_S3})
    desk.commit()
    return desk


def test_where_all_is_well_it_says_what_there_is(two_units: Desk) -> None:
    done = two_units.run("doctor")
    assert done.code == 0, done.out
    lines = {line.split()[1]: line for line in done.out.splitlines()}
    assert lines["engine"].split()[2] in ("terraform", "tofu", "embedded")
    assert "Ada <ada@example.com>" in lines["identity"]
    assert f"{two_units.root}: 1 stack" in lines["project"]
    assert "error" not in done.out


def test_an_engine_that_is_not_there_is_an_error_with_its_mend(two_units: Desk) -> None:
    done = two_units.run("doctor", "--engine", "/nowhere/terraform")
    assert done.code == 69
    lines = done.out.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("error"))
    assert '"/nowhere/terraform" is not a program that can be run' in lines[at]
    assert "infra-orch[embedded]" in lines[at + 1]
    assert done.err == "1 error\n"


def test_the_engine_of_the_settings_is_looked_for(two_units: Desk) -> None:
    two_units.write({"infra-orch.toml": 'engine = "tofoo"\n'})
    (engine,) = findings(two_units)["engine"]
    assert (engine["status"], engine["what"]) == ("error", 'there is no engine "tofoo"')


def test_settings_that_cannot_be_read_are_an_error_with_their_place(two_units: Desk) -> None:
    two_units.write({"infra-orch.toml": "paralelism = 3\n"})
    found = findings(two_units)
    (settings,) = found["settings"]
    assert settings["status"] == "error"
    assert settings["what"].startswith("infra-orch.toml: ")
    assert settings["mend"] == 'did you mean "parallelism"?'
    assert found["engine"][0]["status"] == "ok", "what does not need them is looked at all the same"


def test_a_stack_that_lies_there_damaged_is_an_error_with_its_mend(project: Desk) -> None:
    assert project.run("render", "dev").code == 0
    (project.root / "stacks/dev/rendered/stack.json").write_text("{")
    (rendered,) = findings(project)["rendered"]
    assert (rendered["status"], rendered["mend"]) == ("error", "infra-orch render dev writes it anew")


def test_outside_of_a_project_the_machine_is_looked_at(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    found = findings(desk)
    assert (found["project"][0]["status"], found["repository"][0]["status"]) == ("warning", "warning")
    assert (
        found["project"][0]["mend"] == "infra-orch new project NAME makes one, infra-orch init one of a git repository"
    )
    assert desk.run("doctor").code == 0


def test_a_user_whom_git_does_not_know_is_a_warning(two_units: Desk, home: Path) -> None:
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
    (identity,) = findings(two_units)["identity"]
    assert identity["status"] == "warning"
    assert "git config --global user.name" in identity["mend"]


def test_a_git_that_is_too_old_is_an_error(two_units: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "git").write_text(
        f'#!/bin/sh\n[ "$1" != --version ] || {{ echo git version 2.25.1; exit; }}\nexec {shutil.which("git")} "$@"\n'
    )
    (old / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}:{os.environ['PATH']}")
    (git,) = findings(two_units)["git"]
    assert (git["status"], git["mend"]) == ("error", "install git 2.28 or newer")
    assert "2.25.1" in git["what"]


def test_a_shallow_clone_is_a_warning(two_units: Desk, tmp_path: Path) -> None:
    two_units.commit("more")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{two_units.root}", shallow], check=True)
    document = json.loads(two_units.run("-C", str(shallow), "doctor", "--json").out)
    (repository,) = (one for one in document["findings"] if one["check"] == "repository")
    assert repository["status"] == "warning"
    assert "git fetch --unshallow" in repository["mend"]


def test_folders_that_cannot_be_had_are_errors(two_units: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_MIRROR", "/nowhere/mirror")
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_CACHE", str(two_units.root / "stacks/dev/stack.py/cache"))
    found = findings(two_units)
    assert found["provider mirror"][0]["status"] == "error"
    assert "/nowhere/mirror" in found["provider mirror"][0]["what"]
    assert found["provider cache"][0]["status"] == "error"


def test_a_variable_with_which_nothing_is_run_is_an_error(two_units: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_WORKSPACE", "prod")
    (environment,) = findings(two_units)["environment"]
    assert (environment["status"], environment["mend"]) == ("error", "unset TF_WORKSPACE")


def credentials(needed: bool = True, **environment: str) -> list[tuple[str, str]]:
    found = list(check_credentials({"HOME": os.environ["HOME"], **environment}, needed=needed))
    assert all(finding.check == "credentials" for finding in found)
    return [(finding.status, finding.what) for finding in found]


def test_without_credentials_there_is_a_warning_only_where_something_is_at_aws() -> None:
    assert [status for status, _ in credentials(needed=False)] == ["ok"]
    assert [status for status, _ in credentials()] == ["warning"]


def test_keys_of_the_environment_are_told_and_never_shown() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret-key"}
    assert credentials(**keys) == [("ok", "AWS: keys in the environment")]
    assert credentials(**keys, AWS_SESSION_TOKEN="t") == [("ok", "AWS: temporary keys in the environment")]
    late = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    ((status, what),) = credentials(**keys, AWS_CREDENTIAL_EXPIRATION=late)
    assert (status, what) == ("error", f"AWS: the keys in the environment expired at {late}")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys_is_an_error(name: str) -> None:
    ((status, what),) = credentials(**{name: "hidden"})
    assert status == "error"
    assert what.startswith(f"{name} is set, and AWS_")
    assert "hidden" not in what


def test_profiles_are_looked_for_in_both_files(home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws/config").write_text("[profile admin]\nregion = eu-west-1\n")
    (home / ".aws/credentials").write_text("[ci]\naws_access_key_id = x\n[default]\naws_access_key_id = y\n")
    assert credentials() == [("ok", 'AWS: the profile "default"')]
    assert credentials(AWS_PROFILE="admin") == [("ok", 'AWS: the profile "admin"')]
    assert credentials(AWS_PROFILE="ci") == [("ok", 'AWS: the profile "ci"')]
    (missing,) = check_credentials({"HOME": str(home), "AWS_PROFILE": "prod"}, needed=True)
    assert (missing.status, missing.mend) == ("error", "profiles there: admin, ci, default")


def test_certificates_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "AWS_CA_BUNDLE": str(tmp_path / "nowhere.pem")}
    first = next(iter(check_credentials(environment, needed=True)))
    assert (first.status, "nowhere.pem" in first.what) == ("error", True)
    Path(environment["AWS_CA_BUNDLE"]).touch()
    assert [one.status for one in check_credentials(environment, needed=False)] == ["ok"]


def test_a_web_identity_needs_a_token_that_can_be_read_and_a_role(tmp_path: Path) -> None:
    token = tmp_path / "token"
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/plan"}
    assert [status for status, _ in credentials(**web)] == ["error"]
    token.write_text("eyJ-secret")
    assert credentials(**web) == [("ok", "AWS: a web identity, for arn:aws:iam::123456789012:role/plan")]
    del web["AWS_ROLE_ARN"]
    assert [status for status, _ in credentials(**web)] == ["warning"]


def test_an_extra_that_is_not_there_is_amiss_only_where_it_is_needed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra_orch.commands.checks._EXTRAS", {"rego": ("no_such_module", "policies in Rego")})
    project = find_project(desk.root)
    assert [finding.status for finding in check_extras(project, {})] == ["ok"]
    desk.write({"policies/tags.rego": "package main\n"})
    assert list(check_extras(project, {})) == [
        Finding(
            "extras",
            "error",
            "rego is not installed, and policies/ holds policies in Rego",
            "pip install 'infra-orch[rego]'",
        )
    ]


def test_a_terminal_that_is_not_in_utf_8_is_a_warning() -> None:
    assert [finding.status for finding in check_terminal({"TERM": "xterm"}, "UTF-8")] == ["ok"]
    (finding,) = check_terminal({}, "ANSI_X3.4-1968")
    assert (finding.status, finding.mend) == ("warning", "export LC_ALL=C.UTF-8")


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "ok"), (-29, "ok"), (31, "warning"), (-200, "warning"), (301, "error"), (-9000, "error")]
)
def test_a_clock_that_is_off_is_told(ahead: int, status: str) -> None:
    there = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    finding = check_clock(there, there + timedelta(seconds=ahead))
    assert finding.status == status
    if status != "ok":
        assert f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'}" in finding.what


def bucket_that_answers(status: int, code: str, date: str) -> tuple[type[Quiet], list[str]]:
    """An S3 that answers everything so, and what it was asked."""
    asked: list[str] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = f"<Error><Code>{code}</Code></Error>" if code else "<ListBucketResult/>"
            self.send_response_only(status)
            self.send_header("Date", date)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    return Handler, asked


def test_backends_are_asked_online_and_only_there(project: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(monkeypatch)
    assert project.run("render", "dev").code == 0
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    handler, asked = bucket_that_answers(200, "", now)
    with served(handler) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert "backend" not in findings(project)
        assert asked == []
        found = findings(project, "--online")
    assert [(one["status"], one["what"]) for one in found["backend"]] == [("ok", f"S3: {BUCKET} (stack dev)")]
    assert [one["status"] for one in found["clock"]] == ["ok"]
    assert asked


def test_a_backend_that_refuses_and_a_clock_that_is_off_are_errors(
    project: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch)
    assert project.run("render", "dev").code == 0
    handler, _ = bucket_that_answers(403, "InvalidAccessKeyId", "Fri, 02 Jan 2026 03:04:05 GMT")
    with served(handler) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        done = project.run("doctor", "--online")
    assert done.code == 69
    errors = [line for line in done.out.splitlines() if line.startswith("error")]
    assert [line.split()[1] for line in errors] == ["backend", "clock"]
    assert "AWS does not know this access key" in errors[0]
    assert "aws sso login" in done.out
    assert "AKIAIOSFODNN7EXAMPLE" not in done.out + done.err
    assert "example-secret-key" not in done.out + done.err
