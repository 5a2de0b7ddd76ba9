"""The pipelines of this repository give nobody more than is needed, and run nothing that a title or a branch could say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import parses
from pipelines import ACTION, FOR_PROJECTS, ROOT, Step, gitlab, loaded, steps_of, workflow

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
FILES = [*WORKFLOWS, ACTION]
PROGRAMS = Path(sys.executable).parent


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_says_what_it_may_do_and_that_is_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions:\n  contents: read\n\n", text, re.MULTILINE)
    assert "pull_request_target" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_action_is_named_by_its_hash(path: Path) -> None:
    used = re.findall(r"\buses: (\S+)", path.read_text(encoding="utf-8"))
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name)] == []


def test_an_action_is_the_same_one_everywhere() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    used = set(re.findall(r"\buses: (\S+@\S+  # v\S+)", text))
    assert len({one.partition("@")[0] for one in used}) == len(used)
    assert len(used) == len(set(re.findall(r"\buses: (\S+)", text)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_that_others_write_becomes_part_of_a_script(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    inside = -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if inside >= 0 and line.strip() and indent <= inside:
            inside = -1
        begins = re.match(r"( *)(- )?run:", line)
        if begins:
            inside = len(begins[1]) + len(begins[2] or "")
        assert not (inside >= 0 and "${{" in line), line


def test_zizmor_finds_nothing() -> None:
    argv = [str(PROGRAMS / "zizmor"), "--offline", "--quiet", "--no-progress", str(ROOT / ".github")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _fits(schema: str, *paths: Path) -> None:
    argv = [str(PROGRAMS / "check-jsonschema"), "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_are_what_their_schemas_say(tmp_path: Path) -> None:
    _fits("vendor.github-workflows", *WORKFLOWS)
    _fits("vendor.github-actions", ACTION)
    forms = ROOT / ".github" / "ISSUE_TEMPLATE"
    _fits("vendor.github-issue-forms", *sorted(set(forms.glob("*.yml")) - {forms / "config.yml"}))
    _fits("vendor.github-issue-config", forms / "config.yml")
    (tmp_path / ".gitlab-ci.json").write_text(json.dumps(gitlab()), encoding="utf-8")
    _fits("vendor.gitlab-ci", tmp_path / ".gitlab-ci.json")


def jobs() -> dict[str, Any]:
    """The jobs of the workflows for projects, by `file job`."""
    return {f"{name} {job}": about for name in FOR_PROJECTS for job, about in workflow(name)["jobs"].items()}


def test_no_job_for_projects_begins_where_none_is_set_up() -> None:
    """They lie in this repository, too, which has nothing to apply."""
    begins = {name: str(job.get("if", "")) for name, job in jobs().items() if "render" not in job.get("needs", [])}
    assert begins.keys() == jobs().keys() - {"preview.yml plan", "preview.yml result"}
    assert [name for name, condition in begins.items() if "vars.INFRA_ORCH_PACKAGE != ''" not in condition] == []
    # A job that needs one that was passed over is so, too, unless it says `always()`.
    plan, result = jobs()["preview.yml plan"], jobs()["preview.yml result"]
    assert (plan["needs"], "always()" in plan["if"]) == ("render", False)
    assert result["if"] == "always() && vars.INFRA_ORCH_PACKAGE != ''"


def test_what_may_write_and_what_gets_a_token_is_this_and_no_more() -> None:
    given = {name: job["permissions"] for name, job in jobs().items() if "permissions" in job}
    assert given == {
        "preview.yml plan": {
            "contents": "read",
            "id-token": "write",
            "pull-requests": "write",
            "statuses": "write",
            "checks": "write",
        },
        "preview.yml result": {},
        "apply.yml apply": {
            "contents": "write",
            "id-token": "write",
            "actions": "read",
            "pull-requests": "write",
            "statuses": "write",
        },
        "apply.yml outdated": {"contents": "read", "pull-requests": "write"},
        "drift.yml drift": {"contents": "read", "id-token": "write", "issues": "write"},
    }


def test_the_job_that_publishes_the_documentation_runs_nothing_of_it() -> None:
    jobs = workflow("docs.yml")["jobs"]
    assert {name: job.get("permissions") for name, job in jobs.items()} == {
        "build": None,
        "publish": {"pages": "write", "id-token": "write"},
    }
    assert [step["uses"].partition("@")[0] for step in jobs["publish"]["steps"]] == ["actions/deploy-pages"]


def test_where_there_are_credentials_no_python_of_the_project_is_evaluated() -> None:
    for name, job in jobs().items():
        scripts = "\n".join(step.get("run", "") for step in job["steps"]).replace("\\\n", "")
        called = re.findall(r"^ *infra-orch .*$", scripts, re.MULTILINE)
        if "id-token" in job.get("permissions", {}):
            assert called, name
            assert [line for line in called if "--from-rendered" not in line] == []
        assert ("secrets." in json.dumps(job)) <= ("id-token" in job.get("permissions", {})), name


def test_nothing_is_installed_or_checked_out_once_there_are_credentials() -> None:
    for name, job in jobs().items():
        uses = [step.get("uses", "").partition("@")[0] or step["name"] for step in job["steps"]]
        if "aws-actions/configure-aws-credentials" in uses:
            after = uses[uses.index("aws-actions/configure-aws-credentials") :]
            assert not {"actions/checkout", "actions/setup-python", "Install infra-orch"}.intersection(after), name


def test_the_check_that_is_required_always_answers() -> None:
    preview = workflow("preview.yml")
    events = preview[True]  # `on`, as YAML 1.1 reads it
    assert events == {"pull_request": None, "merge_group": None}, "a filter of paths or branches leaves it waiting"
    result = preview["jobs"]["result"]
    assert result["name"] == "infra-orch"
    assert sorted(result["needs"]) == sorted(preview["jobs"].keys() - {"result"})
    assert "strategy" not in result


def test_an_apply_waits_for_the_one_before_it_and_is_never_cancelled() -> None:
    about = workflow("apply.yml")["jobs"]["apply"]
    assert about["concurrency"] == {
        "group": "infra-orch-apply-${{ matrix.group }}",
        "cancel-in-progress": False,
        "queue": "max",
    }
    assert about["environment"] == "infra-orch-apply"
    assert about["strategy"] == workflow("preview.yml")["jobs"]["plan"]["strategy"], "groups are planned as applied"
    assert gitlab()["apply"]["resource_group"]


def test_the_records_that_are_pushed_begin_no_further_apply() -> None:
    assert workflow("apply.yml")[True]["push"]["paths-ignore"] == ["**/stacks/**/record/**"]
    assert "git push -o ci.skip" in "\n".join(gitlab()["apply"]["script"])


def test_at_gitlab_a_fork_gets_no_credentials_and_a_branch_none_that_apply() -> None:
    pipeline = gitlab()
    (rule,) = pipeline["plan"]["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"]
    (rule,) = pipeline["apply"]["rules"]
    assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"]
    assert "id_tokens" not in pipeline["render"]
    assert "extends" not in pipeline["render"]


def test_only_the_job_that_publishes_can_and_it_runs_nothing_else() -> None:
    release = workflow("release.yml")
    assert release[True] == {"push": {"tags": ["v*"]}}
    given = {name: job.get("permissions", release["permissions"]) for name, job in release["jobs"].items()}
    assert given == {"build": {"contents": "read"}, "try": {}, "publish": {"id-token": "write"}}
    publish = release["jobs"]["publish"]
    assert publish["environment"]["name"] == "pypi"
    used = [step.get("uses", "a script").partition("@")[0] for step in publish["steps"]]
    assert used == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert publish["steps"][-1]["with"]["attestations"] is True
    assert "secrets." not in json.dumps(release)


def test_what_is_published_is_what_was_built_once_and_tried() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert (jobs["try"]["needs"], jobs["publish"]["needs"]) == ("build", "try")
    scripts = {name: "\n".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    assert [name for name, script in scripts.items() if "-m build" in script] == ["build"]
    handed = {
        name: step["with"]["name"]
        for name, job in jobs.items()
        for step in job["steps"]
        if re.match(r"actions/(up|down)load-artifact@", step.get("uses", ""))
    }
    assert handed == {"build": "dist", "try": "dist", "publish": "dist"}
    assert "cache" not in json.dumps(jobs), "what another job could have written must not be in what is published"


@pytest.fixture
def tagging(tmp_path: Path) -> Path:
    """A checkout of the version 1.2.3, as the job that builds has it: its commit is that of main at the remote."""
    folder = tmp_path / "checkout"
    (folder / "infra_orch").mkdir(parents=True)
    (folder / "infra_orch" / "_version.py").write_text('"""The version."""\n\n__version__ = "1.2.3"\n')
    for argv in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "--message", "1.2.3"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run(["git", *argv], cwd=folder, check=True)
    return folder


def the_check_of_the_tag() -> Step:
    (found,) = (one for one in steps_of("release.yml") if one.name == "The tag is on main, and is the version")
    return found


def test_a_tag_that_is_the_version_is_built(tagging: Path) -> None:
    done = the_check_of_the_tag().run(tagging, GITHUB_REF_NAME="v1.2.3")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_tag_that_is_not_the_version_is_not_built(tagging: Path) -> None:
    done = the_check_of_the_tag().run(tagging, GITHUB_REF_NAME="v1.2.4")
    assert done.returncode == 1
    assert "The tag is v1.2.4, the version is 1.2.3" in done.stdout


def test_a_tag_that_nobody_has_merged_is_not_built(tagging: Path) -> None:
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "--message", "mine"], cwd=tagging, check=True)
    done = the_check_of_the_tag().run(tagging, GITHUB_REF_NAME="v1.2.3")
    assert (done.returncode, "v1.2.3 is not on main" in done.stdout) == (1, True)


def test_a_hook_before_a_commit_is_a_command_that_there_is() -> None:
    hooks = loaded((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    page = (ROOT / "docs" / "begin.md").read_text(encoding="utf-8")
    hooks += [
        one
        for text in re.findall(r"^```yaml\n(repos:.*?)^```$", page, re.MULTILINE | re.DOTALL)
        for one in loaded(text)["repos"]
    ]
    entries = [hook["entry"].split() for repo in hooks for hook in repo["hooks"]]
    assert len(entries) == 4
    for program, *words in entries:
        if program == "infra-orch":
            parses(words)
        else:
            assert (PROGRAMS / program).exists()
