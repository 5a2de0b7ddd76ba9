"""`drift`: what is not as the last apply left it, found without changing anything."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from cloud_account import BUCKET, STACK, with_bucket
from local_http import chatting
from test_schemas import check

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    terraform {
      required_providers {
        aws = {
          source = "hashicorp/aws"
        }
      }
    }

    variable "name" {
      type = string
    }

    variable "value" {
      type = string
    }

    resource "aws_ssm_parameter" "it" {
      for_each = toset(["one", "two"])
      name     = "${var.name}-${each.key}"
      type     = "String"
      value    = var.value
      tags     = { Owner = "ada" }
    }

    output "value" {
      value = aws_ssm_parameter.it["one"].name
    }
    """
SPEC = f"""{STACK}
stack = Stack("cloud", backend=backend, providers=[aws])
a = stack.unit("a", module="parameters", inputs={{"name": "a", "value": "v"}}, protect=True)
stack.unit("b", module="parameters", inputs={{"name": "b", "value": a.outputs.value}})
"""
DRIFTED = """\
a: 2 resources drifted since run RUN (TIME)
    ~ module.a.aws_ssm_parameter.it["one"]
        tags.Owner = "ada" → "eve"
        value      = (sensitive) → (sensitive)
        version    = 1 → 2
    - module.a.aws_ssm_parameter.it["two"]

as their states have them: b
Drift: 2 resources in 1 unit.
"""


@pytest.fixture
def cloud(desk: Desk, emulator: str, aws_mirror: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """An emulated account in which the stack `cloud` is applied, and clients of it."""
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_MIRROR", aws_mirror)
    desk.write({"modules/parameters/main.tf": MODULE, "stacks/cloud/stack.py": SPEC})
    desk.commit()
    clients = with_bucket(emulator, monkeypatch)
    assert desk.run("apply", "cloud", "--auto-approve").code == 0
    return clients


def states(cloud: Callable[[str], Any]) -> dict[str, bytes]:
    s3 = cloud("s3")
    found = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    return {one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in found}


def masked(text: str) -> str:
    return re.sub(r"run \S+ \(\S+\)", "run RUN (TIME)", text)


def test_what_was_changed_by_hand_is_told_and_nothing_else(
    desk: Desk, cloud: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = desk.run("drift", "cloud")
    assert (fine.code, fine.out) == (0, "as their states have them: a, b\nNo drift.\n"), fine.err
    ssm, before = cloud("ssm"), states(cloud)
    ssm.put_parameter(Name="a-one", Value="by hand", Overwrite=True)
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="a-one", Tags=[{"Key": "Owner", "Value": "eve"}])
    ssm.delete_parameter(Name="a-two")
    # The spec has moved on, which is no drift; and a unit that was never applied cannot have drifted.
    more = 'stack.unit("c", module="parameters", inputs={"name": "c", "value": "v"})\n'
    desk.write({"stacks/cloud/stack.py": SPEC.replace('"name": "b"', '"name": "b2"') + more})
    found = desk.run("drift", "cloud")
    assert (found.code, masked(found.out)) == (2, DRIFTED), found.err
    assert "never applied, so not looked at: c" in found.err
    assert "infra-orch plan cloud shows what an apply would make of it; --fix does, too" in found.err
    assert states(cloud) == before, "nothing is written"
    with chatting() as (host, chat):
        monkeypatch.setenv("CHAT", f"json://{host}/")
        (desk.root / "infra-orch.toml").write_text('[[notify]]\nto = "env:CHAT"\non = ["drift"]\n')
        told = desk.run("drift", "--all", "--json", "--report", "drift.html")
    page = (desk.root / "drift.html").read_text()
    seen = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert {unit["name"]: len(unit["resources"]) for unit in seen["units"]} == {"cloud/a": 2, "cloud/b": 0}
    (message,) = chat.told
    assert (message["title"], message["type"]) == ("drift cloud: has drifted", "warning")
    assert message["message"].startswith("2 resources drifted in 1 unit\na: drifted\nrun ")
    document = json.loads(told.out)
    check("drift", document)
    assert (told.code, document["status"]) == (2, "drifted")
    assert {name: unit["status"] for name, unit in document["units"].items()} == {
        "cloud/a": "drifted",
        "cloud/b": "none",
    }
    run = json.loads(desk.git("show", "HEAD:stacks/cloud/record/a.json"))["run"]
    assert document["units"]["cloud/a"]["since"]["run"] == run
    assert desk.git("status", "--porcelain", "stacks/cloud/record") == ""


def test_the_way_back_is_shown_and_gone_where_somebody_says_yes(desk: Desk, cloud: Callable[[str], Any]) -> None:
    ssm, before = cloud("ssm"), states(cloud)
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="a-one", Tags=[{"Key": "Owner", "Value": "eve"}])
    shown = desk.run("drift", "cloud", "--fix")
    assert shown.code == 2, shown.err
    assert "a: 1 resource drifted since run" in shown.out
    assert 'tags.Owner = "eve" → "ada"' in shown.out
    assert "nothing was changed; infra-orch drift cloud --fix --auto-approve does it" in shown.err
    assert states(cloud) == before, "nothing is written"
    told = desk.run("drift", "--all", "--fix", "--auto-approve", "--json")
    assert told.code == 0, told.err
    document = json.loads(told.out)
    check("drift", document)
    assert document["status"] == "drifted", "as it was found"
    check("runs-document", document["fix"])
    units = document["fix"]["stacks"]["cloud"]["units"]
    assert {name: unit["status"] for name, unit in units.items()} == {"a": "applied"}, "what has not drifted is left"
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="a-one")["TagList"]
    assert tags == [{"Key": "Owner", "Value": "ada"}]
    assert desk.git("log", "-1", "--format=%s") == "apply cloud: 1 updated"


def test_a_stack_that_was_never_applied_has_nothing_to_drift(two_units: Desk) -> None:
    done = two_units.run("drift", "dev")
    assert (done.code, done.out) == (0, "No drift.\n"), done.err
    assert "never applied, so not looked at: network, web" in done.err


def test_a_unit_whose_state_is_on_another_machine_is_not_said_to_be_without_drift(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States beside the stack are not in git."""
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    clone = two_units.root.parent / "clone"
    two_units.git("clone", "--quiet", str(two_units.root), str(clone))
    monkeypatch.chdir(clone)
    done = two_units.run("drift", "dev")
    assert done.code == 1
    why = "exists, says the record in git, and no state is in stacks/dev/state/"
    assert [line for line in done.out.splitlines() if why in line] == [
        f"{name}: failed: {name} {why}" for name in ("network", "web")
    ]
    assert "  → states beside the stack are on the machine that applied it: bring them here" in done.out
    assert "No drift in what was looked at. 2 could not be looked at." in done.out
    document = json.loads(two_units.run("drift", "--all", "--json").out)
    check("drift", document)
    assert document["status"] == "failed"
    assert why in document["units"]["dev/web"]["error"]["summary"]


def test_a_unit_that_cannot_be_looked_at_is_told_with_why(two_units: Desk) -> None:
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    state = two_units.root / "stacks/dev/state/network.tfstate"
    state.write_text("{")
    done = two_units.run("drift", "dev", "--unit", "network")
    assert done.code == 1
    assert "network: failed" in done.out
    assert "1 could not be looked at." in done.out
    assert json.loads(two_units.run("drift", "dev", "--json").out)["status"] == "failed"
