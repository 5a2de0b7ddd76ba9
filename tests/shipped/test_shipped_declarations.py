"""What the shipped modules declare, and whether the shipped stack fits them: nothing is planned here."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra_orch.module.blocks import native_blocks
from infra_orch.module.declaration import Module
from infra_orch.module.read import read_module
from infra_orch.project import find_project
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack

MODULES = Path(__file__).resolve().parents[2] / "modules"
NAMES = sorted(folder.name for folder in MODULES.iterdir() if folder.is_dir())
STACKS = sorted(spec.parent.name for spec in MODULES.parent.glob("stacks/*/stack.py"))


def table(name: str = "orders", *, columns: Sequence[str] = ("order_id",), **changes: str) -> str:
    """A table of a catalogue, as HCL in one line."""
    arguments = {"bucket": "acme-curated", "prefix": "orders/", "format": "json", **changes}
    said = [f'{argument} = "{value}"' for argument, value in arguments.items()]
    listed = ", ".join(f'{{ name = "{column}", type = "string" }}' for column in columns)
    return f"{{ {name} = {{ {', '.join(said)}, columns = [{listed}] }} }}"


# module -> (what it needs, what it refuses: input -> values), as HCL
WRONG: dict[str, tuple[dict[str, str], dict[str, list[str]]]] = {
    "network": (
        {"cidr_block": '"10.20.0.0/16"'},
        {
            "cidr_block": ['"10.0.0.1/16"', '"10.0.0.0/8"', '"10.0.0.0/25"', '"fd00::/16"', '"10.0.0.300/16"', '"all"'],
            "zone_count": ["0", "5", "1.5"],
            "name": ['"two words"', '""'],
        },
    ),
    "web_servers": (
        {"name": '"web"', "vpc_id": '"vpc-1"', "subnet_ids": '["subnet-1"]'},
        {
            "name": ['"-web"'],
            "vpc_id": ['"main"', '""'],
            "subnet_ids": ["[]", '["main"]', '["10.0.0.0/24"]'],
            "server_count": ["-1", "1.5", "51"],
            "instance_type": ['"big"'],
            "ami_id": ['"latest"'],
            "port": ["0", "65536"],
            "ingress_cidr_blocks": ['["everyone"]'],
            "egress_cidr_blocks": ['["::/0"]'],
            "root_volume_gib": ["0"],
        },
    ),
    "alerts": (
        {},
        {
            "name": ['"a.b"'],
            "email_addresses": ['["nobody"]'],
            "cpu_percent": ["0", "101"],
            "server_groups": ['{ "two words" = "group" }', '{ web = "" }', "{ web = null }"],
            "https_endpoints": ['{ pager = "http://pager.example.com" }'],
            "queue_arns": [
                '{ log = "https://sqs.eu-west-1.amazonaws.com/123456789012/log" }',
                '{ log = "arn:aws:sqs:eu-west-1:123456789012:*" }',
            ],
            "alarm_prefixes": ['[""]', '["*"]', '["batch-*"]'],
        },
    ),
    "queue": (
        {"name": '"orders"'},
        {
            "name": ['"two words"', '"orders.fifo"', '""', f'"{"x" * 71}"'],
            "visibility_timeout_seconds": ["-1", "43201", "1.5"],
            "message_retention_seconds": ["59", "1209600"],
            "dead_letter_retention_seconds": ["60", "1209601"],
            "delay_seconds": ["-1", "901"],
            "max_receive_count": ["0", "1001", "2.5"],
            "kms_key_arn": ['"alias/own"', '"arn:aws:kms:eu-west-1:123456789012:key/*"'],
            "senders": [
                '{ sns = ["arn:aws:sns:*"] }',
                '{ "sns.amazonaws.com" = [] }',
                '{ "sns.amazonaws.com" = ["*"] }',
            ],
            "alarm_topic_arns": ['["alerts"]', '["arn:aws:sns:eu-west-1:123456789012:*"]'],
            "alarm_dead_letters": ["0"],
            "alarm_age_seconds": ["59"],
        },
    ),
    "table": (
        {"name": '"orders"', "hash_key": '{ name = "id" }'},
        {
            "name": ['"no"', '"two words"'],
            "hash_key": ['{ name = "" }', '{ name = "id", type = "string" }'],
            "range_key": ['{ name = "at", type = "NUMBER" }'],
            "indexes": [
                '{ "by state" = { hash_key = { name = "state" } } }',
                '{ by_state = { hash_key = { name = "state", type = "X" } } }',
                '{ by_state = { hash_key = { name = "state" }, projection = "SOME" } }',
                '{ by_state = { hash_key = { name = "state" }, projection = "INCLUDE" } }',
                '{ by_state = { hash_key = { name = "state" }, non_key_attributes = ["total"] } }',
            ],
            "ttl_attribute": ['""'],
            "kms_key_arn": [
                '"arn:aws:kms:eu-west-1:123456789012:alias/own"',
                '"arn:aws:kms:eu-west-1:123456789012:key/*"',
            ],
        },
    ),
    "scheduled_job": (
        {
            "name": '"nightly"',
            "schedule_expression": '"rate(1 day)"',
            "target_arn": '"arn:aws:sqs:eu-west-1:123456789012:jobs"',
            "dead_letter_arn": '"arn:aws:sqs:eu-west-1:123456789012:jobs-dead"',
        },
        {
            "name": ['"two words"'],
            "description": [f'"{"x" * 513}"'],
            "schedule_expression": ['"0 2 * * *"', '"cron(0 2 * * *)"', '"rate(0 days)"', '"at(2027-01-31 02:00)"'],
            "time_zone": ['"+02:00"', '"Dublin time"'],
            "target_arn": [
                '"arn:aws:sns:eu-west-1:123456789012:jobs"',
                '"arn:aws:sqs:eu-west-1:123456789012:*"',
                '"arn:aws:lambda:eu-west-1:123456789012:function:*"',
                '"jobs"',
            ],
            "dead_letter_arn": [
                '"arn:aws:sqs:eu-west-1:123456789012:dead.fifo"',
                '"arn:aws:sqs:eu-west-1:123456789012:*"',
                '"dead"',
            ],
            "kms_key_arns": ['["*"]', '["arn:aws:kms:eu-west-1:123456789012:key/*"]'],
            "input": ['"close"'],
            "message_group_id": ['""', '"two words"'],
            "flexible_minutes": ["-1", "1441"],
            "maximum_retry_attempts": ["-1", "186"],
            "maximum_event_age_seconds": ["59", "86401"],
            "alarm_topic_arns": ['["alerts"]', '["arn:aws:sns:eu-west-1:123456789012:*"]'],
        },
    ),
    "email_routing": (
        {"domain": '"in.example.com"'},
        {
            "domain": ['"example"', '"In.example.com"', '"https://in.example.com"', '"*.example.com"'],
            "name": ['"Mail"', '"mail-"', f'"{"x" * 37}"'],
            "recipients": ['["orders"]', '["@in.example.com"]', '["orders @in.example.com"]'],
            "after_rule": ['""', '"two words"'],
            "rule_set_name": ['"-set"', f'"{"x" * 65}"'],
            "object_key_prefix": ['"/mail/"', '"mail"', '"*/"'],
            "retention_days": ["0", "3651", "1.5"],
        },
    ),
    "object_store": (
        {"name": '"shop-artifacts"'},
        {
            "name": ['"ab"', '"Shop"', '"shop-"', '"shop.artifacts"', f'"{"x" * 36}"'],
            "kms_key_arn": ['"alias/own"'],
            "noncurrent_days": ["0", "1.5", "3651"],
            "incomplete_upload_days": ["0", "366"],
            "expire_prefixes": ['{ "" = 1 }', '{ "builds" = 1 }', '{ "/builds/" = 1 }', '{ "builds/" = 0 }'],
        },
    ),
    "ci_role": (
        {
            "name": '"ci"',
            "repository": '"acme/shop"',
            "branches": '["main"]',
            "artifact_bucket_arn": '"arn:aws:s3:::acme-artifacts"',
            "artifact_prefix": '"builds/"',
        },
        {
            "name": ['"two words"'],
            "host": ['"sourcehut"'],
            "issuer": ['"http://gitlab.example.com"', '"https://gitlab.example.com/"', '"https://*.example.com"'],
            "audience": ['"*"', '""'],
            "repository": ['"acme/*"', '"*/shop"', '"shop"', '"acme/sho?"', '"acme/shop:ref:refs/heads/main"'],
            "branches": ['["*"]', '["release/*"]', '[""]', '["ma?n"]'],
            "environments": ['["*"]', '["prod*"]', '["production:x"]'],
            "artifact_bucket_arn": ['"acme-artifacts"', '"arn:aws:s3:::*"'],
            "artifact_prefix": ['""', '"/"', '"builds"', '"*/"', '"/builds/"'],
            "artifact_kms_key_arn": ['"*"'],
            "artifact_access": ['"delete"'],
            "permissions_boundary_arn": ['"AdministratorAccess"'],
            "session_minutes": ["59", "721"],
        },
    ),
    "branch_environment": (
        {"application": '"shop"', "name": '"feature-cart"', "branch": '"feature/cart"'},
        {
            "application": ['"Shop"', '"s"'],
            "name": ['"feature/cart"', '"-cart"', f'"{"x" * 33}"'],
            "branch": ['"two words"', '"*"'],
            "settings": ['{ "Log-Level" = "debug" }', '{ branch = "other" }', '{ log_level = "" }'],
            "log_days": ["0", "15"],
        },
    ),
    "catalogue": (
        {"name": '"analytics"', "results_bucket": '"acme-results"'},
        {
            "name": ['"two words"', '"Analytics"'],
            "description": [f'"{"x" * 1025}"'],
            "tables": [
                table("Orders"),
                table(bucket="s3://acme-curated"),
                table(prefix="orders"),
                table(format="csv"),
                table(columns=[]),
                table(columns=["Total Amount"]),
                table(columns=["day", "day"]),
            ],
            "results_bucket": ['"s3://acme-results"'],
            "results_prefix": ['"results"'],
            "results_kms_key_arn": ['"alias/own"'],
            "query_limit_mib": ["9", "10.5"],
        },
    ),
}


ANYTHING = {
    "web_servers": {"page", "user_data"},  # any text; how long it may be is asked of both together
}
"""Inputs of which no value is wrong by itself, by module. Of a bool Terraform's own check is enough."""


@functools.cache
def module(name: str) -> Module:
    """What a shipped module declares; parsing it takes a second."""
    return read_module(MODULES / name, shown_as=name, cache=None)


def section(name: str, title: str) -> str:
    """The text under a heading of a module's README."""
    readme = (MODULES / name / "README.md").read_text(encoding="utf-8")
    return readme.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_every_input_with_its_type(name: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", section(name, "Inputs"), re.MULTILINE)
    assert {(input_, kind, default == "required") for input_, kind, default in listed} == {
        (variable.name, short(variable.constraint), variable.required) for variable in module(name).variables.values()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_default_that_a_readme_shows_as_code_is_the_variables_own(name: str) -> None:
    """What is said in words (`SQS's own key`) is what null, or nothing, comes to."""
    told = re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^|]+)` \|", section(name, "Inputs"), re.MULTILINE)
    text = (MODULES / name / "variables.tf").read_text(encoding="utf-8")
    defaults = {block.labels[0]: block.body.get("default") for block in native_blocks(text)}
    wrong = {one: shown for one, shown in told if defaults[one] not in (shown, parsed(shown))}
    assert told
    assert wrong == {}


def parsed(shown: str) -> object:
    """A value as a README shows it, as JSON has it; a text may stand there bare."""
    try:
        return json.loads(shown)
    except ValueError:
        return shown


def short(constraint: str) -> str:
    """A type as a table has room for it: of an object, the example above the table shows what is in it."""
    return re.sub(r"object\(\{.*\}\)", "object", constraint)


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_every_output(name: str) -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section(name, "Outputs"), re.MULTILINE)) == set(module(name).outputs)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_and_output_says_what_it_is(name: str) -> None:
    declared = [*module(name).variables.values(), *module(name).outputs.values()]
    assert [one.name for one in declared if not one.description] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_input_that_can_be_wrong_is_tried_with_what_it_refuses(name: str) -> None:
    declared = module(name).variables.values()
    assert {one.name for one in declared if one.constraint != "bool"} - ANYTHING.get(name, set()) == set(WRONG[name][1])


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on PATH")
def test_the_modules_are_as_terraform_formats_them(tmp_path: Path) -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(MODULES)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", STACKS)
def test_a_shipped_stack_fits_its_modules(name: str) -> None:
    folder = find_project(MODULES.parent).stack(name)
    assert check_stack(load_stack(folder), folder).stack.name == name


@pytest.mark.aws
def test_every_wrong_input_is_refused_at_its_own_line(tmp_path: Path, bare_environment: dict[str, str]) -> None:
    lines: list[str] = []
    wrong = []
    for folder, (right, values) in WRONG.items():
        for name, value in ((name, value) for name, several in values.items() for value in several):
            lines += [f'module "m{len(lines)}" {{', f'  source = "{MODULES}/{folder}"']
            lines += [f"  {key} = {given}" for key, given in right.items() if key != name]
            lines += [f"  {name} = {value}", "}"]
            wrong.append(len(lines) - 1)
    (tmp_path / "main.tf").write_text("\n".join(lines))
    run = {"cwd": tmp_path, "env": bare_environment, "capture_output": True, "text": True, "timeout": 120}
    subprocess.run(["terraform", "init", "-input=false"], **run, check=True)
    done = subprocess.run(["terraform", "validate", "-json"], **run, check=False)
    assert sorted(one["range"]["start"]["line"] for one in json.loads(done.stdout)["diagnostics"]) == wrong


@pytest.mark.parametrize("name", STACKS)
def test_the_page_says_which_modules_a_stack_needs(name: str) -> None:
    """Who copies the stack copies these."""
    page = (MODULES.parent / "docs" / "shipped.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| \[`{name}`\].*\|(.*)\|$", page, re.MULTILINE)
    stack = load_stack(find_project(MODULES.parent).stack(name))
    assert set(re.findall(r"`(\w+)`", row)) == {unit.module for unit in stack.units}
