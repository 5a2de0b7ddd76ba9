"""A fleet: the same applications on servers of two regions, each in a unit of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infra_orch import Input, Provider, Stack, TaskContext, Unit


@dataclass(frozen=True)
class Region:
    """A region of AWS, and the addresses of the fleet's network there: no two regions may share any."""

    name: str
    cidr_block: str


@dataclass(frozen=True)
class Application:
    """What runs on servers of its own, in each of *regions*; none means all of them."""

    name: str
    servers: int = 2
    port: int = 8080
    instance_type: str = "t3.micro"
    regions: tuple[str, ...] = ()


REGIONS = [Region("eu-west-1", "10.32.0.0/16"), Region("eu-central-1", "10.33.0.0/16")]

APPLICATIONS = [
    Application("accounts"),
    Application("basket", servers=3),
    Application("billing"),
    Application("catalogue", servers=3),
    Application("checkout", servers=3),
    Application("delivery"),
    Application("frontend", servers=4, port=80, instance_type="t3.small"),
    Application("invoices", servers=1),
    Application("mailer", servers=1),
    Application("prices"),
    Application("ratings", servers=1),
    Application("reports", servers=1, instance_type="t3.small", regions=("eu-west-1",)),
    Application("search", servers=3, instance_type="t3.small"),
    Application("sessions"),
    Application("stock"),
]


def fleet(name: str, regions: Sequence[Region], applications: Sequence[Application]) -> Stack:
    """Declare a fleet: in each region a network, applications in it, alarms about them, and a task that checks."""
    providers = {
        region.name: Provider(
            "aws",
            alias=region.name,
            source="hashicorp/aws",
            version="~> 5.0",
            region=region.name,
            default_tags={"tags": {"stack": name, "region": region.name, "managed-by": "infra-orch"}},
        )
        for region in regions
    }
    # The state is kept in files beside this one, so that a first apply needs no bucket. A team keeps it in S3:
    # backend=S3Backend(bucket="acme-terraform-state", region="eu-west-1"), imported from infra_orch.
    made = Stack(
        name,
        providers=list(providers.values()),
        # EC2 limits how often it is asked, by account and region: eight units of a region at once are enough.
        concurrency={f"region:{region.name}": 8 for region in regions},
    )
    for region in regions:
        here = [one for one in applications if not one.regions or region.name in one.regions]
        groups = declare(made, region, here, providers[region.name])
        check = made.task(
            name=f"check-{region.name}", after=list(groups.values()), retries=2, retry_delay=5.0, timeout=120.0
        )
        check(checked(region, groups))
    return made


def declare(made: Stack, region: Region, applications: Sequence[Application], provider: Provider) -> dict[str, Unit]:
    """Declare what *region* has, and return the units of its applications by their names."""

    def unit(name: str, module: str, inputs: Mapping[str, Input], *tags: str) -> Unit:
        return made.unit(
            f"{name}-{region.name}",
            module=module,
            inputs=inputs,
            providers={"aws": provider},
            tags=[f"region:{region.name}", *tags],
        )

    network = unit("network", "network", {"name": made.name, "cidr_block": region.cidr_block})
    groups = {
        one.name: unit(
            one.name,
            "web_servers",
            {
                "name": one.name,
                "vpc_id": network.outputs.vpc_id,
                "subnet_ids": network.outputs.subnet_ids,
                "ingress_cidr_blocks": [network.outputs.cidr_block],
                "server_count": one.servers,
                "instance_type": one.instance_type,
                "port": one.port,
            },
            f"app:{one.name}",
        )
        for one in applications
    }
    watched = {name: web.outputs.group_name for name, web in groups.items()}
    unit("alerts", "alerts", {"name": made.name, "email_addresses": ["ops@example.com"], "server_groups": watched})
    return groups


class FleetError(AssertionError):
    """A region does not have what the stack promises."""


def checked(region: Region, applications: dict[str, Unit]) -> Callable[[TaskContext], dict[str, int]]:
    """Return the task that checks a region: how many servers of each application are in service there."""

    def check(context: TaskContext) -> dict[str, int]:
        autoscaling = context.client("autoscaling", region=region.name)
        wanted = {name: context.outputs[unit.name] for name, unit in applications.items()}
        names = [outputs["group_name"] for outputs in wanted.values()]
        pages = autoscaling.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=names)
        groups = {
            group["AutoScalingGroupName"]: group["Instances"] for page in pages for group in page["AutoScalingGroups"]
        }
        serving = {
            name: sum(one["LifecycleState"] == "InService" for one in groups.get(outputs["group_name"], []))
            for name, outputs in wanted.items()
        }
        short = [
            f"{name} has {serving[name]} of {outputs['server_count']}"
            for name, outputs in wanted.items()
            if serving[name] != outputs["server_count"]
        ]
        if short:
            raise FleetError(f"in {region.name} servers are missing: {', '.join(short)}")
        context.log.info("%d servers of %d applications are in service", sum(serving.values()), len(serving))
        return serving

    return check


stack = fleet("fleet", REGIONS, APPLICATIONS)
