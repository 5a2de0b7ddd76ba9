"""Stacks for AWS under test: the emulated account is asked, and what is left is named."""

from __future__ import annotations

import os

import pytest
from author_of_tests import STORE, Author, examples

from infra_orch.engine.mirror import find_mirrors, providers_in

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.aws

AWS = "registry.terraform.io/hashicorp/aws"
HEAD = """
    import pytest

    from infra_orch import Provider, S3Backend, Stack


    @pytest.fixture(scope="module")
    def stack():
        aws = Provider("aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1", profile="nobody")
        stack = Stack("store", backend=S3Backend(bucket="real", region="eu-west-1"), providers=[aws])
        stack.unit("store", module="store", inputs={"name": "papers"})
        return stack

"""


def test_the_emulated_account_is_asked_and_what_a_test_leaves_in_it_is_named(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = next((one for one in find_mirrors(os.environ) if AWS in providers_in(one)), None)
    if mirror is None:
        pytest.skip(f"no provider mirror with {AWS} on this machine; INFRA_ORCH_PROVIDER_MIRROR names one")
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_MIRROR", str(mirror))
    author.write(
        {
            "modules/store/main.tf": STORE,
            "tests/test_store.py": examples()["tests/test_store.py"],
            "tests/test_a_leaves.py": f"""{HEAD}
    def test_nobody_else_can_read_it(applied):
        name = applied.outputs["store"]["bucket"]
        s3 = applied.client("s3")
        assert s3.meta.region_name == "eu-west-1" and s3.meta.endpoint_url.startswith("http://127.0.0.1:")
        assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
        applied.assert_no_changes()


    def test_it_leaves_something(applied):
        applied.client("sqs", region_name="us-east-1").create_queue(QueueName="forgotten")
""",
            "tests/test_b_is_empty.py": f"""{HEAD}
    pytestmark = pytest.mark.stack(destroy=False)


    def test_of_the_file_before_nothing_is_there(planned, applied):
        assert planned.counts["create"] == 2
        assert "QueueUrls" not in applied.client("sqs", "us-east-1").list_queues()
""",
            "tests/test_c_is_empty.py": f"""{HEAD}
    def test_of_what_was_not_destroyed_nothing_is_there_either(planned, applied):
        assert [one["Name"] for one in applied.client("s3").list_buckets()["Buckets"]] == ["papers"]
""",
        }
    )
    done = author.pytest()
    done.assert_outcomes(passed=5, errors=1)
    done.stdout.fnmatch_lines(["error: after the destroy of store there still is", "  sqs us-east-1 Queue forgotten"])
