"""Documents of runs to make reports of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RUN_ID = "20261124T225621418Z-9a8fce"
COUNTED = ("create", "update", "delete", "replace", "import", "move", "read")


def resource(address: str, *actions: str, attributes: Sequence[dict[str, Any]] = (), **more: str) -> dict[str, Any]:
    """One resource of a unit."""
    kind = address.split("[", maxsplit=1)[0].split(".")[-2]
    return {"address": address, "type": kind, "actions": list(actions), "attributes": list(attributes), **more}


def attribute(path: str, before: str, after: str, *, forces: bool = False) -> dict[str, Any]:
    """One attribute of a resource."""
    return {"path": path, "before": before, "after": after} | ({"forces_replacement": True} if forces else {})


def error(summary: str, detail: str = "", hint: str = "") -> dict[str, str]:
    """Why a unit or a task is not done."""
    return {"kind": "failed", "summary": summary, "detail": detail, "hint": hint, "log": ""}


def unit(status: str, *resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What became of a unit."""
    changes = dict.fromkeys(COUNTED, 0)
    for one in resources:
        action = "replace" if len(one["actions"]) > 1 else one["actions"][0]
        for name in (action, "move" if "moved_from" in one else "", "import" if "imported_id" in one else ""):
            if name in changes:
                changes[name] += 1
    return {
        "status": status,
        "changes": changes,
        "resources": list(resources),
        "unfinished": [],
        "outputs_changed": [],
        "basis": "exact",
        "unknown_inputs": [],
        "destroys": False,
        "warnings": [],
        "error": None,
        "duration_s": 1.5,
        **more,
    }


def document(units: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The document of an apply of these units."""
    return {
        "$schema": "urn:infra-orch:schema:run-document:1",
        "schema": 1,
        "run_id": RUN_ID,
        "stack": "prod",
        "command": "apply",
        "status": "applied",
        "at": "2026-11-24T22:56:21+00:00",
        "by": "Ada <ada@example.com>",
        "duration_s": 143.2,
        "sandbox": False,
        "commit": "6adb1944779611efae404f54c7fbbad1d5a905a3",
        "dirty": False,
        "engine": {"name": "terraform", "version": "1.11.4"},
        "units": units,
        "tasks": {},
        "edges": [],
        "left_over": [],
        "gateway": None,
        **more,
    }


def mixed() -> dict[str, Any]:
    """A run in which something of every kind happened."""
    subnet = resource(
        "module.network.aws_subnet.private",
        "delete",
        "create",
        attributes=[attribute("cidr_block", '"10.0.1.0/24"', '"10.0.16.0/20"', forces=True)],
    )
    vpc = resource("module.network.aws_vpc.this", "update", attributes=[attribute("tags.Owner", '"a"', '"b"')])
    role = resource("module.web.aws_iam_role.web", "update", imported_id="web-role")
    group = resource("module.web.aws_security_group.web", "create", attributes=[attribute("name", "null", '"web"')])
    bucket = resource("module.old.aws_s3_bucket.logs", "delete")
    moved = resource("module.data.aws_db_instance.main", "no-op", moved_from="module.data.aws_db_instance.this")
    return document(
        {
            "network": unit("applied", vpc, subnet, warnings=["this argument is deprecated"], outputs_changed=["ids"]),
            "web": unit("failed", role, group, error=error("no capacity", "Error: RunInstances", "try another zone")),
            "old": unit("applied", bucket, destroys=True),
            "data": unit("applied", moved, basis="planned"),
            "alerts": unit("deferred", basis="unknown", unknown_inputs=["web.ids"], error=error("not known yet")),
            "audit": unit("unchanged"),
            "mail": unit("skipped"),
        },
        status="failed",
        sandbox=True,
        dirty=True,
        tasks={"smoke": {"status": "applied", "result": {"rows": 1204}, "error": None, "duration_s": 2.0}},
        edges=[["network", "web"], ["web", "alerts"], ["network", "audit"], ["web", "smoke"]],
        left_over=["bastion"],
    )


def many(units: int, resources: int) -> dict[str, Any]:
    """A run over so many units, of so many resources each, with eight attributes of each resource."""
    attributes = [attribute(f"tags.key{number}", '"before"', '"after"') for number in range(8)]
    return document(
        {
            f"service-{number:04}": unit(
                "applied",
                *(
                    resource(f'aws_instance.node["{number:04}-{each}"]', "update", attributes=attributes)
                    for each in range(resources)
                ),
            )
            for number in range(units)
        }
    )
