"""What the scripts of the workflows do, run: in real repositories, with a stand-in for `gh` alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import parses, variables
from pipelines import ROOT, Step, calls, gitlab_steps, note_calls, outputs, step, steps

from infra_orch.settings import PREFIX

if TYPE_CHECKING:
    from conftest import Desk

HOSTILE = "main$(touch pwned)`touch pwned`;touch pwned"
"""What somebody may call a branch, if git lets him."""
VALUES = {
    "BASE": "HEAD^1",
    "BRANCH": HOSTILE,
    "BUNDLES": "bundles/",
    "GROUP": "default",
    "STACKS": "prod team/*",
    "COMMAND": "plan",
    "DIRECTORY": ".",
    "SANDBOX": "true",
    "ARGUMENTS": "--unit\nweb $(touch pwned)\n\n--json\n",
}
"""What stands in the `env` of steps, for all that call infra-orch; what is not here is a secret, or comes from a step."""
CALLING = [
    one for one in [*steps(), *gitlab_steps()] if re.search(r"^\s*(code=0; )?infra-orch ", one.script, re.MULTILINE)
]


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """A repository with one commit, on `main`."""
    folder = tmp_path / "project"
    (folder / "team").mkdir(parents=True)
    (folder / "team" / "file").touch()
    for argv in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *argv], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("one", CALLING, ids=lambda one: f"{one.of}: {one.name}")
def test_every_command_of_a_pipeline_is_one_that_there_is(one: Step, git: Path, tmp_path: Path) -> None:
    notes, _ = note_calls(git, "infra-orch"), [note_calls(git, name) for name in ("git", "tar", "gh")]
    values = {**dict.fromkeys(one.env, "value"), **{name: VALUES[name] for name in one.env.keys() & VALUES.keys()}}
    of_gitlab = {"BUNDLES": "bundles/", "CI_COMMIT_BRANCH": HOSTILE, "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD^1"}
    done = one.run(git, **(of_gitlab if one.of == "gitlab" else values))
    assert done.returncode == 0, done.stderr
    called = calls(notes)
    assert called
    for words in called:
        assert "team/file" not in words, "a pattern is the command's, not the shell's"
        parses(words)
    assert list(tmp_path.rglob("pwned")) == []


def test_every_variable_of_a_pipeline_is_one_that_is_read() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / ".github").rglob("*.yml"))
    used = set(re.findall(r"^ +(INFRA_ORCH_\w+):", text, re.MULTILINE))
    assert used >= {"INFRA_ORCH_POLICIES", "INFRA_ORCH_BUNDLE_KEY"}
    assert used - variables() == {"INFRA_ORCH_BUNDLE_KEY"}, "which is a secret, and so no option"
    assert PREFIX == "INFRA_ORCH_"


def test_the_action_hands_every_argument_on_as_one_word(git: Path) -> None:
    notes = note_calls(git, "infra-orch")
    run = step("action", "Run it")
    values = dict.fromkeys(run.env, "") | {"COMMAND": "plan", "STACKS": "prod team/*", "ARGUMENTS": VALUES["ARGUMENTS"]}
    assert run.run(git, **values | {"BASE": "a b", "DIRECTORY": "x y", "SANDBOX": "true"}).returncode == 0
    (words,) = calls(notes)
    expected = ["--directory", "x y", "plan", "--sandbox", "--base", "a b", "--unit", "web $(touch pwned)", "--json"]
    assert words == [*expected, "prod", "team/*"]


@pytest.mark.parametrize(
    ("render", "plan", "fork", "passes"),
    [
        ("success", "success", "false", True),
        ("success", "skipped", "true", True),
        ("success", "skipped", "false", False),
        ("success", "failure", "false", False),
        ("success", "cancelled", "false", False),
        ("success", "failure", "true", False),
        ("failure", "skipped", "false", False),
        ("failure", "skipped", "true", False),
        ("skipped", "skipped", "false", False),
        ("cancelled", "skipped", "true", False),
    ],
)
def test_the_check_passes_where_all_that_had_to_be_done_was(
    git: Path, render: str, plan: str, fork: str, passes: bool
) -> None:
    answer = step("preview.yml result", "Answer for the jobs before this one")
    assert (answer.run(git, RENDER=render, PLAN=plan, FORK=fork).returncode == 0) is passes


def test_what_is_not_rendered_is_found_in_the_job_that_evaluates(two_units: Desk) -> None:
    check = step("preview.yml render", "Render, and compare with what is committed")
    assert check.run(two_units.root).returncode == 1
    assert two_units.run("render", "dev").code == 0
    assert check.run(two_units.root).returncode == 0


DENIES = """
    from infra_orch import policy

    @policy("deny")
    def never(plan):
        return "nothing is ever changed"
    """
TAKE = step("preview.yml plan", "Take the policies from what the change is compared with")


@pytest.mark.parametrize("place", [".", "infra"])
def test_a_change_is_judged_by_the_policies_that_it_did_not_write(desk: Desk, place: str) -> None:
    desk.write({f"{place}/policies/mine.py": "# of the base\n", f"{place}/stacks/x": "x"})
    desk.commit()
    desk.git("switch", "--quiet", "--create", "change")
    desk.write({f"{place}/policies/mine.py": "# of the change\n", f"{place}/policies/more.py": "# of the change\n"})
    desk.commit()
    desk.git("switch", "--quiet", "main")
    desk.git("merge", "--quiet", "--no-ff", "change")
    done = TAKE.run(desk.root, BASE="HEAD^1", INFRA_ORCH_DIRECTORY=place)
    assert done.returncode == 0, done.stderr
    trusted = Path(outputs(desk.root)["folder"])
    assert {path.name: path.read_text() for path in trusted.iterdir()} == {"mine.py": "# of the base\n"}
    assert not (desk.root / place / "policies").exists()


def test_the_first_policies_of_a_project_are_asked_once_they_are_merged(two_units: Desk) -> None:
    desk = two_units
    assert desk.run("render", "dev").code == 0
    desk.commit()
    desk.write({"policies/mine.py": DENIES, "modules/network/more.txt": "new"})
    desk.commit()
    assert TAKE.run(desk.root, BASE="HEAD^1").returncode == 0
    assert outputs(desk.root) == {}
    preview = ("preview", "--base", "HEAD^1", "--from-rendered")
    assert desk.run(*preview).code == 0
    desk.git("checkout", "--quiet", ".")
    desk.write({"policies/mine.py": "# it allows all\n", "modules/network/more.txt": "newer"})
    desk.commit()
    assert TAKE.run(desk.root, BASE="HEAD^1").returncode == 0
    denied = desk.run(*preview, "--policies", outputs(desk.root)["folder"])
    assert (denied.code, "nothing is ever changed" in denied.out) == (77, True), denied.err


FIND = step("apply.yml apply", "Find what the preview showed")
LET_PUSH = step("apply.yml apply", "Let git push, where a step has the token")
GH = """#!{python}
import json, os, pathlib, sys
answers = json.loads(pathlib.Path(os.environ["ANSWERS"]).read_text())
words = sys.argv[1:]
if words[0] == "api":
    print(json.dumps(answers[words[1]]))
    sys.exit()
run, name, folder = words[2], words[words.index("--name") + 1], pathlib.Path(words[words.index("--dir") + 1])
if name not in answers["artifacts"].get(run, {{}}):
    sys.exit("no artifact matches")
for file, text in answers["artifacts"][run][name].items():
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
"""


@pytest.fixture
def github(git: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What GitHub answers about the commit `merge`, which merged a pull request with the head `head`."""
    if subprocess.run(["sh", "-c", "command -v jq"], capture_output=True, check=False).returncode:
        pytest.skip("no jq on this machine; GitHub's have it")
    (git.parent / "bin").mkdir()
    (git.parent / "bin" / "gh").write_text(GH.format(python=sys.executable))
    (git.parent / "bin" / "gh").chmod(0o755)
    pulls = [
        {"number": 5, "merged_at": None, "base": {"ref": "main"}, "head": {"sha": "open"}},
        {"number": 6, "merged_at": "2026-11-28", "base": {"ref": "other"}, "head": {"sha": "elsewhere"}},
        {"number": 7, "merged_at": "2026-11-28", "base": {"ref": "main"}, "head": {"sha": "head"}},
    ]
    found: dict[str, Any] = {"repos/me/it/commits/merge/pulls": pulls, "artifacts": {}}
    return found | {"merge": [], "head": []}


def find(git: Path, github: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    runs = "repos/me/it/actions/workflows/preview.yml/runs?status=success&head_sha="
    answers = {**github, **{runs + head: {"workflow_runs": github[head]} for head in ("merge", "head")}}
    (git.parent / "answers.json").write_text(json.dumps(answers))
    values = {"GITHUB_REPOSITORY": "me/it", "GH_TOKEN": "t", "COMMIT": "merge", "BRANCH": "main", "GROUP": "default"}
    return FIND.run(git, ANSWERS=str(git.parent / "answers.json"), **values)


def a_run(number: int, repository: str = "me/it") -> dict[str, Any]:
    return {"id": number, "head_repository": {"full_name": repository}}


PLANNED = {"infra-orch-default": {"bundles/tree": "plan", "has_changes": "true"}}


@pytest.mark.parametrize("planned", ["merge", "head"])
def test_what_a_merge_queue_planned_is_applied_or_what_the_pull_request_did(
    git: Path, github: dict[str, Any], planned: str
) -> None:
    done = find(git, github | {planned: [a_run(1)], "artifacts": {"1": PLANNED}})
    assert done.returncode == 0, done.stderr
    assert outputs(git)["number"] == "7"
    assert (Path(outputs(git)["bundles"]) / "tree").read_text() == "plan"


def test_what_was_pushed_without_a_pull_request_has_no_plan(git: Path, github: dict[str, Any]) -> None:
    done = find(git, github | {"repos/me/it/commits/merge/pulls": []})
    assert (done.returncode, outputs(git)) == (1, {"number": ""})
    assert "Run this workflow by hand" in done.stdout


def test_what_a_fork_left_is_never_applied(git: Path, github: dict[str, Any]) -> None:
    done = find(git, github | {"head": [a_run(1, "mallory/it")], "artifacts": {"1": PLANNED}})
    assert (done.returncode, outputs(git)) == (1, {"number": "7"})
    assert "Run this workflow by hand" in done.stdout


@pytest.mark.parametrize(
    "left", [{}, {"infra-orch-other": {"bundles/tree": "plan"}}, {"infra-orch-default": {"report.html": ""}}]
)
def test_where_no_plan_was_left_that_is_an_error(git: Path, github: dict[str, Any], left: dict[str, Any]) -> None:
    done = find(git, github | {"head": [a_run(1)], "artifacts": {"1": left}})
    assert (done.returncode, outputs(git)) == (1, {"number": "7"})


def test_where_the_preview_showed_no_changes_there_is_nothing_to_apply(git: Path, github: dict[str, Any]) -> None:
    left = {"infra-orch-default": {"has_changes": "false\n", "report.html": ""}}
    done = find(git, github | {"head": [a_run(1)], "artifacts": {"1": left}})
    assert (done.returncode, outputs(git)) == (0, {"number": "7"})


def commit(folder: Path, name: str, text: str = "x") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for argv in (["add", "."], ["commit", "--quiet", "--message", name]):
        subprocess.run(["git", *argv], cwd=folder, check=True)


def told(folder: Path, *argv: str) -> str:
    return subprocess.run(["git", *argv], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_records_are_pushed_beside_what_others_pushed_meanwhile(git: Path, tmp_path: Path) -> None:
    """Two merges, one after the other; the first one's apply ended after the second merge."""
    remote, other = tmp_path / "remote.git", tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(git), str(remote)], check=True)
    told(git, "remote", "add", "origin", str(remote))
    commit(git, "modules/second.tf")
    told(git, "push", "--quiet", "origin", "main")
    subprocess.run(["git", "clone", "--quiet", str(remote), str(other)], check=True)
    commit(other, "modules/third.tf")
    commit(other, "stacks/prod/record/web.json", "of the first")
    told(other, "push", "--quiet", "origin", "main")
    told(git, "fetch", "--quiet", "origin")

    assert LET_PUSH.run(git).returncode == 0
    along = step("apply.yml apply", "Take along the records of runs that ended since the merge").run(git, BRANCH="main")
    assert along.returncode == 0, along.stderr
    assert told(git, "log", "--format=%s") == "stacks/prod/record/web.json\nmodules/second.tf\nfirst"

    commit(git, "stacks/prod/record/web.json", "of the second")
    commit(other, "README.md")
    told(other, "push", "--quiet", "origin", "main")
    pushed = step("apply.yml apply", "Push the records").run(git, BRANCH="main", PUSH_TOKEN="t")
    assert pushed.returncode == 0, pushed.stderr
    log = told(remote, "log", "--format=%s", "main").splitlines()
    assert log[0] == "stacks/prod/record/web.json"
    assert sorted(log) == sorted(
        ["first", "modules/second.tf", "modules/third.tf", "README.md", *["stacks/prod/record/web.json"] * 2]
    )
    assert told(remote, "show", "main:stacks/prod/record/web.json") == "of the second"


def test_where_nothing_but_records_came_since_the_merge_the_apply_is_of_their_commit(git: Path, tmp_path: Path) -> None:
    """It is one that everybody can look up, and no copy of it."""
    commit(git, "stacks/prod/record/web.json")
    tip = told(git, "rev-parse", "HEAD")
    told(git, "update-ref", "refs/remotes/origin/main", tip)
    told(git, "reset", "--quiet", "--hard", "HEAD~1")
    assert LET_PUSH.run(git).returncode == 0
    along = step("apply.yml apply", "Take along the records of runs that ended since the merge").run(git, BRANCH="main")
    assert (along.returncode, told(git, "rev-parse", "HEAD")) == (0, tip), along.stderr


def test_git_has_the_token_where_a_step_has_it_and_nowhere_else(git: Path) -> None:
    assert LET_PUSH.run(git).returncode == 0
    ask = "printf 'protocol=https\\nhost=%s\\n\\n' \"$HOST\" | GIT_TERMINAL_PROMPT=0 git credential fill"
    asks = Step("", "", ask, {})
    assert "password=secret" in asks.run(git, PUSH_TOKEN="secret", HOST="github.com").stdout
    assert "secret" not in asks.run(git, PUSH_TOKEN="secret", HOST="evil.example.com").stdout
    assert "secret" not in (git.parent / ".gitconfig").read_text()


def test_the_policies_of_what_is_applied_lie_outside_of_the_project(desk: Desk) -> None:
    desk.write({"policies/mine.py": "# merged\n"})
    desk.commit()
    done = step("apply.yml apply", "Take the policies out of the project").run(desk.root)
    assert done.returncode == 0, done.stderr
    assert (Path(outputs(desk.root)["folder"]) / "mine.py").read_text() == "# merged\n"
