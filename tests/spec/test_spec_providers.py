"""Which provider configurations a unit gets, and what is wrong with providers and backends."""

from __future__ import annotations

import pytest

EU = 'Provider("aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1")'
US = 'Provider("aws", alias="us", region="us-east-1")'
USES_AWS = {"modules/bucket/main.tf": 'resource "aws_s3_bucket" "this" {\n}\n\noutput "arn" {\n  value = 1\n}\n'}


def addresses(checked, unit: str) -> list[str]:
    return [provider.address for provider in checked.units[unit].providers]


def test_a_unit_gets_the_providers_that_its_module_uses(bench) -> None:
    bench.desk.write(USES_AWS)
    checked = bench.check(f"""
        stack = Stack("dev", providers=[{EU}, {US}, Provider("random")])
        stack.unit("here", module="bucket")
        stack.unit("there", module="bucket", providers={{"aws": stack.providers[1]}})
        stack.unit("net", module="network", inputs={{"name": "x"}})
    """)
    assert addresses(checked, "here") == ["aws"]
    assert addresses(checked, "there") == ["aws.us"]
    assert addresses(checked, "net") == []


def test_all_configurations_of_a_provider_have_one_source_and_version(bench) -> None:
    bench.desk.write(USES_AWS)
    checked = bench.check(
        f'stack = Stack("dev", providers=[{US}, {EU}])\nstack.unit("x", module="bucket", providers={{"aws": "aws.us"}})'
    )
    assert [(provider.source, provider.version) for provider in checked.units["x"].providers] == [
        ("hashicorp/aws", "~> 5.0")
    ]


def test_a_module_gets_the_aliases_that_it_asks_for(bench) -> None:
    checked = bench.check(f"""
        stack = Stack("dev", providers=[{EU}, {US}])
        stack.unit("x", module="cluster", providers={{"aws.replica": "aws.us"}})
    """)
    assert addresses(checked, "x") == ["aws", "aws.us"]


def test_a_remote_module_gets_every_provider_but_what_is_configured_by_its_own_outputs(bench) -> None:
    checked = bench.check(f"""
        vpc = Outputs("vpc")
        cluster = Outputs("cluster")
        stack = Stack("dev", providers=[{EU}, Provider("kubernetes", host=cluster.endpoint)])
        stack.unit("vpc", module="acme/vpc/aws")
        stack.unit("cluster", module="acme/eks/aws", inputs={{"vpc": vpc.id}})
        stack.unit("app", module="acme/app/kubernetes")
    """)
    assert addresses(checked, "vpc") == ["aws"]
    assert addresses(checked, "cluster") == ["aws"]
    assert addresses(checked, "app") == ["aws", "kubernetes"]
    assert checked.units["app"].needs == {"cluster": ("endpoint",)}
    assert list(checked.graph.order()) == ["vpc", "cluster", "app"]


def test_providers_that_are_configured_by_each_others_units_make_no_circle(bench) -> None:
    checked = bench.check("""
        stack = Stack("dev", providers=[Provider("one", host=Outputs("a").x), Provider("two", host=Outputs("b").x)])
        stack.unit("a", module="acme/a/one")
        stack.unit("b", module="acme/b/two")
    """)
    assert checked.graph.cycle() == ()


def test_a_unit_cannot_use_a_provider_that_its_own_output_configures(bench) -> None:
    bench.desk.write(USES_AWS)
    found = bench.problem("""
        stack = Stack("dev", providers=[Provider("aws", region=Outputs("x").arn)])
        stack.unit("x", module="bucket")
    """)
    assert found.message == '"x" uses provider "aws", whose configuration reads x.outputs.arn'


def test_a_provider_that_refers_to_nothing_is_shown_at_its_own_line(bench) -> None:
    found = bench.problem('stack = Stack("dev", providers=[\n  Provider("aws", region=Outputs("x").arn)])')
    assert found.message == 'provider "aws" refers to the outputs of "x", which is no unit of this stack'
    assert found.where.line == 3


@pytest.mark.parametrize(
    ("providers", "unit", "message", "hint"),
    [
        (f"{EU}, {EU}", "", 'the stack has two provider configurations "aws"', "alias="),
        (f'{EU}, Provider("aws", alias="x", version="~> 4.0")', "", 'provider "aws" has two versions: "~> 5.0" and "~> 4.0"', "one version"),
        ('Provider("aws", version="^5")', "", 'version="^5" of provider "aws" is no version constraint', "~> 5.0"),
        ('Provider("aws", source="a/b/c/d")', "", "is no address of a provider", "hashicorp/aws"),
        ('Provider("a b")', "", '"a b" cannot be the name of a provider', ""),
        ('Provider("aws", alias="x.y")', "", '"x.y" cannot be the name of a provider, or an alias', ""),
        ('Provider("aws", region={"x"})', "", 'argument region of provider "aws": ', ""),
        ('Provider("aws", configuration={"a b": 1})', "", '"a b" of provider "aws" is not the name of an argument', ""),
        ('Provider("aws", secret_key="hunter2")', "", 'secret_key of provider "aws" would be committed', 'env("…")'),
        ('Provider("")', "", '"" cannot be the name of a provider', ""),
        ('Provider("aws", assume_role_with_web_identity={"web_identity_token": "hunter2"})', "", "assume_role_with_web_identity.web_identity_token of", 'web_identity_token=env("…")'),
        ('Provider("x", auth=[{"tags": {"token": "for all"}}, {"token": "hunter2"}])', "", 'auth.token of provider "x" would be committed', 'env("…")'),
        ('Provider("x", url="https://me:hunter2@example.com/")', "", 'url of provider "x" would be committed', 'env("…")'),
        (EU, 'providers={"aws": "aws.us"}', 'chooses the provider "aws.us", which the stack does not declare', "did you mean"),
        (f'{EU}, Provider("random")', 'providers={"aws": "random"}', 'gives "random" to the module\'s "aws": two different providers', ""),
        (EU, 'providers={"aws {}": "aws"}', '"aws {}" is no provider of a module', ""),
        (f"{EU}, {US}", 'providers={"aws": "aws", "aws.replcia": "aws.us"}', 'has no provider "aws.replcia"', "none"),
        (US, "", 'needs a provider "aws", and the stack has it under aliases only', 'providers={"aws": "aws.us"}'),
        ('Provider("aws", source="acme/aws")', "", 'wants "hashicorp/aws" as its "aws", and the stack\'s is "acme/aws"', "source="),
    ],
)  # fmt: skip
def test_what_is_wrong_with_providers_is_said(bench, providers: str, unit: str, message: str, hint: str) -> None:
    bench.desk.write(USES_AWS)
    bench.desk.write(
        {
            "modules/bucket/versions.tf": 'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n    }\n  }\n}\n'
        }
    )
    problems = bench.problems(
        f'stack = Stack("dev", providers=[{providers}])\nstack.unit("x", module="bucket", {unit})'
    )
    assert [hint in found.hint for found in problems if message in found.message] == [True]


def test_a_module_that_asks_for_an_alias_must_get_it(bench) -> None:
    found = bench.problem(f'stack = Stack("dev", providers=[{EU}])\nstack.unit("x", module="cluster")')
    assert found.message == 'module "cluster" wants a provider "aws.replica" from unit "x"'


@pytest.mark.parametrize(
    "same",
    [
        'Provider("aws")',
        'Provider("aws", source="registry.terraform.io/hashicorp/aws")',
        'Provider("aws", source="Hashicorp/AWS")',
    ],
)
def test_one_provider_may_be_named_in_several_ways(bench, same: str) -> None:
    bench.desk.write(
        {
            "modules/m/main.tf": 'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n    }\n  }\n}\n'
        }
    )
    assert addresses(bench.check(f'stack = Stack("dev", providers=[{same}])\nstack.unit("x", module="m")'), "x") == [
        "aws"
    ]


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ('S3Backend(bucket="b", region="r", key="{stack}.tfstate")', 'units "a" and "b" would share one state'),
        ('S3Backend(bucket="b", region="r", key="/{stack}/{unit}")', "a key of S3 neither begins nor ends with a slash"),
        ('S3Backend(bucket=None, region="r")', 'bucket=None of backend "s3" is no text'),
        ('S3Backend(bucket="b", region=["r"])', "region=['r'] of backend \"s3\" is no text"),
        ('S3Backend(bucket="", region="r")', 'bucket="" of backend "s3" is empty'),
        ('S3Backend(bucket="b", region="r", key="{env}/{unit}")', '"{env}" stands for nothing'),
        ('S3Backend(bucket="b", region=env("R"))', "can hold no references, expressions or env()"),
        ('S3Backend(bucket=f"{Outputs(\'a\').url}", region="r")', "can hold no references, expressions or env()"),
        ('S3Backend(bucket="b", region="r", secret_key="hunter2")', 'secret_key of backend "s3" would be committed'),
        ('Backend("gcs", bucket="b", prefix={"x"})', 'argument prefix of backend "gcs": '),
        ('Backend("g cs", prefix="{unit}")', '"g cs" is not a type of backend'),
        ('Backend("gcs", **{"a b": "{unit}"})', '"a b" of backend "gcs" is not the name of an argument'),
        ('Backend("local", path="/x.tfstate")', 'units "a" and "b" would share one state'),
        ('Backend("local", path="{unit}.tfstate")', "where an absolute one is wanted"),
        ('Backend("local", workspace_dir="/{unit}")', 'backend "local" lacks a path'),
        ('Backend("inmem", x="{unit}")', '"inmem" is not a type of backend'),
        ('Backend("pg", conn_str="postgres://me:hunter2@db/{unit}")', 'conn_str of backend "pg" would be committed'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_backend_is_said(bench, backend: str, message: str) -> None:
    found = bench.problem(f"""
stack = Stack("dev", backend={backend})
stack.unit("a", module="network", inputs={{"name": "x"}})
stack.unit("b", module="network", inputs={{"name": "x"}})
""")
    assert message in found.message
    assert found.where.line == 2


def test_a_backend_without_the_unit_will_do_for_one_unit(bench) -> None:
    bench.check(
        'stack = Stack("dev", backend=Backend("gcs", prefix="x"))\nstack.unit("a", module="network", inputs={"name": "x"})'
    )
