"""A stack file type-checks under mypy --strict in the user's own repository, and misuse is found there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

GOOD = '''
"""A stack that uses all that there is."""

from __future__ import annotations

from typing import Any

from infra_orch import (
    Backend, LocalBackend, Outputs, Provider, Reference, S3Backend, Stack, TaskContext, Unit, block, env, expression,
)

eu = Provider("aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1",
              default_tags={"tags": {"team": "a"}}, assume_role=[block(role_arn="arn"), {"role_arn": "b"}])
us = Provider("aws", alias="us", configuration={"region": "us-east-1"}, skip_region_validation=True)
k8s = Provider("kubernetes", exec=block({"api_version": "v1"}, command="aws", args=["eks", "get-token"]))
backends: list[Backend] = [LocalBackend(), S3Backend(bucket="b", region="r", kms_key_id="k"), Backend("gcs", prefix="x")]
stack = Stack("prod", backend=backends[1], providers=[eu, us, k8s], tags=["live"], concurrency={"live": 4})


def network(name: str, zones: int) -> Unit:
    names: list[str] = [f"{name}-{zone}" for zone in range(zones)]
    sizes: dict[str, int] = {"a": 1}
    return stack.unit(name, module="network", inputs={"names": names, "sizes": sizes, "nested": [{"a": (1, 2.5, None)}]})


networks = {name: network(name, 3) for name in ("one", "two")}
first = networks["one"]
whole: Outputs = first.outputs
vpc_id: Reference = first.outputs.vpc_id
web = stack.unit(
    "web",
    module="acme/web/aws",
    version="~> 1.0",
    inputs={
        "vpc_id": vpc_id,
        "subnet": first.outputs.subnets[0].by_zone["a"].id,
        "all": whole,
        "name": f"{first.outputs.name}-web",
        "count": expression(f"length({first.outputs.ids})"),
        "token": env("TOKEN"),
    },
    providers={"aws": us, "aws.replica": "aws"},
    after=[first, "two"],
    protect=True,
    tags=["frontend"],
    formerly="www",
    outputs=["url"],
    sensitive_outputs=["key"],
)


@stack.task
def plain(context: TaskContext) -> None:
    context.log.info("%s %s", context.run_id, context.deadline)


@stack.task(after=[web, plain], before=["two"], on="destroy", retries=3, retry_delay=0.5, timeout=60, name="smoke")
def smoke_test(context: TaskContext) -> dict[str, Any]:
    url: Any = context.outputs["web"]["url"]
    return {"printed": context.run(["curl", url], timeout=5), "client": bool(context.client("ec2", region="r"))}


stack.unit("last", module="last", after=[smoke_test, networks["two"]])
'''
BAD = """
from infra_orch import Provider, S3Backend, Stack, TaskContext, env

stack = Stack("prod", providers=["aws"])
Stack(3)
stack.unit("web")
stack.unit("web", module="web", input={})
stack.unit("web", module="web", inputs={"a": {1, 2}})
stack.unit("web", module="web", inputs={"a": object()})
stack.unit("web", module="web", after=[1])
stack.unit("web", module="web", protect="yes")
stack.unit("web", module="web", tags=[1])
stack.unit("web", module="web").vpc_id
S3Backend(bucket="b")
Provider("aws", region=print)
env(3)


@stack.task(on="sometimes")
def smoke_test(context: TaskContext) -> None: ...


@stack.task
def other(context: TaskContext) -> None:
    context.loog.info("x")


@stack.task
def none() -> None: ...
"""


def test_mypy_passes_what_is_right_and_finds_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD.lstrip())
    (tmp_path / "bad.py").write_text(BAD.lstrip())
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
        "--no-pretty",
        "good.py",
        "bad.py",
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    found = {(file, int(line)) for file, line in re.findall(r"^(\w+\.py):(\d+): error", done.stdout, re.MULTILINE)}
    lines = BAD.lstrip().splitlines()
    starts = ("stack", "Stack", "S3", "Provider", "env(", "@stack.task(", "    context.loog")
    wrong = {number for number, line in enumerate(lines, 1) if line.startswith(starts)} | {len(lines) - 1}
    assert {line for file, line in found if file == "good.py"} == set(), done.stdout
    assert {line for file, line in found if file == "bad.py"} == wrong, done.stdout
