"""The whole way of a change: previewed on its branch, merged, applied as it was shown, recorded, followed, and looked after.

A module that three stacks use is changed. AWS is the sandbox's, git has a remote.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

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

    variable "feeds" {
      type    = string
      default = ""
    }

    resource "aws_sqs_queue" "it" {
      name                       = var.name
      visibility_timeout_seconds = 30
      tags                       = { Feeds = var.feeds }
    }

    output "arn" {
      value = aws_sqs_queue.it.arn
    }
    """
SPEC = """
    from infra_orch import Provider, Stack

    aws = Provider("aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1")
    stack = Stack("{name}", providers=[aws])
    stack.unit("queue", module="queue", inputs={{"name": "{name}", "feeds": {feeds}}})
    stack.unit("aside", module="plain", inputs={{"text": "as it is"}})
    """
PLAIN = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.text
    }
    """
COMMENT = """\
### infra-orch: 3 to update · 3 units in 3 stacks

<details><summary><code>billing/queue</code>: 1 to update</summary>

```diff
! module.queue.aws_sqs_queue.it
!     visibility_timeout_seconds = 30 → 60
```

</details>

<details><summary><code>mail/queue</code>: 1 to update</summary>

```diff
! module.queue.aws_sqs_queue.it
!     visibility_timeout_seconds = 30 → 60
```

</details>

<details><summary><code>orders/queue</code>: 1 to update</summary>

```diff
! module.queue.aws_sqs_queue.it
!     visibility_timeout_seconds = 30 → 60
```

</details>

run `RUN` and 2 more · commit `COMMIT` compared with `origin/main`

<!-- infra-orch preview: default -->
"""


@pytest.fixture
def estate(
    desk: Desk, emulator: str, aws_mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """Three stacks that are applied in the sandbox, recorded, and on the remote's main."""
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_MIRROR", aws_mirror)
    monkeypatch.setenv("INFRA_ORCH_SANDBOX", "true")
    monkeypatch.setenv("INFRA_ORCH_COMMIT", "true")
    orders = 'Stack.reference("orders").unit("queue").outputs.arn'
    feeds = {"orders": '""', "billing": orders, "mail": orders}
    desk.write({"modules/queue/main.tf": MODULE, "modules/plain/main.tf": PLAIN})
    desk.write({f"stacks/{name}/stack.py": SPEC.format(name=name, feeds=fed) for name, fed in feeds.items()})
    desk.commit()
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote")], check=True)
    desk.git("remote", "add", "origin", str(tmp_path / "remote"))
    assert desk.run("gateway", "start").code == 0, "so that the provider starts once"
    done = desk.run("apply", "--all", "--auto-approve")
    assert done.code == 0, done.err
    desk.git("push", "-q", "origin", "main")
    yield desk
    desk.run("gateway", "stop")


def test_from_the_pull_request_to_the_drift_that_is_mended(estate: Desk, emulator: str, tmp_path: Path) -> None:
    estate.git("checkout", "-q", "-b", "longer")
    changed = MODULE.replace("= 30", "= 60")
    estate.write({"modules/queue/main.tf": changed})
    estate.commit("messages may take a minute")
    bundles = f"{tmp_path / 'bundles'}/"
    preview = estate.run("preview", "--base", "origin/main", "--bundle", bundles)
    assert preview.code == 0, preview.err
    assert masked(preview.out) == COMMENT

    estate.git("checkout", "-q", "main")
    estate.git("merge", "-q", "--no-ff", "-m", "Merge longer", "longer")
    estate.git("push", "-q", "origin", "main")
    done = estate.run("apply", "--bundle", bundles, "--auto-approve", "--json")
    assert (done.code, "planned anew" in done.err) == (0, False), done.err
    runs = json.loads(done.out)["stacks"]
    assert {name: run["status"] for name, run in runs.items()} == dict.fromkeys(
        ("billing", "mail", "orders"), "applied"
    )
    estate.git("push", "-q", "origin", "main")

    followed = estate.run("reconcile", "--branch", "main", "--json")
    assert followed.code == 0, followed.err
    told = json.loads(followed.out)
    seen = {unit["status"] for run in told["stacks"].values() for unit in run["units"].values()}
    assert (told["status"], seen, told["pushed"]) == ("reconciled", {"skipped"}, None), followed.out

    sqs = boto3.client(
        "sqs", region_name="eu-west-1", endpoint_url=emulator, aws_access_key_id="k", aws_secret_access_key="s",
        config=Config(proxies={}),
    )  # fmt: skip
    url = sqs.get_queue_url(QueueName="billing")["QueueUrl"]
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"] == {
        "VisibilityTimeout": "60"
    }
    sqs.delete_queue(QueueUrl=url)
    drifted = estate.run("drift", "--all")
    assert drifted.code == 2, drifted.err
    assert masked(drifted.out).startswith(
        "billing/queue: 1 resource drifted since run RUN (TIME)\n    - module.queue.aws_sqs_queue.it\n"
    )
    assert drifted.out.endswith("Drift: 1 resource in 1 unit.\n")
    fixed = estate.run("drift", "billing", "--fix", "--auto-approve")
    assert fixed.code == 0, fixed.err
    assert sqs.get_queue_url(QueueName="billing")
    assert estate.run("drift", "billing").out.endswith("No drift.\n")


def masked(text: str) -> str:
    text = re.sub(r"run \S+ \(\S+\)", "run RUN (TIME)", text)
    text = re.sub(r"run `[^`]+`", "run `RUN`", text)
    return re.sub(r"commit `[0-9a-f]{12}`", "commit `COMMIT`", text)
