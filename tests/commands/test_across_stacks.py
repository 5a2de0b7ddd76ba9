"""Runs over several stacks, and over one that reads others: one order, one preview, one commit."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from child_process import at_work, until

if TYPE_CHECKING:
    from conftest import Begin, Desk

MODULE = """
    variable "text" {
      type    = string
      default = ""
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "id" {
      value = terraform_data.it.id
    }

    output "text" {
      value = var.text
    }

    output "secret" {
      value     = "secret of ${var.text}"
      sensitive = true
    }
"""
PROGRAM = """
    resource "terraform_data" "program" {{
      provisioner "local-exec" {{
        command = "{}"
      }}
    }}
"""
NETWORK = """
    from infra_orch import Stack

    stack = Stack("network", tags=["base"])
    vpc = stack.unit("vpc", module="m", inputs={"text": "ten"})
    dns = stack.unit("dns", module="m", inputs={"text": vpc.outputs.id})
"""
APP = """
    from infra_orch import Stack

    stack = Stack("app")
    network = Stack.reference("network")
    web = stack.unit("web", module="m", inputs={"text": f"{network.unit('vpc').outputs.text}-web"})
    secret = network.unit("vpc").outputs.secret
    api = stack.unit("api", module="m", inputs={"text": secret}, after=[web], sensitive_outputs=["text"])
    ids = stack.unit("ids", module="m", inputs={"text": network.unit("vpc").outputs.id}, tags=["base"])

    @stack.task(after=[web])
    def told(context):
        return context.outputs["web"]["text"]
"""


@pytest.fixture
def two(begin: Begin) -> Desk:
    """A stack called app, in a folder of its own, that reads the stack called network; all is committed."""
    return begin(committed)


@pytest.fixture
def applied(begin: Begin) -> Desk:
    """The same stacks, applied."""

    def apply(desk: Desk) -> None:
        committed(desk)
        assert desk.run("apply", "--all", "--auto-approve").code == 0

    return begin(apply)


def committed(desk: Desk) -> None:
    desk.write({"modules/m/main.tf": MODULE, "stacks/network/stack.py": NETWORK, "stacks/team/app/stack.py": APP})
    desk.commit()


@pytest.fixture(scope="module")
def standing(lasting_desk: Desk) -> Desk:
    """The same stacks, which are never applied, for all tests that only look at them."""
    committed(lasting_desk)
    return lasting_desk


def planned(desk: Desk, *words: str) -> dict:
    done = desk.run("plan", *words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def state(desk: Desk, stack: str, unit: str) -> dict:
    return json.loads((desk.root / f"stacks/{stack}/state/{unit}.tfstate").read_text())


def test_all_stacks_are_applied_in_one_order_and_recorded_in_one_commit(two: Desk) -> None:
    before = two.git("rev-parse", "HEAD")
    done = two.run("apply", "--all", "--auto-approve")
    assert done.code == 0, done.err
    assert "Plan: 5 to add" in done.out
    assert "Apply complete. 5 added" in done.out
    assert two.git("rev-list", "--count", f"{before}..HEAD") == "1"
    assert two.git("log", "-1", "--format=%s") == "apply 2 stacks: 5 created"
    assert two.git("status", "--porcelain") == ""
    vpc = state(two, "network", "vpc")["outputs"]
    assert state(two, "team/app", "ids")["outputs"]["text"]["value"] == vpc["id"]["value"]
    assert state(two, "team/app", "web")["outputs"]["text"]["value"] == "ten-web"
    record = json.loads((two.root / "stacks/team/app/record/web.json").read_text())
    assert record["status"] == "applied"
    (run,) = (two.root / "stacks/team/app/record/runs").glob("*.json")
    assert json.loads(run.read_text())["tasks"]["told"]["result"] == "ten-web"
    for stack in ("network", "team/app"):
        (line,) = two.run("history", stack).out.splitlines()
        assert two.git("rev-parse", "HEAD")[:10] in line


def test_values_that_a_preview_knows_go_from_stack_to_stack(standing: Desk) -> None:
    document = planned(standing, "network", "team/app")
    units = {f"{stack}/{name}": unit for stack, of in document["stacks"].items() for name, unit in of["units"].items()}
    assert {name: unit["basis"] for name, unit in units.items()} == {
        "network/vpc": "exact",
        "network/dns": "unknown",
        "team/app/web": "planned",
        "team/app/api": "planned",
        "team/app/ids": "unknown",
    }
    assert units["team/app/ids"]["unknown_inputs"] == ["network/vpc.id"]


def test_a_secret_of_another_stack_stays_one(two: Desk) -> None:
    done = two.run("apply", "--all", "--auto-approve", "--full")
    assert done.code == 0
    assert "secret of ten" not in done.out + done.err + two.git("log", "-p")
    kept = [path for path in (two.root / ".infra-orch").rglob("*") if path.is_file() and path.name != "cache"]
    assert [path for path in kept if b"secret of ten" in path.read_bytes()] == []


def test_a_stack_alone_reads_the_states_of_others_and_leaves_them_alone(two: Desk) -> None:
    alone = two.run("plan", "team/app", "--json")
    assert json.loads(alone.out)["units"]["web"]["basis"] == "unknown"
    assert "network/vpc, which is no part of this run: infra-orch apply network team/app" in alone.err
    assert two.run("apply", "network", "--auto-approve").code == 0
    document = planned(two, "team/app")
    assert {unit["basis"] for unit in document["units"].values()} == {"exact"}
    before = state(two, "network", "vpc")
    assert two.run("apply", "team/app", "--auto-approve").code == 0
    assert state(two, "network", "vpc") == before
    assert not list((two.root / ".infra-orch").glob("read-*"))


def test_what_other_stacks_depend_on_is_not_destroyed_under_them(applied: Desk) -> None:
    done = applied.run("destroy", "network", "--auto-approve")
    assert done.code == 77
    assert "team/app/api still exists and depends on network/vpc" in done.err
    applied.write({"stacks/network/stack.py": NETWORK.replace("    dns", "    #")})
    done = applied.run("destroy", "network", "--unit", "vpc", "--auto-approve")
    assert done.code == 77
    assert applied.run("apply", "network", "--prune", "--auto-approve").code == 0, "nobody reads dns"
    done = applied.run("destroy", "--all", "--auto-approve")
    assert done.code == 0, done.err
    order = [line.split(":")[0] for line in done.err.splitlines() if "destroy …" in line]
    assert order[-1] == "network/vpc"
    assert applied.run("destroy", "network", "--auto-approve").code == 0


def test_a_unit_that_left_its_spec_is_not_pruned_while_another_stack_reads_it(applied: Desk) -> None:
    applied.write({"stacks/network/stack.py": 'from infra_orch import Stack\n\nstack = Stack("network")\n'})
    done = applied.run("apply", "network", "--prune", "--auto-approve")
    assert done.code == 77
    assert "depends on network/vpc, which would be destroyed" in done.err
    assert applied.run("plan", "team/app").code == 65


@pytest.mark.parametrize(
    ("words", "units"),
    [
        (("--unit", "vpc"), {"network/vpc"}),
        (("--unit", "*/web"), {"team/app/web"}),
        (("--unit", "network/*"), {"network/vpc", "network/dns"}),
        (("--unit", "a*"), {"team/app/api"}),
        (("--tag", "base"), {"network/vpc", "network/dns", "team/app/ids"}),
        (("--unit", "ids", "--with-upstream"), {"network/vpc", "team/app/ids"}),
        (
            ("--unit", "vpc", "--with-downstream"),
            {"network/vpc", "network/dns", "team/app/web", "team/app/api", "team/app/ids"},
        ),
    ],
)
def test_names_and_tags_select_in_all_stacks_together(standing: Desk, words: tuple[str, ...], units: set[str]) -> None:
    document = planned(standing, "--all", *words)
    assert {f"{stack}/{name}" for stack, of in document["stacks"].items() for name in of["units"]} == units


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "--all", "--unit", "vcp"), 'is called "vcp"'),
        (("plan", "--all", "--tag", "bas"), 'did you mean "base"?'),
        (("plan", "--all", "--out", "plan.tar"), "--out is of one stack"),
        (("apply", "--all", "--resume", "last", "--auto-approve"), "--resume is of one stack"),
        (("plan",), "which stack?"),
        (("plan", "--all", "network"), "--all means every stack"),
        (("plan", "netwrok", "team/app"), 'did you mean "network"?'),
    ],
)
def test_what_cannot_be_meant_of_several_stacks_is_refused(standing: Desk, words: tuple[str, ...], said: str) -> None:
    done = standing.run(*words)
    assert (done.code, done.out) == (64, "")
    assert said in done.err


def test_nothing_is_written_where_one_of_several_specs_is_wrong(two: Desk) -> None:
    two.write({"stacks/team/app/stack.py": APP + "    stack.unit('x', module='nowhere')\n"})
    two.write({"stacks/network/stack.py": NETWORK + "    stack.unit('y', module='elsewhere')\n"})
    done = two.run("plan", "--all")
    assert done.code == 65
    assert 'unknown module "nowhere"' in done.err
    assert 'unknown module "elsewhere"' in done.err
    assert not (two.root / "stacks/network/rendered").exists()


def test_a_failure_in_one_stack_blocks_what_waits_for_it_in_others_and_nothing_else(two: Desk) -> None:
    fails = PROGRAM.format("exit 3")
    lone = 'from infra_orch import Stack\n\nstack = Stack("lone")\nstack.unit("one", module="m")\n'
    network = NETWORK.replace('module="m"', 'module="fails"', 1)
    two.write(
        {"modules/fails/main.tf": MODULE + fails, "stacks/network/stack.py": network, "stacks/lone/stack.py": lone}
    )
    two.commit()
    done = two.run("apply", "--all", "--auto-approve", "--json")
    assert done.code == 1
    document = json.loads(done.out)
    statuses = {f"{s}/{n}": u["status"] for s, of in document["stacks"].items() for n, u in of["units"].items()}
    assert statuses == {
        "lone/one": "applied",
        "network/vpc": "failed",
        "network/dns": "blocked",
        "team/app/web": "blocked",
        "team/app/api": "blocked",
        "team/app/ids": "blocked",
    }
    assert document["status"] == "failed"
    assert document["stacks"]["lone"]["status"] == "applied"
    assert not (two.root / "stacks/team/app/record").exists()
    assert two.git("log", "-1", "--format=%s") == "apply 2 stacks: 2 created (1 failed, 1 blocked)"


def test_one_graph_leads_from_stack_to_stack(standing: Desk) -> None:
    document = json.loads(standing.run("graph", "--all", "--format", "json").out)
    edges = {(edge["from"], edge["to"]) for edge in document["edges"]}
    assert ("network/vpc", "team/app/web") in edges
    assert {node["stack"] for node in document["nodes"]} == {"network", "team/app"}
    alone = json.loads(standing.run("graph", "team/app", "--format", "json").out)
    assert {edge["from"] for edge in alone["edges"]} == {"team/app/web"}
    assert "web  (modules/m)  ← network/vpc" in standing.run("graph", "team/app").out
    assert "n1 --> n5" in standing.run("graph", "--all", "--format", "mermaid").out
    assert '"network/vpc" -> "team/app/web";' in standing.run("graph", "--all", "--format", "dot").out


def test_from_rendered_files_the_others_have_to_be_committed_too(applied: Desk) -> None:
    assert applied.run("plan", "team/app", "--from-rendered").code == 0
    assert applied.run("plan", "--all", "--from-rendered").code == 0
    backend = applied.root / "stacks/network/rendered/vpc/backend.tf"
    backend.write_text(backend.read_text() + "\n# planted\n")
    done = applied.run("plan", "team/app", "--from-rendered")
    assert done.code == 77
    assert "stacks/network/rendered/vpc/backend.tf" in done.err


def test_a_bundle_knows_when_what_it_read_of_another_stack_has_changed(two: Desk) -> None:
    assert two.run("apply", "network", "--auto-approve").code == 0
    assert two.run("plan", "team/app", "--out", "../plan.tar").code == 0
    two.write({"stacks/network/stack.py": NETWORK.replace('"ten"', '"eleven"')})
    assert two.run("apply", "network", "--auto-approve").code == 0
    done = two.run("apply", "team/app", "--plan", "../plan.tar", "--auto-approve")
    assert done.code == 77
    assert "network/vpc" in done.err
    assert two.run("plan", "team/app", "--out", "../plan.tar").code == 0
    assert two.run("apply", "team/app", "--plan", "../plan.tar", "--auto-approve").code == 0


def test_only_what_a_change_in_another_stack_changes_is_planned(applied: Desk) -> None:
    document = planned(applied, "--all", "--changed-only")
    assert {u["status"] for of in document["stacks"].values() for u in of["units"].values()} == {"skipped"}
    applied.write({"stacks/network/stack.py": NETWORK.replace('"ten"', '"eleven"')})
    assert applied.run("apply", "network", "--auto-approve").code == 0
    document = planned(applied, "team/app", "--changed-only")
    assert {name: unit["status"] for name, unit in document["units"].items()} == {
        "web": "planned",
        "api": "planned",
        "ids": "skipped",
    }


def test_the_lower_of_two_limits_of_the_same_resource_holds(two: Desk) -> None:
    slow = PROGRAM.format("sleep 0.3")
    spec = """
    from infra_orch import Stack

    stack = Stack("{name}", tags=["account:prod"], concurrency={{"account:prod": {most}}})
    for number in range(2):
        stack.unit(f"u{{number}}", module="slow")
    """
    two.write({"modules/slow/main.tf": MODULE + slow})
    two.write({f"stacks/{name}/stack.py": spec.format(name=name, most=most) for name, most in (("a", 1), ("b", 4))})
    done = two.run("apply", "a", "b", "--auto-approve", "--parallelism", "4")
    assert done.code == 0, done.err
    lines = [
        json.loads(line)
        for journal in (two.root / ".infra-orch/runs").glob("*/journal.jsonl")
        for line in journal.read_text().splitlines()
    ]
    spans = sorted(
        (line["began"], line["at"]) for line in lines if line["event"] == "node" and line["phase"] == "apply"
    )
    assert len(spans) == 4
    assert all(first[1] <= second[0] + 0.05 for first, second in itertools.pairwise(spans))


def test_a_run_of_several_that_is_killed_is_seen_to_stack_by_stack(two: Desk) -> None:
    slow = PROGRAM.format("sleep 2")
    two.write(
        {
            "modules/slow/main.tf": MODULE + slow,
            "stacks/team/app/stack.py": APP.replace('"web", module="m"', '"web", module="slow"'),
        }
    )
    two.commit()
    argv = [sys.executable, "-m", "infra_orch", "apply", "--all", "--auto-approve"]
    process = subprocess.Popen(argv, cwd=two.root, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "team/app/web: apply" in line:
            break
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    done = two.run("apply", "--all", "--auto-approve")
    assert done.code == 0, done.err
    assert done.err.count("died; what it did is recorded now") == 2
    assert planned(two, "--all")["status"] == "unchanged"
    subjects = two.git("log", "--format=%s").splitlines()
    assert sum(subject.startswith("apply ") for subject in subjects) >= 3
    assert two.git("status", "--porcelain") == ""


def test_recover_is_not_confused_by_what_a_dead_run_read_elsewhere(two: Desk) -> None:
    assert two.run("apply", "network", "--auto-approve").code == 0
    assert two.run("apply", "team/app", "--auto-approve").code == 0
    assert two.run("recover", "team/app").code == 0
    assert two.run("explain", "team/app", "web").code == 0
    assert two.run("tf", "team/app", "web", "--", "state", "list").code == 0
    shutil.rmtree(two.root / ".infra-orch")
    assert two.run("plan", "team/app", "--detailed-exitcode").code == 0


def test_a_stack_in_the_sandbox_is_not_destroyed_under_another_one_either(two: Desk, emulator: str) -> None:
    assert two.run("apply", "--all", "--sandbox", "--auto-approve").code == 0
    done = two.run("destroy", "network", "--sandbox", "--auto-approve")
    assert done.code == 77
    assert "still exists and depends on network/vpc" in done.err
    assert planned(two, "team/app", "--sandbox")["units"]["web"]["basis"] == "exact"
    assert two.run("destroy", "--all", "--sandbox", "--auto-approve").code == 0


def test_two_runs_that_share_a_stack_come_one_after_the_other(two: Desk) -> None:
    slow = PROGRAM.format("sleep 2")
    network = NETWORK.replace('module="m"', 'module="slow"', 1)
    two.write({"modules/slow/main.tf": MODULE + slow, "stacks/network/stack.py": network})
    argv = [sys.executable, "-m", "infra_orch", "apply", "--all", "--auto-approve"]
    with subprocess.Popen(argv, cwd=two.root, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as first:
        assert first.stderr is not None
        while "network/vpc: apply" not in (line := first.stderr.readline()):
            assert line
        done = two.run("apply", "team/app", "--auto-approve")
        assert done.code == 75
        assert 'stack "app" is in use by apply' in done.err
        first.stderr.read()
    assert first.returncode == 0
    assert two.run("plan", "--all", "--detailed-exitcode").code == 0


def test_an_interrupt_ends_what_is_under_way_in_all_stacks_and_records_it(two: Desk) -> None:
    slow = PROGRAM.format("sleep 3")
    network = NETWORK.replace('module="m"', 'module="slow"', 1)
    two.write({"modules/slow/main.tf": MODULE + slow, "stacks/network/stack.py": network})
    argv = [sys.executable, "-m", "infra_orch", "apply", "--all", "--auto-approve", "--json"]
    with subprocess.Popen(argv, cwd=two.root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while "network/vpc: apply" not in (line := process.stderr.readline()):
            assert line
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        document = json.loads(process.stdout.read())
        process.stderr.read()
    assert process.returncode == 130
    assert document["status"] == "cancelled"
    assert {unit["status"] for unit in document["stacks"]["team/app"]["units"].values()} == {"cancelled"}
    until(lambda: not at_work(two.root), "the program that Terraform has left behind, which holds the stack")
    assert two.run("recover", "network").err.startswith("nothing to recover")
    assert two.run("apply", "--all", "--auto-approve").code == 0
