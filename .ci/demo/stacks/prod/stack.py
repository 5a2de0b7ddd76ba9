"""The shape of the project's `stacks/prod`, made of Terraform's built-in provider: for where no other can be had."""
# ruff: noqa: INP001  a stack file, like stacks/prod

from __future__ import annotations

from infra_orch import Stack, TaskContext

stack = Stack("prod")

network = stack.unit(
    "network",
    module="network",
    inputs={"name": "prod", "cidr_block": "10.20.0.0/16", "zone_count": 2},
)

web = stack.unit(
    "web",
    module="web_servers",
    inputs={
        "name": f"{network.outputs.name}-web",
        "subnet_ids": network.outputs.subnet_ids,
        "server_count": 2,
    },
)

alerts = stack.unit(
    "alerts",
    module="alerts",
    inputs={
        "name": f"{network.outputs.name}-alerts",
        "server_groups": {"web": web.outputs.group_name},
    },
)


@stack.task(after=[network, web, alerts], timeout=60.0)
def smoke_test(context: TaskContext) -> dict[str, int]:
    """Check that every server is in a subnet of the network, and return how many there are."""
    subnets, servers = context.outputs["network"]["subnet_ids"], context.outputs["web"]["servers"]
    outside = sorted(name for name, subnet in servers.items() if subnet not in subnets)
    if outside:
        raise AssertionError(f"not in a subnet of the network: {', '.join(outside)}")
    context.log.info("%d servers, each in a subnet of the network", len(servers))
    return {"servers": len(servers)}
