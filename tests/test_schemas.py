"""What is written for programs is as its published schema says, and the schema leaves nothing of it out."""

from __future__ import annotations

import json
import shutil
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

NAMES = (
    "stack",
    "run-record",
    "unit-record",
    "run-document",
    "runs-document",
    "graph",
    "plan-bundle",
    "timings",
    "fingerprint",
    "drift",
    "approval",
    "preview-bundle",
    "reconcile",
    "list",
    "doctor",
    "bootstrap",
)


def schema(name: str) -> dict[str, Any]:
    return json.loads((files("infra_orch") / f"schemas/{name}-1.json").read_text(encoding="utf-8"))


def strict(part: Any) -> Any:
    """A schema that refuses what it does not name; the published ones let later versions add."""
    if isinstance(part, list):
        return [strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {"additionalProperties": False} if "properties" in part and "additionalProperties" not in part else {}
    return {key: strict(value) for key, value in part.items()} | closed


def check(name: str, document: Any) -> None:
    run = Resource.from_contents(strict(schema("run-document")))
    validator = Draft202012Validator(
        strict(schema(name)),
        format_checker=Draft202012Validator.FORMAT_CHECKER,
        registry=Registry().with_resource(run.id() or "", run),
    )
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_says_which(name: str) -> None:
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert found["$id"] == f"urn:infra-orch:schema:{name}:1"
    assert found["properties"]["$schema"] == {"const": found["$id"]}


FAILS = """
    variable "up" {
    }

    resource "terraform_data" "a" {
      provisioner "local-exec" {
        command = "exit 1"
      }
    }
"""
MORE = """
@stack.task(after=[web])
def smoke(context):
    return {"servers": len(context.outputs["web"]["servers"])}

stack.unit("fails", module="fails", inputs={"up": web.outputs.servers}, tags=["x"])
stack.unit("blocked", module="network", inputs={"name": "x"}, after=["fails"])
"""
WAITS = """
stack.unit("keyed", module="keyed", inputs={"keys": web.outputs.servers, "token": env("TOKEN")}, tags=["x"])
"""
KEYED = """
    variable "keys" {
      type = set(string)
    }

    variable "token" {
      type = string
    }

    resource "terraform_data" "it" {
      for_each = var.keys
      input    = var.token
    }
"""
RENAMED = """
    from infra_orch import Stack

    stack = Stack("dev")
    stack.unit("net", module="network", formerly="network", inputs={"name": "y"})
"""


@pytest.fixture
def busy(two_units):
    """A stack in which much can happen: a task, a unit that fails, one that is blocked, and a sensitive output."""
    spec = two_units.root / "stacks/dev/stack.py"
    return two_units.write({"modules/fails/main.tf": FAILS, "stacks/dev/stack.py": spec.read_text() + MORE})


def test_a_rendered_stack_is_as_its_schema_says(busy) -> None:
    busy.run("render", "dev")
    check("stack", json.loads((busy.root / "stacks/dev/rendered/stack.json").read_text()))


def test_a_rendered_stack_that_uses_everything_is_as_its_schema_says(desk) -> None:
    desk.write(
        {
            "modules/m/main.tf": 'variable "x" {\n  default = null\n}\n\noutput "größe-1" {\n  value = 1\n}\n',
            "stacks/dev/stack.py": """
            from infra_orch import Backend, Provider, Stack, env
            stack = Stack("dev", backend=Backend("gcs", prefix="{unit}"), providers=[Provider("aws", alias="x", region="r")])
            a = stack.unit("a", module="m", formerly="b", tags=["ü"], protect=True, providers={"aws": "aws.x"})
            stack.unit("c", module="m", inputs={"x": [a.outputs["größe-1"], env("TOKEN")]})
            stack.unit("d", module="acme/x/aws", version="~> 1.0")
            stack.task(name="t", on="destroy")(print)
        """,
        }
    )
    assert desk.run("render", "dev").code == 0
    check("stack", json.loads((desk.root / "stacks/dev/rendered/stack.json").read_text()))


def test_runs_and_their_records_are_as_their_schemas_say(busy) -> None:
    record = busy.root / "stacks/dev/record"
    outputs = [busy.run("plan", "dev", "--json").out, busy.run("apply", "dev", "--json", "--auto-approve").out]
    busy.write({"stacks/dev/stack.py": RENAMED})
    listed = json.loads(busy.run("list", "--json").out)
    check("list", listed)
    assert {unit["state"] for unit in listed["stacks"][0]["units"]} >= {"stale", "left_over"}
    outputs.append(busy.run("plan", "dev", "--json").out)
    outputs.append(busy.run("apply", "dev", "--json", "--auto-approve").out)
    check("stack", json.loads((busy.root / "stacks/dev/rendered/stack.json").read_text()))
    units = [path.read_text() for path in record.glob("*.json")]
    outputs.append(busy.run("destroy", "dev", "--json", "--auto-approve").out)
    units += [path.read_text() for path in record.glob("*.json")]
    for run in (json.loads(text)["run_id"] for text in outputs):
        check("timings", json.loads(busy.run("timings", run, "--json").out))
    check("fingerprint", json.loads(busy.run("explain", "dev", "net", "--json").out))
    check("doctor", json.loads(busy.run("doctor", "--json").out))
    documents = [json.loads(text) for text in outputs]
    for document in documents:
        check("run-document", document)
    for path in (record / "runs").glob("*.json"):
        check("run-record", json.loads(path.read_text()))
    for text in units:
        check("unit-record", json.loads(text))
    seen = {unit["status"] for document in documents for unit in document["units"].values()}
    assert {"planned", "applied", "failed", "blocked"} <= seen
    assert {"applied", "failed", "destroyed"} <= {json.loads(text)["status"] for text in units}


def manifest(bundle: Path) -> Any:
    with zipfile.ZipFile(bundle) as archive:
        return json.loads(archive.read("manifest.json"))


def test_plan_bundles_are_as_their_schema_says(two_units, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a-token")
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace("import Stack", "import Stack, env") + WAITS)
    two_units.write({"modules/keyed/main.tf": KEYED})
    bundles = [str(tmp_path / f"{number}.plan") for number in range(4)]
    assert two_units.run("plan", "dev", "--out", bundles[0]).code == 0
    assert two_units.run("apply", "dev", "--auto-approve").code == 1, "keyed is deferred"
    assert two_units.run("plan", "dev", "--out", bundles[1], "--unit", "web", "--tag", "x").code == 0
    assert two_units.run("plan", "dev", "--out", bundles[2], "--destroy").code == 0
    two_units.write({"stacks/dev/stack.py": RENAMED})
    assert two_units.run("plan", "dev", "--out", bundles[3], "--prune").code == 0
    found = [manifest(Path(bundle)) for bundle in bundles]
    for document in found:
        check("plan-bundle", document)
    assert {unit["status"] for document in found for unit in document["units"].values()} >= {"planned", "deferred"}
    assert found[1]["outside"]
    assert found[0]["variables"]
    assert found[3]["units"]["net"]["state_moves"]


def test_a_graph_is_as_its_schema_says(busy) -> None:
    check("graph", json.loads(busy.run("graph", "dev", "--format", "json").out))


def test_what_leads_from_stack_to_stack_is_as_the_schemas_say(two_units) -> None:
    spec = """
    from infra_orch import Stack

    stack = Stack("app")
    network = Stack.reference("dev").unit("network")
    stack.unit("web", module="network", inputs={"name": network.outputs.name}, after=[network])
    """
    two_units.write({"stacks/team/app/stack.py": spec})
    done = two_units.run("apply", "--all", "--auto-approve", "--json")
    assert done.code == 0, done.err
    check("runs-document", json.loads(done.out))
    check("stack", json.loads((two_units.root / "stacks/team/app/rendered/stack.json").read_text()))
    two_units.commit()
    (two_units.root / "stacks/team/app/stack.py").unlink()
    shutil.rmtree(two_units.root / "stacks/team/app/rendered")
    graph = json.loads(two_units.run("graph", "--affected", "--base", "HEAD", "--format", "json").out)
    assert graph["deleted"] == [{"stack": "team/app", "unit": "web"}]
    check("graph", graph)


def test_approvals_and_what_a_preview_keeps_are_as_their_schemas_say(desk, tmp_path) -> None:
    start = desk.commit("start")
    desk.write(
        {
            "modules/m/main.tf": 'variable "x" {}\n\nresource "terraform_data" "it" {\n  input = var.x\n}\n',
            "stacks/team/dev/stack.py": """
            from infra_orch import Stack
            stack = Stack("dev")
            stack.unit("a", module="m", inputs={"x": "y"})
        """,
        }
    )
    desk.run("render", "team/dev")
    desk.commit()
    assert desk.run("preview", "--base", start, "--bundle", str(tmp_path / "kept.bundle")).code == 0
    with zipfile.ZipFile(tmp_path / "kept.bundle") as archive:
        assert set(archive.namelist()) == {"manifest.json", "plans/team/dev.plan", "preview.json", "report.html"}
        check("preview-bundle", json.loads(archive.read("manifest.json")))
        check("runs-document", json.loads(archive.read("preview.json")))
    assert desk.run("approve", "--bundle", str(tmp_path / "kept.bundle")).code == 0
    (approval,) = (desk.root / "stacks/team/dev/record/approvals").iterdir()
    check("approval", json.loads(approval.read_text()))
    done = desk.run("apply", "team/dev", "--auto-approve", "--json")
    check("run-document", json.loads(done.out))
    (record,) = (desk.root / "stacks/team/dev/record/runs").iterdir()
    check("run-record", json.loads(record.read_text()))
