"""Delivery: a store of artifacts, roles for the CI that writes them, and an environment for every branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from branches import Branch, environments

from infra_orch import Provider, Stack, TaskContext, Unit

APPLICATION = "shop"
REPOSITORY = "acme/shop"  # at GitHub, where jobs prove by their tokens who they are

# A branch more is an environment more. One less leaves units over, which `infra-orch apply delivery --prune` destroys.
BRANCHES = [
    Branch("main", {"log_level": "info"}),
    Branch("feature/checkout", {"log_level": "debug"}),
    Branch("fix/JIRA-421_cart-total", {"log_level": "debug"}),
]

# The state is kept in files beside this one, so that a first apply needs no bucket. A team keeps it in S3:
# backend=S3Backend(bucket="acme-terraform-state", region="eu-west-1"), imported from infra_orch.
stack = Stack(
    "delivery",
    providers=[
        Provider(
            "aws",
            source="hashicorp/aws",
            version="~> 5.0",
            region="eu-west-1",
            default_tags={"tags": {"stack": "delivery", "application": APPLICATION, "managed-by": "infra-orch"}},
        ),
    ],
)

artifacts = stack.unit(
    "artifacts",
    module="object_store",
    inputs={"name": f"{APPLICATION}-artifacts", "expire_prefixes": {"branches/": 30}},
)

# What is released is written by jobs of the environment "production", whose rules at GitHub say which branches and
# whose yes that takes.
release = stack.unit(
    "release",
    module="ci_role",
    inputs={
        "name": f"{APPLICATION}-ci-release",
        "repository": REPOSITORY,
        "environments": ["production"],
        "artifact_bucket_arn": artifacts.outputs.arn,
        "artifact_prefix": "releases/",
    },
)


def branch_environment(name: str, branch: Branch) -> tuple[Unit, Unit]:
    """Declare what a branch has: a place in the store, a role that writes there and nowhere else, and its services."""
    role = stack.unit(
        f"ci-{name}",
        module="ci_role",
        inputs={
            "name": f"{APPLICATION}-ci-{name}",
            "repository": REPOSITORY,
            "branches": [branch.name],
            "create_oidc_provider": False,  # the account has one already: the role for releases made it
            "artifact_bucket_arn": artifacts.outputs.arn,
            "artifact_prefix": f"branches/{name}/",
        },
        after=[release],
        tags=[f"branch:{name}"],
    )
    services = stack.unit(
        f"env-{name}",
        module="branch_environment",
        inputs={
            "application": APPLICATION,
            "name": name,
            "branch": branch.name,
            "settings": {
                **branch.settings,
                "artifacts": f"s3://{artifacts.outputs.name}/{role.outputs.artifact_prefix}",
            },
        },
        tags=[f"branch:{name}"],
    )
    return role, services


made = {name: branch_environment(name, branch) for name, branch in environments(BRANCHES).items()}
roles = [release, *(role for role, _ in made.values())]


class DeliveryError(AssertionError):
    """Something is not as the stack promises."""


def _check(fact: bool, otherwise: str) -> None:  # noqa: FBT001  the fact is what the function is about
    if not fact:
        raise DeliveryError(otherwise)


@stack.task(after=[artifacts], retries=2, retry_delay=5.0, timeout=60.0)
def store_keeps_artifacts(context: TaskContext) -> dict[str, Any]:
    """Put an artifact, read it back, and take it away again with all its versions; return how it was encrypted."""
    s3, bucket = context.client("s3"), context.outputs["artifacts"]["name"]
    key, body = f"self-test/{context.run_id}", f"written by run {context.run_id}".encode()
    put = s3.put_object(Bucket=bucket, Key=key, Body=body)
    try:
        got = s3.get_object(Bucket=bucket, Key=key)
        _check(got["Body"].read() == body, f"s3://{bucket}/{key} does not hold what was put there")
        encrypted = got.get("ServerSideEncryption")
        _check(bool(encrypted), f"s3://{bucket}/{key} is not encrypted")
    finally:
        # By its version, so that nothing is left: without one, a delete would only hide it.
        s3.delete_object(Bucket=bucket, Key=key, VersionId=put["VersionId"])
    context.log.info("%s keeps artifacts, encrypted with %s", bucket, encrypted)
    return {"bucket": bucket, "encryption": encrypted}


@stack.task(after=roles, retries=2, retry_delay=5.0, timeout=120.0)
def roles_are_narrow(context: TaskContext) -> dict[str, list[str]]:
    """Ask IAM who may take each role, and for what; return who, by role. DeliveryError where that is too much."""
    iam = context.client("iam")
    store = context.outputs["artifacts"]
    return {unit.name: _check_role(iam, context.outputs[unit.name], store) for unit in roles}


def _check_role(iam: Any, promised: Mapping[str, Any], store: Mapping[str, Any]) -> list[str]:
    """Return who may take the role: exactly those that the unit promises; they reach its prefix of *store* alone."""
    name = promised["name"]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    who = sorted(
        subject
        for statement in trust
        for key, subjects in statement.get("Condition", {}).get("StringEquals", {}).items()
        if key.endswith(":sub")
        for subject in ([subjects] if isinstance(subjects, str) else subjects)
    )
    _check(len(trust) == 1 and who == sorted(promised["subjects"]), f"{name} can be taken by {who}, in {trust}")
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    _check(policies == ["artifacts"], f"{name} has the policies {policies}")
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    _check(not attached, f"{name} has the managed policies {[one['PolicyName'] for one in attached]}")
    document = iam.get_role_policy(RoleName=name, PolicyName="artifacts")["PolicyDocument"]
    below = f"{promised['artifact_prefix']}*"
    for statement in document["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        if actions == ["s3:ListBucket"]:
            reached, wanted = [*resources, *statement["Condition"]["StringLike"]["s3:prefix"]], [store["arn"], below]
        elif all(action.startswith("kms:") for action in actions):
            reached, wanted = resources, [store["kms_key_arn"]]
        else:
            reached, wanted = resources, [f"{store['arn']}/{below}"]
        _check(reached == wanted, f"{name} reaches {reached}, and not just {wanted}")
        _check(not any("*" in action for action in actions), f"{name} may {actions}")
    return who


@stack.task(after=[services for _, services in made.values()], retries=2, retry_delay=5.0, timeout=120.0)
def environments_know_themselves(context: TaskContext) -> list[str]:
    """Ask Parameter Store what each environment's application would be told; return the environments' names."""
    ssm = context.client("ssm")
    for _, services in made.values():
        promised = context.outputs[services.name]
        path = promised["parameter_path"]
        pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path)
        told = {one["Name"].removeprefix(f"{path}/"): one["Value"] for page in pages for one in page["Parameters"]}
        for name in ("branch", "event_bus", "log_group"):
            _check(told.get(name) == promised[name], f"{path}/{name} is {told.get(name)!r}, not {promised[name]!r}")
    return sorted(made)
