"""Values as HCL: what Terraform reads back is what was written, and `terraform fmt` has nothing to change."""

from __future__ import annotations

import base64
import enum
import json
import os
import subprocess
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from infra_orch import Block, block, env, expression
from infra_orch.render.hcl import attribute_lines, body_lines, expression_text
from infra_orch.spec.token import NulCharacterError, TamperedReferenceError
from infra_orch.spec.values import Reference

TRICKY = [
    "${",
    "%{",
    "$${",
    "%%{",
    "$",
    "%",
    "{",
    "}",
    '"',
    "\\",
    "\n",
    "\r",
    "\t",
    "<<EOT",
    "EOT",
    "~}",
    "é",
    "e\u0301",
    "\u2028",
    "\x7f",
    "\x1b",
    "🙂",
    "👩\u200d🚀",
    "🇪🇺",
    "각",
    "\u1100\u1161",
    "ก\u0e33",
    "\ufeff",
    "#",
    "//",
    "/*",
]
TEXT = st.lists(
    st.one_of(
        st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
    ),
    max_size=12,
).map("".join)
NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(TEXT, inner, max_size=6)),
    max_leaves=12,
)
# A call of Terraform takes long, so each example holds many values; the assert names those that failed, and nothing
# needs to be shrunk by calling Terraform again and again.
BATCHES = settings(
    max_examples=6,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
        HealthCheck.data_too_large,
    ],
)


def terraform(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    return subprocess.run(
        ["terraform", *arguments], cwd=folder, env=env, input=stdin, capture_output=True, text=True, check=False
    )


def read_back(folder: Path, texts: list[str]) -> list[Any]:
    """The values that Terraform has for expressions, as JSON."""
    lines = "".join(f"    {text},\n" for text in texts)
    (folder / "main.tf").write_text(f"locals {{\n  values = [\n{lines}  ]\n}}\n", encoding="utf-8")
    done = terraform(folder, "console", stdin="base64encode(jsonencode(local.values))\n")
    assert done.returncode == 0, done.stderr
    return json.loads(base64.b64decode(json.loads(done.stdout)))


def normal(value: Any) -> Any:
    """A value as Terraform has it: strings and keys in Unicode's form C."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {normal(key): normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return value


def same(found: Any, wrote: Any) -> bool:
    """Whether a value read back is the one that was written. JSON does not tell whole floats from integers."""
    if isinstance(wrote, float):
        return not isinstance(found, bool) and float(found) == wrote
    if isinstance(wrote, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wrote.keys()
            and all(same(found[key], wrote[key]) for key in wrote)
        )
    if isinstance(wrote, list):
        return isinstance(found, list) and len(found) == len(wrote) and all(map(same, found, wrote))
    return type(found) is type(wrote) and bool(found == wrote)


@BATCHES
@given(values=st.lists(VALUES, min_size=20, max_size=40))
def test_terraform_reads_back_every_value_that_was_written(tmp_path: Path, values: list[Any]) -> None:
    found = read_back(tmp_path, [expression_text(value, 4) for value in values])
    assert [(got, wrote) for got, wrote in zip(found, values, strict=True) if not same(got, normal(wrote))] == []


@BATCHES
@given(
    bodies=st.lists(
        st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True), VALUES, max_size=4),
        min_size=10,
        max_size=20,
    )
)
def test_terraform_fmt_leaves_what_was_written_alone(tmp_path: Path, bodies: list[dict[str, Any]]) -> None:
    text = "".join("\n".join(["locals {", *attribute_lines(body, 2), "}", ""]) for body in bodies)
    formatted = terraform(tmp_path, "fmt", "-", stdin=text)
    assert formatted.returncode == 0, formatted.stderr
    changed = [
        lines for lines in zip(text.splitlines(), formatted.stdout.splitlines(), strict=True) if len(set(lines)) > 1
    ]
    assert changed == []


def test_a_very_long_string_is_read_back(tmp_path: Path) -> None:
    text = '0123456789 " \\ \n' * 30_000 + "${ %{ " * 500  # Terraform's time grows with the square of the latter
    assert read_back(tmp_path, [expression_text(text)]) == [text]


def test_subclasses_of_numbers_and_strings_are_written_as_what_they_are(tmp_path: Path) -> None:
    class Size(int, enum.Enum):
        SMALL = 2

    class Kind(str, enum.Enum):  # noqa: UP042 - the older way, whose str() is the name of the member
        WEB = "web"

    class Weight(float):
        def __repr__(self) -> str:
            return f"Weight({float(self)})"

    values = [Size.SMALL, Kind.WEB, Weight(1.5), {Kind.WEB: Size.SMALL}, Decimal("0.1"), True]
    assert read_back(tmp_path, [expression_text(value) for value in values]) == [2, "web", 1.5, {"web": 2}, 0.1, True]


def test_an_expression_may_have_several_lines_and_comments(tmp_path: Path) -> None:
    several = expression("true ? # always\n  1 :\n  2")
    values = [several, [several, 3], f"n={several}", {"a": several}]
    assert read_back(tmp_path, [expression_text(value) for value in values]) == [1, [1, 3], "n=1", {"a": 1}]


def test_the_words_of_hcl_can_be_keys(tmp_path: Path) -> None:
    words = {
        word: word for word in ("for", "in", "if", "null", "true", "false", "each", "self", "-a", "a-b", "1", "", "a.b")
    }
    assert read_back(tmp_path, [expression_text(words)]) == [words]


def test_text_does_not_depend_on_which_characters_the_python_at_hand_knows() -> None:
    unassigned = [
        chr(code) for code in range(0x20000) if unicodedata.category(chr(code)) == "Cn" and code & 0xFFFE != 0xFFFE
    ]
    seen = [char for char in unassigned if not 0xFDD0 <= ord(char) <= 0xFDEF]
    changed = [hex(ord(char)) for char in seen if char not in expression_text(char)]
    # Blocks that are kept for characters that cannot be seen are escaped whole, whatever is assigned in them.
    assert {code[:-1] for code in changed} <= {"0x206", "0xfff", "0x1343", "0x1344", "0x1345"}


def test_characters_that_cannot_be_seen_are_spelled_out() -> None:
    assert expression_text("a\u202eb\u200bc\x1b[0m\ufeff") == '"a\\u202eb\\u200bc\\u001b[0m\\ufeff"'


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(NulCharacterError):
        expression_text("a\0b")


@pytest.mark.parametrize(
    "change",
    [
        str.upper, str.lower, str.title, str.swapcase,
        lambda text: text[:-3], lambda text: text[8:], lambda text: text.split(":")[1],
        lambda text: text.replace("-", "_"), lambda text: text.replace("_", "-"), lambda text: text.replace(" ", ""),
        json.dumps, repr, lambda text: text.strip("arn:x").strip("\0"), lambda text: text[::-1],
    ],
)  # fmt: skip
def test_a_reference_that_a_string_operation_changed_is_never_rendered(change: Any) -> None:
    text = change(f"arn:{Reference('network', ('vpc_id',))}:x")
    with pytest.raises((TamperedReferenceError, NulCharacterError)):
        expression_text(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Reference("network", ("vpc_id",)), "local.network.vpc_id"),
        (Reference("network", ("ids", 0)), "local.network.ids[0]"),
        (Reference("network", ("by_zone", "eu-west-1a", "id")), "local.network.by_zone.eu-west-1a.id"),
        (Reference("network", ("by_zone", "1 a")), 'local.network.by_zone["1 a"]'),
        (f"{Reference('network', ('name',))}-web", '"${local.network.name}-web"'),
        (f"${Reference('network', ('name',))}", '"\\u0024${local.network.name}"'),
        (expression(f"length({Reference('network', ('ids',))})"), "length(local.network.ids)"),
        (f"n={expression('1 + 1')}", '"n=${1 + 1}"'),
        (env("TOKEN"), "var.env_TOKEN"),
        (f"postgres://app:{env('PASSWORD')}@db", '"postgres://app:${var.env_PASSWORD}@db"'),
    ],
)
def test_what_has_no_value_yet_becomes_an_expression(value: Any, text: str) -> None:
    assert expression_text(value) == text


def test_nested_blocks_come_after_the_attributes(tmp_path: Path) -> None:
    lines = body_lines(
        {"assume_role": [block(role_arn="a"), block(role_arn="b")], "region": "eu-west-1", "features": Block()}, 2
    )
    text = "\n".join(['provider "aws" {', *lines, "}", ""])
    assert text.count("assume_role {") == 2
    assert text.index("region") < text.index("assume_role")
    assert terraform(tmp_path, "fmt", "-", stdin=text).stdout == text
