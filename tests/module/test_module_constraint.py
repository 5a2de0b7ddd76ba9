from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from infra_orch.module.constraint import mismatch, mismatches, parse_constraint
from infra_orch.module.type_expression import Anything, Collection, Constraint, Object, Primitive, Tuple


@dataclass(frozen=True)
class Opaque:
    """A value that Terraform will know and mismatch() must not."""

    value: Any


def is_opaque(value: Any) -> bool:
    return isinstance(value, Opaque)


def hcl(value: Any) -> str:
    """JSON is HCL, once what begins a template is escaped."""
    text = json.dumps(
        value, ensure_ascii=False, default=lambda item: float(item) if isinstance(item, Decimal) else item.value
    )
    return text.replace("${", "$${").replace("%{", "%%{")


def verdicts(terraform: Any, pairs: Sequence[tuple[str, Any]]) -> list[str | None]:
    """What `terraform validate` says against each value where it is given for its type; None where it accepts it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "typed").mkdir()
        (folder / "typed" / "variables.tf").write_text(
            "".join(f'variable "v{n}" {{\n  type = {constraint}\n}}\n' for n, (constraint, _) in enumerate(pairs))
        )
        arguments = "".join(f"  v{n} = {hcl(value)}\n" for n, (_, value) in enumerate(pairs))
        (folder / "main.tf").write_text(f'module "typed" {{\n  source = "./typed"\n{arguments}}}\n')
        done = terraform(folder, "init", "-backend=false", "-no-color")
        assert done.returncode == 0, done.stderr
        refused: dict[int, str] = {}
        for diagnostic in json.loads(terraform(folder, "validate", "-json").stdout)["diagnostics"]:
            assert diagnostic["range"]["filename"] == "main.tf", diagnostic
            refused[diagnostic["range"]["start"]["line"] - 3] = diagnostic["detail"]
    return [refused.get(n) for n in range(len(pairs))]


NAMES = ("a", "b", "name", "zones")
TEXTS = ("", "1", "-1.5", "1e3", "0x10", "1_0", "Inf", "nan", "true", "True", "0", "yes", "é", "${x}", 'q"', "١")


def constraints() -> st.SearchStrategy[Constraint]:
    plain: st.SearchStrategy[Constraint] = st.sampled_from(
        [Anything(), Primitive("string"), Primitive("number"), Primitive("bool")]
    )

    def objects(inner: st.SearchStrategy[Constraint]) -> st.SearchStrategy[Constraint]:
        attributes = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
        return attributes.flatmap(
            lambda found: st.sets(st.sampled_from(sorted(found)) if found else st.nothing()).map(
                lambda optional: Object(found, frozenset(optional))
            )
        )

    return st.recursive(
        plain,
        lambda inner: st.one_of(
            st.builds(Collection, st.sampled_from(["list", "set", "map"]), inner),
            st.lists(inner, max_size=3).map(lambda elements: Tuple(tuple(elements))),
            objects(inner),
        ),
        max_leaves=4,
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TEXTS),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4),
)
VALUES = st.recursive(
    st.one_of(SCALARS, SCALARS.map(Opaque), st.just(Opaque([])), st.just(Opaque({"a": []}))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=4,
)


@st.composite
def values_near(draw: st.DrawFn, constraint: Constraint) -> Any:
    """A value that nearly fits the constraint, so that what is refused is refused for one reason, deep inside."""
    if draw(st.integers(0, 5)) == 0 or isinstance(constraint, Anything):
        return draw(VALUES)
    if isinstance(constraint, Primitive):
        return draw(SCALARS)
    if isinstance(constraint, Tuple):
        return [draw(values_near(element)) for element in constraint.elements]
    if isinstance(constraint, Object):
        return {name: draw(values_near(attribute)) for name, attribute in constraint.attributes.items()}
    items = [draw(values_near(constraint.element)) for _ in range(draw(st.integers(0, 3)))]
    return dict(zip(NAMES, items, strict=False)) if constraint.kind == "map" else items


PAIRS = constraints().flatmap(lambda constraint: st.tuples(st.just(constraint), values_near(constraint)))


# A failure names the pairs; to shrink dozens of them would take minutes of Terraform and tell no more.
@settings(
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(pairs=st.lists(PAIRS, min_size=30, max_size=90, unique_by=repr))
def test_what_is_reported_is_what_terraform_refuses(terraform: Any, pairs: list[tuple[Constraint, Any]]) -> None:
    reported = [
        (str(constraint), value)
        for constraint, value in pairs
        if mismatch(parse_constraint(str(constraint)), value, is_opaque) is not None
    ]
    accepted = [pair for pair, verdict in zip(reported, verdicts(terraform, reported), strict=True) if verdict is None]
    assert accepted == []


@settings(database=None)
@given(constraint=constraints())
def test_a_type_is_read_as_it_is_written(constraint: Constraint) -> None:
    assert parse_constraint(str(constraint)) == constraint


REFUSED = {
    "a map where number is wanted": ("number", {}),
    '"ten" where number is wanted': ("number", "ten"),
    '" 1" where number is wanted': ("number", " 1"),
    "true where number is wanted": ("number", True),
    "1 where bool is wanted": ("bool", 1),
    '"True" where bool is wanted': ("bool", "True"),
    "a list where string is wanted": ("string", ["x"]),
    '"eu-1a" where list(string) is wanted': ("list(string)", "eu-1a"),
    "a map where set(string) is wanted": ("set(string)", {"a": "x"}),
    "a list where map(string) is wanted": ("map(string)", []),
    "[1]: a list where string is wanted": ("list(string)", ["x", []]),
    '["zones"][1]: a map where number is wanted': ("object({zones = list(number)})", {"zones": [1, {}]}),
    '["b"]: "x" where number is wanted': ("map(number)", {"a": "1", "b": "x"}),
    'the attribute "size" is missing': ("object({size = number})", {}),
    '["x"]: the attribute "size" is missing; there is "sise", did you mean "size"?': (
        "map(object({size = number}))",
        {"x": {"sise": 1}},
    ),
    '["n"]: "x" where number is wanted': ("object({n = optional(number, 1)})", {"n": "x"}),
    "a list of 1 elements where tuple([string, number]) is wanted, which has 2": ("tuple([string, number])", ["a"]),
    "[1]: a map where number is wanted": ("tuple([string, number])", ["a", {}]),
    "a map and a number in one list, where list(any) wants elements of one type": ("list(any)", [1, {}]),
    "a bool and a number in one set, where set(any) wants elements of one type": ("set(any)", [1, True]),
    '["é"]: a list and a string in one map, where map(any) wants elements of one type': (
        "map(map(any))",
        {"é": {"a": "x", "b": []}},
    ),
}


def test_each_kind_of_misfit_is_told_and_refused_by_terraform(terraform: Any) -> None:
    told = {message: mismatch(parse_constraint(pair[0]), pair[1], is_opaque) for message, pair in REFUSED.items()}
    assert told == {message: message for message in REFUSED}
    verdict = dict(zip(REFUSED, verdicts(terraform, list(REFUSED.values())), strict=True))
    assert [message for message, detail in verdict.items() if detail is None] == []


ACCEPTED: list[tuple[str, Any]] = [
    ("string", 1),
    ("string", True),
    ("string", Decimal("1.5")),
    ("number", "1e5"),
    ("number", ".5"),
    ("number", "Inf"),
    ("bool", "true"),
    ("bool", "0"),
    ("string", None),
    ("list(string)", [None, 1, True]),
    ("list(string)", ("a", "b")),
    ("set(number)", ["1", 1]),
    ("map(string)", {"a": 1, "b": None}),
    ("object({a = string})", {"a": None, "more": []}),
    ('object({a = optional(string, "x, }"), b = optional(list(any), [1, 2])})', {}),
    ("list(any)", [1, "a", None]),
    ("list(any)", [{"a": 1}, {"b": "x"}]),
    ("list(any)", [[1], ["a", "b"]]),
    ("any", [1, {}, [True]]),
    ("tuple([any, any])", [1, []]),
    ("list", [1]),
    ("map(any)", {}),
]


@pytest.mark.parametrize(("constraint", "value"), ACCEPTED)
def test_what_terraform_converts_is_no_misfit(constraint: str, value: Any) -> None:
    assert mismatch(parse_constraint(constraint), value, is_opaque) is None


def test_terraform_converts_what_counts_as_converted(terraform: Any) -> None:
    assert verdicts(terraform, ACCEPTED) == [None] * len(ACCEPTED)


def test_a_null_is_refused_only_where_it_is_not_nullable() -> None:
    assert mismatch(parse_constraint("string"), None, is_opaque) is None
    assert mismatch(parse_constraint("string"), None, is_opaque, nullable=False) == (
        "null where string is wanted (nullable = false)"
    )


def test_every_misfit_of_a_value_is_told_at_once() -> None:
    constraint = parse_constraint("object({a = number, b = list(bool), c = string})")
    assert list(mismatches(constraint, {"a": "x", "b": ["true", 1]}, is_opaque)) == [
        'the attribute "c" is missing',
        '["a"]: "x" where number is wanted',
        '["b"][1]: 1 where bool is wanted',
    ]


def test_the_values_of_a_sensitive_variable_are_not_repeated() -> None:
    why = mismatch(parse_constraint("map(number)"), {"pin": "hunter2"}, is_opaque, quote=False)
    assert why == '["pin"]: a string where number is wanted'


@pytest.mark.parametrize(
    "text",
    ["strng", "list(string", "object({a})", "tuple(string)", "", "list(string) x", "list(" * 5000, "object({a = "],
)
def test_what_is_no_type_refuses_nothing(text: str) -> None:
    assert parse_constraint(text) == Anything()


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        (None, Anything()),
        ('"string"', Primitive("string")),
        ('"list"', Collection("list", Anything())),
        (
            "object({ a: string,\n b = optional( any ) })",
            Object({"a": Primitive("string"), "b": Anything()}, frozenset("b")),
        ),
        ("tuple([string, ])", Tuple((Primitive("string"),))),
        (
            'object({a = optional(string, f("}", [1, {x = ")"}])), é = bool})',
            Object({"a": Primitive("string"), "é": Primitive("bool")}, frozenset("a")),
        ),
    ],
)
def test_other_spellings_of_a_type_are_understood(text: str | None, constraint: Constraint) -> None:
    assert parse_constraint(text) == constraint
