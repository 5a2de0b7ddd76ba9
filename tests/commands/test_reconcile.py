"""`reconcile`: what is on the branch is applied, what was done is pushed, and nothing else happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from child_process import at_work, until
from test_schemas import check

from infra_orch.git.lease import ref_of

if TYPE_CHECKING:
    from conftest import Desk, Result

MODULE = """
    variable "value" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.value
    }

    output "value" {
      value = terraform_data.it.output
    }
"""
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    one = stack.unit("one", module="it", inputs={"value": "1"})
    stack.unit("two", module="it", inputs={"value": one.outputs.value})
"""
LEASE = ref_of("main")


@dataclass(frozen=True)
class Team:
    """A branch on a remote, a person with a clone of it, and the reconciler's own clone: `desk`."""

    desk: Desk
    remote: Path
    person: Path

    def run(self, *arguments: str) -> Result:
        return self.desk.run("reconcile", *arguments)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(["git", *arguments], cwd=cwd or self.person, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def push(self, files: dict[str, str | None]) -> str:
        """Somebody pushes a change. Returns the commit."""
        self.git("pull", "--quiet", "--rebase")
        for name, text in files.items():
            if text is None:
                self.git("rm", "--quiet", "-r", name)
            else:
                type(self.desk)(self.person, self.desk.run).write({name: text})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        self.git("push", "--quiet")
        return self.git("rev-parse", "HEAD")

    def tip(self) -> str:
        return self.git("rev-parse", "main", cwd=self.remote)

    def on_branch(self, path: str) -> Any:
        return json.loads(self.git("show", f"main:{path}", cwd=self.remote))

    def subjects(self) -> list[str]:
        return self.git("log", "--format=%s", "main", cwd=self.remote).splitlines()

    def clone(self, name: str) -> Path:
        folder = self.desk.root.parent / name
        self.git("clone", "--quiet", str(self.remote), str(folder), cwd=self.desk.root.parent)
        return folder

    def refs(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname)", cwd=self.remote).splitlines()


@pytest.fixture
def team(desk: Desk) -> Team:
    remote, person = desk.root.parent / "remote.git", desk.root.parent / "person"
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": SPEC})
    desk.commit("first")
    for command in (
        ["clone", "--quiet", "--bare", str(desk.root), str(remote)],
        ["clone", "--quiet", str(remote), str(person)],
        ["-C", str(desk.root), "remote", "add", "origin", str(remote)],
    ):
        subprocess.run(["git", *command], check=True)
    return Team(desk, remote, person)


@dataclass(frozen=True)
class Loop:
    """A reconciler that was started, and what it prints."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def said(self) -> str:
        return self.err.read_text()

    def document(self, number: int) -> Any:
        """What it printed of a round."""
        until(lambda: self.out.read_text().count("\n") >= number or self.process.poll() is not None, "a round")
        return json.loads(self.out.read_text().splitlines()[number - 1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def begin(team: Team) -> Iterator[Callable[..., Loop]]:
    """Start a reconciler in its clone; whatever is left of it in the end is killed."""
    out, err, started = team.desk.root.parent / "out", team.desk.root.parent / "err", []

    def start(*arguments: str) -> Loop:
        argv = [sys.executable, "-m", "infra_orch", "reconcile", *arguments]
        with out.open("w") as printed, err.open("w") as said:
            started.append(subprocess.Popen(argv, cwd=team.desk.root, stdout=printed, stderr=said))
        return Loop(started[-1], out, err)

    yield start
    for process in started:
        process.kill()
        process.wait()
    for pid in at_work(team.desk.root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_what_was_pushed_is_applied_and_its_record_is_on_the_branch(team: Team) -> None:
    first = team.tip()
    done = team.run("--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    check("reconcile", document)
    assert (document["status"], document["commit"], document["pushed"]) == ("reconciled", first, True)
    assert {name: unit["status"] for name, unit in document["stacks"]["dev"]["units"].items()} == {
        "one": "applied",
        "two": "applied",
    }
    assert document["recorded"] == team.tip() == team.desk.git("rev-parse", "HEAD")
    assert team.subjects() == ["apply dev: 2 created", "first"]
    assert team.on_branch("stacks/dev/record/one.json")["commit"] == first
    assert team.refs() == ["refs/heads/main"], "the lease is given back"
    assert team.desk.git("status", "--porcelain") == ""
    # Somebody changes one unit and takes the other out; a comment changes nothing.
    team.push({"stacks/dev/stack.py": SPEC[: SPEC.index("    stack.unit")].replace('"1"', '"one"') + "    # here\n"})
    left = team.run()
    assert left.code == 0, left.err
    assert "left over: two left the spec and still exists; --prune destroys it" in left.err
    assert team.subjects()[:2] == ["apply dev: 1 updated", "a change"]
    pruned = team.run("--prune")
    assert pruned.code == 0, pruned.err
    assert team.subjects()[0] == "apply dev: 1 destroyed"
    tip = team.tip()
    again = team.run("--json")
    assert (again.code, team.tip()) == (0, tip)
    check("reconcile", json.loads(again.out))
    assert json.loads(again.out)["pushed"] is None
    units = json.loads(again.out)["stacks"]["dev"]["units"]
    assert [unit["status"] for unit in units.values()] == ["skipped"], "no Terraform is asked"


def test_a_stack_that_was_deleted_is_destroyed_with_prune_after_what_came_after_it(team: Team) -> None:
    said = team.desk.root.parent / "said"
    module = f"""
    variable "value" {{
      type = string
    }}

    resource "terraform_data" "it" {{
      triggers_replace = var.value
      input            = var.value

      provisioner "local-exec" {{
        when    = destroy
        command = "sleep 0.2; echo ${{self.input}} >> {said}"
      }}
    }}

    output "value" {{
      value = "${{var.value}}-out"
    }}
    """
    app = """
    from infra_orch import Stack

    stack = Stack("app")
    stack.unit("web", module="it", inputs={"value": Stack.reference("dev").unit("one").outputs.value})
    """
    team.push({"modules/it/main.tf": module, "stacks/app/stack.py": app})
    assert team.run().code == 0
    alone = app.replace('Stack.reference("dev").unit("one").outputs.value', '"x"')
    team.push({"stacks/dev": None, "stacks/app/stack.py": alone})
    done = team.run("--prune", "--json")
    assert done.code == 0, done.err
    assert {unit["destroys"] for unit in json.loads(done.out)["stacks"]["dev"]["units"].values()} == {True}
    assert team.subjects()[0] == "apply 2 stacks: 1 replaced, 2 destroyed"
    assert said.read_text().splitlines()[0] == "1-out", "what came after it has let go of it first"
    tip = team.tip()
    assert team.run("--prune").code == 0
    assert team.tip() == tip, "it is gone"


def test_a_stack_that_was_deleted_is_named_without_prune(team: Team) -> None:
    assert team.run().code == 0
    team.push({"stacks/dev": None})
    left = team.run()
    assert left.code == 0, left.err
    assert "deleted, and still there: dev; --prune destroys what still exists of it" in left.err
    assert team.subjects()[0] == "a change"


def test_records_go_on_top_of_what_others_have_pushed_meanwhile(team: Team, begin: Callable[..., Loop]) -> None:
    # A person pushes while the run is at work: the module's provisioner waits for it.
    begun, go_on = team.desk.root.parent / "begun", team.desk.root.parent / "go-on"
    slow = MODULE.replace(
        "input = var.value",
        f'input = var.value\n      provisioner "local-exec" {{\n        command = "touch {begun}; until test -e {go_on}; do sleep 0.05; done"\n      }}',
    )
    followed = team.push({"modules/it/main.tf": slow})
    loop = begin()
    until(begun.exists, "the apply")
    mine = team.push({"notes.txt": "more\n"})
    go_on.touch()
    assert loop.process.wait(60) == 0, loop.said()
    assert team.subjects() == ["apply dev: 2 created", "a change", "a change", "first"]
    assert team.git("rev-parse", "main~1", cwd=team.remote) == mine
    assert team.on_branch("stacks/dev/record/two.json")["commit"] == followed
    assert team.git("show", "main:notes.txt", cwd=team.remote) == "more"
    assert team.desk.git("rev-parse", "HEAD") == team.tip()
    assert team.desk.git("status", "--porcelain") == ""


def test_records_that_the_remote_does_not_take_stay_and_are_pushed_first_next_time(team: Team) -> None:
    hook = team.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\nwhile read old new ref; do case $ref in refs/heads/*) echo "main is protected"; exit 1;; esac; done\n'
    )
    hook.chmod(0o755)
    done = team.run("--json")
    assert done.code == 1
    assert (
        "origin does not take the records on main: [remote rejected] (pre-receive hook declined); main is protected"
        in done.err
    )
    check("reconcile", json.loads(done.out))
    assert json.loads(done.out)["pushed"] is False
    assert team.subjects() == ["first"]
    # As long as they cannot be pushed nothing new is applied: nobody else would know.
    team_tip = team.desk.git("rev-parse", "HEAD")
    hook.rename(hook.with_name("off"))
    team.push({"stacks/dev/stack.py": SPEC.replace('"1"', '"one"')})
    hook.with_name("off").rename(hook)
    assert team.run().code == 1
    assert len(list((team.desk.root / "stacks/dev/record/runs").glob("*.json"))) == 1
    hook.unlink()
    assert team.run().code == 0
    assert team.subjects() == ["apply dev: 2 updated", "apply dev: 2 created", "a change", "first"]
    assert team_tip != team.tip()


@pytest.mark.parametrize("place", ["modules/it/main.tf", "stacks/dev/more.py"])
def test_a_checkout_with_files_that_are_not_on_the_branch_is_refused(team: Team, place: str) -> None:
    with (team.desk.root / place).open("a") as file:
        file.write("# mine\n")
    done = team.run()
    assert done.code == 77
    assert f"files in this checkout are not what is committed: {place}" in done.err
    assert (team.desk.root / place).read_text().endswith("# mine\n")
    assert team.subjects() == ["first"]


def test_commits_that_were_never_pushed_are_refused_and_so_is_a_branch_that_was_rewritten(team: Team) -> None:
    assert team.run().code == 0
    team.desk.write({"stacks/dev/stack.py": SPEC.replace('"1"', '"mine"')})
    mine = team.desk.commit("not pushed")
    done = team.run()
    assert done.code == 77
    assert f"this checkout has commits that are not on origin main and are no records of runs: {mine[:10]}" in done.err
    team.desk.git("reset", "--quiet", "--hard", "HEAD~1")
    team.git("pull", "--quiet")
    team.git("reset", "--quiet", "--hard", "HEAD~1")
    team.git("commit", "--quiet", "--amend", "--message", "rewritten")
    team.git("push", "--quiet", "--force")
    assert "are no records of runs" in team.run().err
    assert team.subjects() == ["rewritten"], "nothing is forced"


def test_another_branch_and_another_remote_are_said_to_be_so(team: Team) -> None:
    other = team.run("--branch", "prod")
    assert (other.code, '"main" is checked out, and "prod" is to be followed' in other.err) == (64, True)
    nowhere = team.run("--remote", "upstream")
    assert (nowhere.code, 'there is no remote "upstream"' in nowhere.err) == (64, True)
    team.desk.git("switch", "--quiet", "--create", "prod")
    missing = team.run("--branch", "prod")
    assert (missing.code, 'origin has no branch "prod"' in missing.err) == (64, True)
    # A job's checkout has a detached HEAD.
    team.desk.git("switch", "--quiet", "--detach", "main")
    done = team.run("--branch", "main")
    assert done.code == 0, done.err
    assert team.subjects()[0] == "apply dev: 2 created"


def test_a_remote_that_is_not_there_is_told_without_its_credentials(team: Team) -> None:
    team.desk.git("remote", "set-url", "origin", "http://ada:s3cret@127.0.0.1:9/x.git")
    done = team.run("--json")
    assert done.code == 69
    assert 'the remote "origin" cannot be reached' in done.err
    assert "s3cret" not in done.err + done.out
    assert json.loads(done.out)["status"] == "unavailable"


def lease(team: Team, until_when: str, checkout: str = "elsewhere") -> str:
    terms = {
        "schema": 1,
        "holder": "Bob on box",
        "checkout": checkout,
        "since": "2026-01-01T00:00:00+00:00",
        "until": until_when,
    }
    tree = team.git("hash-object", "-w", "-t", "tree", "/dev/null")
    made = team.git("commit-tree", "-m", json.dumps(terms), tree)
    team.git("push", "--quiet", "--force", "origin", f"{made}:{LEASE}")
    return made


def test_a_lease_that_somebody_holds_is_respected_until_it_has_run_out(team: Team) -> None:
    theirs = lease(team, "2999-01-01T00:00:00+00:00")
    done = team.run("--json")
    assert done.code == 75
    assert f"the lease {LEASE} is held by Bob on box, since 2026-01-01T00:00:00+00:00, until 2999" in done.err
    assert json.loads(done.out)["status"] == "locked"
    assert team.git("rev-parse", LEASE, cwd=team.remote) == theirs
    assert team.subjects() == ["first"]
    assert team.run("--no-lease").code == 0
    lease(team, "2026-01-01T00:03:00+00:00")
    over = team.run("--json")
    assert over.code == 0, over.err
    assert "a predecessor died, or lost its network, elsewhere; the states tell what it did: Bob on box" in over.err
    assert json.loads(over.out)["predecessor"].startswith("Bob on box")
    assert team.refs() == ["refs/heads/main"]


def test_a_lease_that_was_lost_before_anything_was_applied_ends_the_run(team: Team) -> None:
    """The policy is asked after the plan: what it does there happens between the plan and the apply."""
    team.push(
        {
            "policies/slow.py": f"""
            import json, subprocess
            from infra_orch import policy

            @policy()
            def take_the_lease(plan):
                terms = {{"schema": 1, "holder": "Bob", "checkout": "x", "since": "2026-01-01T00:00:00+00:00", "until": "2999-01-01T00:00:00+00:00"}}
                run = lambda *words: subprocess.run(["git", *words], cwd={str(team.person)!r}, check=True, capture_output=True, text=True).stdout.strip()
                made = run("commit-tree", "-m", json.dumps(terms), run("hash-object", "-w", "-t", "tree", "/dev/null"))
                run("push", "--quiet", "--force", "origin", made + ":{LEASE}")
            """
        }
    )
    done = team.run()
    assert done.code == 75, done.err
    assert "is lost: it is held by Bob, since" in done.err
    assert not (team.desk.root / "stacks/dev/record").exists(), "nothing was applied"
    assert LEASE in team.refs(), "it is Bob's"


@pytest.fixture
def signs(team: Team, home: Path) -> Callable[[str], None]:
    """Have the person sign with a key, by its name. Ada's and the reconciler's are known to the reconciler's git."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen makes the keys")
    known = home / "allowed"
    lines = []
    for name in ("ada", "eve", "robot"):
        key = home / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        lines += [f"{name}@example.com {key.with_suffix('.pub').read_text()}"] if name != "eve" else []
    known.write_text("".join(lines))
    team.desk.git("config", "gpg.format", "ssh")
    team.desk.git("config", "gpg.ssh.allowedSignersFile", str(known))
    team.desk.git("config", "user.signingKey", str(home / "robot"))

    def with_key(name: str) -> None:
        team.git("config", "gpg.format", "ssh")
        team.git("config", "user.signingKey", str(home / name))
        team.git("config", "commit.gpgsign", "true")

    return with_key


def test_only_signed_commits_are_followed_where_that_is_asked_for(team: Team, signs: Callable[[str], None]) -> None:
    unset = team.run("--signed")
    assert unset.code == 64
    assert "the records that are made here would not be signed" in unset.err
    team.desk.git("config", "commit.gpgsign", "true")
    unsigned = team.run("--signed")
    assert unsigned.code == 77
    assert "on main is not signed by anybody whom git knows here: it is not signed" in unsigned.err
    signs("eve")
    team.push({"notes.txt": "eve\n"})
    assert team.run("--signed").code == 77
    signs("ada")
    team.push({"notes.txt": "ada\n"})
    done = team.run("--signed")
    assert done.code == 0, done.err
    assert team.subjects()[0] == "apply dev: 2 created"
    # Its own record on top is signed by it, and followed.
    assert team.run("--signed").code == 0
    # A record that somebody forged is not.
    team.git("config", "commit.gpgsign", "false")
    team.git("pull", "--quiet")
    record = team.person / "stacks/dev/record/one.json"
    record.write_text(record.read_text().replace('"applied"', '"destroyed"'))
    team.git("commit", "--quiet", "--all", "--message", "apply dev: x\n\nInfra-Orch-Run: 1\n")
    team.git("push", "--quiet")
    assert team.run("--signed").code == 77


def test_a_predecessor_that_was_killed_in_this_checkout_is_finished(team: Team, begin: Callable[..., Loop]) -> None:
    begun = team.desk.root.parent / "begun"
    slow = MODULE.replace(
        "input = var.value",
        f'input = var.value\n      provisioner "local-exec" {{\n        command = "touch {begun}-$NAME; test -e {begun}-go || sleep 30"\n        environment = {{ NAME = var.value }}\n      }}',
    )
    team.push({"modules/it/main.tf": slow})
    child = begin().process
    until(Path(f"{begun}-1").exists, "the apply")
    Path(f"{begun}-go").touch()
    child.kill()
    child.wait()
    for folder in Path("/proc").glob("[0-9]*"):  # its Terraform goes on, and would end in half a minute
        with contextlib.suppress(OSError):
            if b"sleep\x0030" in (folder / "cmdline").read_bytes() and (folder / "cwd").resolve().is_relative_to(
                team.desk.root
            ):
                os.kill(int(folder.name), signal.SIGTERM)
    team.push({"notes.txt": "meanwhile\n"})
    done = team.run("--json")
    assert done.code == 0, done.err
    assert "a predecessor died in this checkout" in done.err
    assert "died; what it did is recorded now" in done.err
    runs = [
        team.on_branch(path)
        for path in team.git(
            "ls-tree", "-r", "--name-only", "main", "stacks/dev/record/runs", cwd=team.remote
        ).splitlines()
    ]
    assert len(runs) == 2
    assert team.on_branch("stacks/dev/record/two.json")["status"] == "applied"
    assert team.git("show", "main:notes.txt", cwd=team.remote) == "meanwhile"


def test_a_move_that_was_killed_half_way_is_made_again(team: Team) -> None:
    assert team.run().code == 0
    older = team.tip()
    newer = team.push({"notes.txt": "new\n", "modules/it/more.tf": "# new\n", "modules/it/main.tf": MODULE + "# new\n"})
    team.desk.git("fetch", "--quiet", "origin")
    notes = team.desk.root / ".infra-orch/reconcile.json"
    known = json.loads(notes.read_text())
    notes.write_text(json.dumps({**known, "moving": [older, newer]}))
    (team.desk.root / "notes.txt").write_text("ne")
    (team.desk.root / "modules/it/main.tf").unlink()
    (team.desk.root / ".git/index.lock").touch()
    done = team.run()
    assert done.code == 0, done.err
    assert f"a predecessor died as it moved the checkout to {newer[:10]}" in done.err
    assert team.desk.git("status", "--porcelain") == ""
    # What was no part of the move is somebody's work.
    notes.write_text(json.dumps({**json.loads(notes.read_text()), "moving": [older, newer]}))
    (team.desk.root / "mine.txt").write_text("mine\n")
    assert "files in this checkout are not what is committed: mine.txt" in team.run().err


def test_it_looks_again_and_again_and_costs_nothing_where_nothing_changed(
    team: Team, begin: Callable[..., Loop]
) -> None:
    loop = begin("--watch", "0.2", "--json")
    assert loop.document(1)["status"] == "reconciled"
    # A spec that is wrong is told, and the loop goes on; shared Python is that of the commit.
    team.push({"stacks/dev/stack.py": "nonsense\n"})
    assert loop.document(2)["exit_code"] == 65
    team.push(
        {
            "stacks/names.py": 'value = "a"\n',
            "stacks/dev/stack.py": SPEC.replace('"1"', "names.value").replace(
                "import Stack", "import Stack\n    import names"
            ),
        }
    )
    assert loop.document(3)["stacks"]["dev"]["units"]["one"]["status"] == "applied"
    team.push({"stacks/names.py": 'value = "b"\n'})
    assert loop.document(4)["stacks"]["dev"]["units"]["one"]["resources"][0]["attributes"][0]["after"] == '"b"'
    runs = len(list((team.desk.root / ".infra-orch/runs").iterdir()))
    # The remote goes away and comes back.
    team.remote.rename(team.remote.with_name("away"))
    until(lambda: "cannot be reached" in loop.said(), "word of that")
    team.remote.with_name("away").rename(team.remote)
    until(lambda: "can be reached again" in loop.said(), "word of that")
    assert len(list((team.desk.root / ".infra-orch/runs").iterdir())) == runs
    assert loop.stop() == 0, loop.said()
    assert "SIGTERM: the loop ends" in loop.said()
    assert loop.out.read_text().count("\n") == 4


def test_what_failed_is_not_tried_again_because_another_one_recorded_that_it_failed_too(
    team: Team, begin: Callable[..., Loop]
) -> None:
    fails = MODULE.replace(
        "input = var.value", 'input = var.value\n      provisioner "local-exec" {\n        command = "exit 1"\n      }'
    )
    team.push({"modules/it/main.tf": fails})
    loop = begin("--watch", "1.5")
    until(lambda: "failed: origin main" in loop.said(), "the first round")
    # What the record of another reconciler looks like, and then a commit of somebody's.
    team.git("pull", "--quiet", "--rebase")
    (team.person / "stacks/dev/record/runs/20260101T000000000Z-aaaaaa.json").write_text("{}")
    team.git("add", "--all")
    team.git("commit", "--quiet", "--message", "apply dev: nothing\n\nInfra-Orch-Run: 20260101T000000000Z-aaaaaa\n")
    team.git("push", "--quiet")
    until(lambda: is_here(team), "the next look at the branch")
    assert loop.said().count("failed: origin main") == 1
    team.push({"notes.txt": "mended\n"})
    until(lambda: loop.said().count("failed: origin main") == 2, "the second round")
    assert loop.stop() == 0, loop.said()
    assert [line.partition(":")[0] for line in team.subjects()][:2] == ["apply dev", "a change"]


def is_here(team: Team) -> bool:
    """Whether the reconciler's clone has the newest commit of the branch, whatever is checked out."""
    argv = ["git", "cat-file", "-e", team.tip()]
    return subprocess.run(argv, cwd=team.desk.root, capture_output=True, check=False).returncode == 0


def test_a_stop_at_work_ends_the_round_as_a_run_and_its_record_is_pushed(
    team: Team, begin: Callable[..., Loop]
) -> None:
    begun = team.desk.root.parent / "begun"
    slow = MODULE.replace(
        "input = var.value",
        f'input = var.value\n      provisioner "local-exec" {{\n        command = "touch {begun}; exec sleep 30"\n      }}',
    )
    team.push({"modules/it/main.tf": slow})
    loop = begin("--watch", "0.2")
    until(begun.exists, "the apply")
    assert loop.stop() == 130, loop.said()
    assert team.on_branch("stacks/dev/record/one.json")["status"] == "failed"
    assert team.refs() == ["refs/heads/main"]


def test_a_project_in_a_folder_of_its_repository_is_followed_and_records_that_were_edited_are_refused(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    (team.person / "infra").mkdir()
    team.git("mv", "modules", "stacks", "infra/")
    team.git("commit", "--quiet", "--message", "moved")
    team.git("push", "--quiet")
    team.desk.git("pull", "--quiet", "origin", "main")
    monkeypatch.chdir(team.desk.root / "infra")
    assert team.run().code == 0
    assert team.on_branch("infra/stacks/dev/record/two.json")["status"] == "applied"
    team.push({"infra/stacks/dev": None})
    gone = team.run("--prune")
    assert gone.code == 0, gone.err
    assert team.subjects()[0] == "apply dev: 2 destroyed"
    record = next((team.desk.root / "infra/stacks/dev/record/runs").glob("*.json"))
    record.write_text("{}")
    refused = team.run()
    assert refused.code == 77
    assert (
        f"files in this checkout are not what is committed: infra/stacks/dev/record/runs/{record.name}" in refused.err
    )


def test_records_that_a_run_could_not_commit_are_committed_and_pushed(team: Team) -> None:
    team.desk.git("config", "commit.gpgsign", "true")
    team.desk.git("config", "gpg.program", "false")
    done = team.desk.run("apply", "dev", "--auto-approve")
    assert "not committed, and left for the next run to commit" in done.err
    team.desk.git("config", "commit.gpgsign", "false")
    team.push({"notes.txt": "meanwhile\n"})
    later = team.run()
    assert later.code == 0, later.err
    assert "records that were left uncommitted are committed now: " in later.err
    assert team.subjects() == ["records of 1 earlier run", "a change", "first"]
    assert team.on_branch("stacks/dev/record/two.json")["status"] == "applied"
    assert team.desk.git("status", "--porcelain") == ""
