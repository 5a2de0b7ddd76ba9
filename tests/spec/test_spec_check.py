"""Everything that is wrong with a stack is found before anything runs, with file, line, value and nearest match."""

from __future__ import annotations

import pytest

from infra_orch.errors import Where

# Three units that are right, in one line each, so that what comes after begins with line 5.
RIGHT = """
stack = Stack("dev")
net = stack.unit("net", module="network", inputs={"name": "dev"})
web = stack.unit("web", module="web", inputs={"vpc_id": net.outputs.vpc_id})
"""


def test_a_right_stack_is_wired_and_ordered(bench) -> None:
    checked = bench.check(RIGHT + "@stack.task(after=[web])\ndef smoke(context): pass\n")
    assert checked.units["web"].needs == {"net": ("vpc_id",)}
    assert list(checked.graph.order()) == ["net", "web", "smoke"]


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file(bench) -> None:
    found = bench.problems("""
        stack = Stack("de v")
        net = stack.unit("net", module="network", inputs={"nam": "x"})
        net2 = stack.unit("net", module="netwrk")
        web = stack.unit("web", module="web", inputs={"vpc_id": net.outputs.vpc, "size": 3}, after=["nett"])
    """)
    assert [(problem.where.line, problem.message) for problem in found] == [
        (2, '"de v" cannot be a stack\'s name'),
        (3, 'module "network" has no variable "nam" (unit "net")'),
        (3, 'unit "net" lacks the input "name"'),
        (4, 'the name "net" is taken'),
        (4, 'unknown module "netwrk" of unit "net"'),
        (5, '"web" reads net.outputs.vpc, but module "network" has no such output'),
        (5, 'after="nett" of "web" is no unit or task of this stack'),
        (5, 'input size of "web": 3 where object({cpu = number, ram = number}) is wanted'),
    ]
    assert {problem.where.file for problem in found} == {"stacks/dev/stack.py"}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ('stack.unit("x", module="network", inputs={"nam": "x", "name": "y"})', 'module "network" has no variable "nam"', 'did you mean "name"?'),
        ('stack.unit("x", module="network", inputs={"qqq": "x", "name": "y"})', 'has no variable "qqq"', "its variables: name, zones"),
        ('stack.unit("x", module="network")', 'unit "x" lacks the input "name"', "modules/network/main.tf:1 declares it"),
        ('stack.unit("x", module="network", inputs={"name": "x", "zones": "a"})', 'input zones of "x": "a" where list(string) is wanted', "declares it as list(string)"),
        ('stack.unit("x", module="web", inputs={"vpc_id": "v", "size": {"cpu": 1, "rma": 2}})', 'the attribute "ram" is missing; there is "rma"', "object("),
        ('stack.unit("x", module="network", inputs={"name": None})', "", ""),
        ('stack.unit("x", module="netwrk")', 'unknown module "netwrk" of unit "x"', 'did you mean "network"?'),
        ('stack.unit("x", module="./here")', 'unknown module "./here" of unit "x"', "there is no folder stacks/dev/here/"),
        ('stack.unit("x", module="../../..")', 'module "../../.." of unit "x" lies outside the project', "git or registry"),
        ('stack.unit("x", module="/etc")', 'module "/etc" of unit "x" lies outside the project', "git or registry"),
        ('stack.unit("x", module="")', 'module= of unit "x": it is empty', ""),
        ('stack.unit("x", module=f"git::https://x/{net.outputs.vpc_id}")', "it can hold no reference, expression or env()", ""),
        ('stack.unit("x", module="network", version="1.0", inputs={"name": "x"})', "its module is not one of a registry", "take version= out"),
        ('stack.unit("x", module="git::https://me:hunter2@example.com/a.git")', "the password in module= of unit", "credential helper"),
        ('stack.unit("x", module="git::ssh://git@example.com/a.git")', "", ""),
        ('stack.unit("x", module="git::https://example.com/a.git", version="1.0")', "its module is not one of a registry", "?ref="),
        ('stack.unit("x", module="acme/vpc/aws", version="^1.0")', 'version="^1.0" of unit "x" is no version constraint', "~> 5.0"),
        ('stack.unit("x", module="web", inputs={"vpc_id": net.outputs.vpc_di})', '"x" reads net.outputs.vpc_di, but module "network" has no such output', 'did you mean "vpc_id"?'),
        ('stack.unit("x", module="web", inputs={"vpc_id": Outputs("nett").vpc_id})', '"x" refers to the outputs of "nett", which is no unit of this stack', 'did you mean "net"?'),
        ('stack.unit("x", module="web", inputs={"vpc_id": Outputs("x").url})', '"x" reads its own output x.outputs.url', ""),
        ('stack.unit("x", module="web", inputs={"vpc_id": f"{net.outputs.session}"})', "reads net.outputs.session, which is ephemeral", "declares it"),
        ('stack.unit("x", module="network", inputs={"name": "x"}, after=["wbe"])', 'after="wbe" of "x" is no unit or task of this stack', 'did you mean "web"?'),
        ('stack.unit("x", module="network", inputs={"name": "x"}, formerly="net")', 'formerly="net" of "x" is the name of another unit or task', "line 3 declares it"),
        ('stack.unit("x", module="network", inputs={"name": "x"}, formerly="X")', 'formerly="X" of "x" is the name that it has', "take formerly= out"),
        ('stack.unit("x", module="network", inputs={"name": "x"}, formerly="../x")', 'formerly="../x" of "x" cannot have been', "letters, digits"),
        ('stack.unit("x", module="network", inputs={"name": "x"}, outputs=["vpc"])', 'unit "x" names the output "vpc", which module "network" has not', 'did you mean "vpc_id"?'),
        ('stack.unit("x", module="network", inputs={"name": "x"}, tags=[""])', 'the tag "" of "x": it is empty', ""),
        ('stack.unit("WEB", module="network", inputs={"name": "x"})', 'the name "WEB" is taken', "line 4 declares it first"),
        ('stack.unit("x y", module="network", inputs={"name": "x"})', '"x y" cannot be a unit\'s name', "letters, digits"),
        ('stack.unit(f"{net.outputs.vpc_id}", module="network", inputs={"name": "x"})', "cannot be a unit's name", "it can hold no reference"),
        ('stack.unit("../x", module="network", inputs={"name": "x"})', '"../x" cannot be a unit\'s name', "letters, digits"),
        ('stack.unit("größe", module="network", inputs={"name": "x"})', '"größe" cannot be a unit\'s name', "letters, digits"),
        ('stack.unit("x\\n", module="network", inputs={"name": "x"})', '"x\\n" cannot be a unit\'s name', "letters, digits"),
        ('stack.unit("a" * 65, module="network", inputs={"name": "x"})', "cannot be a unit's name", "at most 64 characters"),
        ('stack.unit("x", module="acme/vpc/aws", inputs={"count": 2})', "no variable of a module can be called so", "a loop in Python makes more"),
        ('stack.unit("x", module="acme/vpc/aws", inputs={"a b": 2})', 'input "a b" of "x": not the name of a variable', ""),
        ('stack.unit("x", module="web", inputs={"vpc_id": "v", "anything": Outputs("remote")})', 'refers to the outputs of "remote"', ""),
        ("task = stack.task(lambda context: None)", '"<lambda>" cannot be a task\'s name', "letters, digits"),
        ('stack.task(name="web")(print)', 'the name "web" is taken', "line 4 declares it first"),
        ('stack.task(name="t", on="aply")(print)', "on='aply' is no kind of run", 'did you mean "apply"?'),
        ('stack.task(name="t", retries=-1)(print)', "retries=-1 is less than 0", ""),
        ('stack.task(name="t", retry_delay=-1)(print)', "retry_delay=-1 is not a number of seconds", ""),
        ('stack.task(name="t", timeout=0)(print)', "timeout=0 is not a number of seconds above 0", ""),
        ('stack.task(name="t", timeout=float("nan"))(print)', "timeout=nan is not a number of seconds above 0", ""),
        ('stack.task(name="t")(lambda: None)', "its function takes one argument, the context", "def t(context)"),
        ('stack.task(name="t", before=["wbe"])(print)', 'before="wbe" of "t" is no unit or task of this stack', 'did you mean "web"?'),
        ("@stack.task\nasync def t(context): ...", "is an async function", "plain def"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place_and_its_mend(bench, line: str, message: str, hint: str) -> None:
    if not message:
        bench.check(RIGHT + line)
        return
    found = bench.problem(RIGHT + line)
    assert message in found.message
    assert hint in found.hint
    assert found.where == Where("stacks/dev/stack.py", 5)


def test_null_is_refused_only_where_terraform_refuses_it(bench) -> None:
    bench.desk.write({"modules/strict/main.tf": 'variable "name" {\n  type     = string\n  nullable = false\n}\n'})
    assert bench.problem('stack = Stack("dev")\nstack.unit("x", module="strict", inputs={"name": None})').message == (
        'input name of "x": null where string is wanted (nullable = false)'
    )


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{1, 2}", "{1, 2} is of type set, which Terraform has no value for; sorted(…) makes a list of it"),
        ("__import__('pathlib').Path('x')", "str(…) makes text of it"),
        ("(n for n in [])", "list(…) makes a list of it"),
        ("b'x'", "decode it to text"),
        ("bytearray(b'x')", "decode it to text"),
        ("__import__('enum').Enum('E', 'A').A", "its .value may have one"),
        ("__import__('uuid').UUID(int=1)", "str(…) makes text of it"),
        ("__import__('collections').UserString('x')", "is of type UserString, which Terraform has no value for; str(…)"),
        ("__import__('dataclasses').make_dataclass('D', ['a'])(1)", "dataclasses.asdict(…) makes a dict of it"),
        ("expression('upper(')", 'this "(" is never closed'),
        ("expression('1 }')", 'this "}" closes nothing'),
        ("f'x{expression(chr(34))}'", "this string is never closed"),
        ("net", "the unit net is of type Unit, which Terraform has no value for; refer to one of its outputs"),
        ("...", "a value is still to be written in place of ..."),
        ("{'a': [...]}", "['a'][0]: a value is still to be written in place of ..."),
        ("object", "is of type type, which Terraform has no value for"),
        ("{1: 2}", "the key 1: a key of a map is a string"),
        ("[{'a': [1, {2}]}]", "[0]['a'][1]: {2} is of type set"),
        ("float('inf')", "inf is not a number that Terraform has"),
        ("__import__('decimal').Decimal('sNaN')", "sNaN is not a number that Terraform has"),
        ("2**513 + 1", "would be rounded by Terraform; give it as a string"),
        ("10**5000", "would be rounded by Terraform"),
        (r"'\ud800'", "a lone surrogate is not Unicode text"),
        ("'a\\0b'", "a string with a NUL character"),
        ("f'{net.outputs.vpc_id}'.upper()", "a string operation (upper, replace, a slice, json.dumps …) changed a reference"),
        ("__import__('json').dumps({'id': f'{net.outputs.vpc_id}'})", "changed a reference"),
        ("{f'{net.outputs.vpc_id}'[:9]: 1}", "a reference that was cut"),
        ("{f'{net.outputs.vpc_id}'[:40]: 1}", "changed a reference"),
        ("expression(f'{net.outputs.vpc_id}'.lower())", "changed a reference"),
        ("(lambda d: (d.update(a=d), d)[1])({})", "nested more than 50 levels deep, or holding itself"),
    ],
)  # fmt: skip
def test_a_value_that_terraform_has_not_is_named(bench, value: str, why: str) -> None:
    found = bench.problem(f'{RIGHT}stack.unit("x", module="web", inputs={{"vpc_id": "v", "anything": {value}}})')
    assert found.message.startswith('input anything of "x": ')
    assert why in found.message
    assert found.where.line == 5


def test_a_reference_in_a_key_or_in_the_step_of_another_is_wired(bench) -> None:
    checked = bench.check(f"""
{RIGHT}
stack.unit("x", module="web", inputs={{
    "vpc_id": "v",
    "anything": {{f"{{web.outputs.url}}": net.outputs.subnet_ids[0]}},
}})
stack.unit("y", module="web", inputs={{"vpc_id": web.outputs.url[f"{{net.outputs.vpc_id}}"]}})
""")
    assert checked.units["x"].needs == {"net": ("subnet_ids",), "web": ("url",)}
    assert checked.units["y"].needs == {"net": ("vpc_id",), "web": ("url",)}


def test_all_outputs_are_those_that_can_leave_the_module(bench) -> None:
    checked = bench.check(f'{RIGHT}stack.unit("x", module="web", inputs={{"vpc_id": "v", "anything": net.outputs}})')
    assert checked.units["x"].needs == {"net": ("subnet_ids", "vpc_id")}
    assert checked.units["net"].outputs == {"subnet_ids": False, "vpc_id": False}


def test_outputs_of_a_remote_module_are_those_that_are_named_or_read(bench) -> None:
    checked = bench.check("""
        stack = Stack("dev")
        vpc = stack.unit("vpc", module="acme/vpc/aws", version="~> 1.0", outputs=["arn"], sensitive_outputs=["key"])
        stack.unit("web", module="web", inputs={"vpc_id": vpc.outputs.id})
    """)
    assert checked.units["vpc"].outputs == {"arn": False, "id": False, "key": True}


def test_all_outputs_of_a_remote_module_must_be_named(bench) -> None:
    found = bench.problem("""
        stack = Stack("dev")
        vpc = stack.unit("vpc", module="acme/vpc/aws")
        stack.unit("web", module="web", inputs={"vpc_id": "v", "anything": vpc.outputs})
    """)
    assert found.hint == 'name them: stack.unit("vpc", outputs=["…"])'


def test_an_output_can_be_made_sensitive_by_the_stack(bench) -> None:
    checked = bench.check("""
        stack = Stack("dev")
        stack.unit("net", module="network", inputs={"name": "x"}, sensitive_outputs=["vpc_id"])
    """)
    assert checked.units["net"].outputs["vpc_id"]


def test_a_sensitive_input_is_never_a_literal(bench) -> None:
    found = bench.problem(f'{RIGHT}stack.unit("x", module="web", inputs={{"vpc_id": "v", "password": "hunter2"}})')
    assert "is sensitive, and its value would be committed" in found.message
    assert "hunter2" not in found.message
    assert found.hint.startswith('env("PASSWORD")')


@pytest.mark.parametrize(
    "value", ["None", '""', 'env("X")', "f\"a:{env('X')}\"", "net.outputs.vpc_id", 'expression("1")']
)
def test_a_sensitive_input_comes_from_where_nothing_is_committed(bench, value: str) -> None:
    bench.check(f'{RIGHT}stack.unit("x", module="web", inputs={{"vpc_id": "v", "password": {value}}})')


@pytest.mark.parametrize(
    ("limits", "message", "hint"),
    [
        ('{"acount:prod": 4}', 'concurrency: no unit has the tag "acount:prod"', 'did you mean "account:prod"?'),
        ('{"account:prod": 0}', 'concurrency of "account:prod": with 0 at once nothing would begin', ""),
    ],
)
def test_a_limit_is_a_number_of_units_that_have_a_tag(bench, limits: str, message: str, hint: str) -> None:
    found = bench.problem(f"""
        stack = Stack("dev", tags=["account:prod"], concurrency={limits})
        stack.unit("net", module="network", inputs={{"name": "x"}})
    """)
    assert (found.message, found.hint) == (message, hint)


def test_a_limit_that_is_no_number_is_refused_where_it_is_given(bench) -> None:
    found = bench.problem('stack = Stack("dev", concurrency={"account:prod": "4"})')
    assert "concurrency of 'account:prod' takes a whole number, not '4'" in found.message


def test_circles_are_shown_as_paths_each_with_what_makes_it(bench) -> None:
    first, second = bench.problems("""
        stack = Stack("dev")
        stack.unit("a", module="web", inputs={"vpc_id": Outputs("b").url})
        stack.unit("b", module="web", inputs={"vpc_id": "v"}, after=["a"])
        stack.unit("c", module="web", inputs={"vpc_id": "v"}, after=["d"])
        @stack.task(before=["c"], after=["c"], name="d")
        def d(context): pass
    """)
    assert first.message == "a -> b -> a: each would have to come before the next, in a circle"
    assert first.hint == "take one of these out: b has after=a (line 4); a reads b.outputs.url (line 3)"
    assert first.where.line == 3
    assert second.message.startswith("c -> d -> c: ")


def test_a_unit_that_comes_after_itself_is_a_circle(bench) -> None:
    found = bench.problem('stack = Stack("dev")\nstack.unit("a", module="web", inputs={"vpc_id": "v"}, after=["a"])')
    assert found.message.startswith("a -> a: ")


def test_two_units_cannot_have_been_the_same_one(bench) -> None:
    found = bench.problem("""
        stack = Stack("dev")
        stack.unit("a", module="network", inputs={"name": "x"}, formerly="old")
        stack.unit("b", module="network", inputs={"name": "x"}, formerly="old")
    """)
    assert found.message == 'formerly="old" of "b": "a" was called so, too, and one state cannot move to two units'


def test_a_module_that_a_link_leads_out_to_is_refused(bench, tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (bench.desk.root / "modules/linked").symlink_to(tmp_path / "elsewhere")
    found = bench.problem('stack = Stack("dev")\nstack.unit("x", module="linked")')
    assert found.message == 'module "linked" of unit "x" lies outside the project'


def test_a_module_without_files_is_shown_where_the_spec_names_it(bench) -> None:
    bench.desk.write({"modules/empty/README.md": "nothing"})
    found = bench.problem('stack = Stack("dev")\nstack.unit("x", module="empty")')
    assert found.message == 'module of unit "x": "modules/empty" holds no Terraform files (*.tf, *.tf.json)'
    assert found.where == Where("stacks/dev/stack.py", 3)


def test_what_is_wrong_within_a_module_is_shown_at_its_line_once_for_all_units(bench) -> None:
    bench.desk.write({"modules/bad/main.tf": "\nvariable {\n"})
    found = bench.problem('stack = Stack("dev")\nstack.unit("x", module="bad")\nstack.unit("y", module="bad")')
    assert found.where.file == "modules/bad/main.tf"


def test_a_broken_module_brings_no_problems_of_its_own_making(bench) -> None:
    found = bench.problem(
        f'{RIGHT}x = stack.unit("x", module="wbe", inputs={{"a": 1}})\nstack.unit("y", module="web", inputs={{"vpc_id": x.outputs.z}})'
    )
    assert found.message == 'unknown module "wbe" of unit "x"'


def test_a_stack_of_no_units_or_of_tasks_alone_is_right(bench) -> None:
    assert not bench.check('stack = Stack("dev")').units
    assert list(bench.check('stack = Stack("dev")\n@stack.task\ndef t(context): pass').graph.order()) == ["t"]
