"""A stack file is evaluated as Python evaluates a program; what goes wrong in it is shown at the user's own line."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import infra_orch
from infra_orch.errors import Problem, SpecError, Where
from infra_orch.project import find_project
from infra_orch.spec.load import load_stack


def load(desk, spec: str | bytes, stack: str = "dev"):
    """The stack of a project whose file is *spec*."""
    path = desk.root / f"stacks/{stack}/stack.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(spec if isinstance(spec, bytes) else textwrap.dedent(spec).encode())
    return load_stack(find_project(desk.root).stack(stack))


def problem(desk, spec: str | bytes) -> Problem:
    with pytest.raises(SpecError) as caught:
        load(desk, spec)
    (found,) = caught.value.problems
    return found


RIGHT = 'from infra_orch import Stack\nstack = Stack("dev")\n'


def test_a_unit_knows_the_line_that_declared_it(desk) -> None:
    stack = load(desk, RIGHT + '\nstack.unit(\n    "web",\n    module="web",\n)\n')
    assert stack.units[0].where == Where(str(desk.root / "stacks/dev/stack.py"), 4)
    assert stack.where == Where(str(desk.root / "stacks/dev/stack.py"), 2)


def test_stacks_share_functions_in_modules_beside_them_above_them_and_at_the_root(desk) -> None:
    desk.write(
        {
            "stacks/dev/beside.py": "NAME = 'beside'\n",
            "stacks/above.py": "def unit(stack, name):\n    return stack.unit(name, module='m')\n",
            "company/__init__.py": "TAG = 'root'\n",
        }
    )
    stack = load(desk, """
        from infra_orch import Stack
        from above import unit
        from beside import NAME
        from company import TAG

        stack = Stack("dev", tags=[TAG])
        unit(stack, NAME)
    """)  # fmt: skip
    assert [(unit.name, unit.tags) for unit in stack.units] == [("beside", ("root",))]
    assert stack.units[0].where == Where(str(desk.root / "stacks/above.py"), 2)


def test_a_module_of_one_stack_is_not_taken_for_that_of_another(desk) -> None:
    desk.write({"stacks/dev/names.py": "NAME = 'one'\n", "stacks/prod/names.py": "NAME = 'two'\n"})
    spec = "from infra_orch import Stack\nfrom names import NAME\nstack = Stack(NAME)\n"
    assert [load(desk, spec, stack).name for stack in ("dev", "prod", "dev")] == ["one", "two", "one"]


def test_a_task_finds_its_modules_when_it_runs(desk) -> None:
    desk.write({"stacks/dev/later.py": "ANSWER = 42\n"})
    stack = load(desk, RIGHT + "@stack.task\ndef ask(context):\n    import later\n    return later.ANSWER\n")
    assert stack.tasks[0](None) == 42


def test_a_module_of_the_users_stands_in_for_none_that_is_imported_later(desk) -> None:
    desk.write({"stacks/colorsys.py": "rgb_to_hsv = None\n"})
    load(desk, RIGHT)
    done = "import sys; sys.modules.pop('colorsys', None); import colorsys; found = colorsys.rgb_to_hsv"
    scope: dict[str, object] = {}
    exec(done, scope)
    assert scope["found"] is not None


def test_nothing_is_written_beside_the_users_files(desk) -> None:
    desk.write({"stacks/dev/helper.py": "X = 1\n"})
    load(desk, RIGHT + "import helper\n")
    assert sorted(path.name for path in (desk.root / "stacks/dev").iterdir()) == ["helper.py", "stack.py"]


def test_a_stack_file_may_hold_dataclasses(desk) -> None:
    stack = load(desk, """
        from __future__ import annotations
        from dataclasses import dataclass
        from infra_orch import Stack

        @dataclass
        class Size:
            cpu: int

        stack = Stack("dev")
        stack.unit("web", module="m", inputs={"cpu": Size(2).cpu})
    """)  # fmt: skip
    assert stack.units[0].inputs == {"cpu": 2}


@pytest.mark.parametrize(
    "spec",
    [
        b"\xef\xbb\xbf" + RIGHT.encode(),
        RIGHT.replace("\n", "\r\n").encode(),
        b"# coding: latin-1\nX = '\xe9'\n" + RIGHT.encode(),
    ],
)
def test_a_stack_file_is_read_as_python_reads_it(desk, spec: bytes) -> None:
    assert load(desk, spec).name == "dev"


def test_the_stack_called_stack_is_meant_where_there_are_several(desk) -> None:
    assert load(desk, RIGHT + 'other = Stack("other")\n').name == "dev"


def test_what_a_stack_file_prints_does_not_reach_standard_output(desk, capsys) -> None:
    load(desk, RIGHT + 'print("hello")\n')
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n")


@pytest.mark.parametrize(
    ("spec", "message", "line", "hint"),
    [
        ("x = 1\n", "stacks/dev/stack.py declares no stack", 0, 'stack = Stack("dev") declares one'),
        ("from infra_orch import Stack\na = Stack('a')\nb = Stack('b')\n", 'holds 2 stacks ("a", "b")', 0, "call the one that is meant `stack`"),
        ("\n\nif True\n    pass\n", "expected ':': if True", 3, ""),
        (RIGHT + "1 / 0\n", "ZeroDivisionError: division by zero\n    1 / 0", 3, ""),
        (RIGHT + "raise ValueError\n", "ValueError\n    raise ValueError", 3, ""),
        (RIGHT + "raise SystemExit(3)\n", "the file ends the program: sys.exit(3)", 3, ""),
        (RIGHT + "def f(): f()\nf()\n", "RecursionError: maximum recursion depth exceeded", 3, ""),
        ("import helpers\n", "ModuleNotFoundError: No module named 'helpers'", 1, 'did you mean "helper"?'),
        ("import nothing_like_it\n", "No module named 'nothing_like_it'", 1, "modules are looked for in stacks/dev/, stacks/, the project's root"),
        ("import helper\nhelper.fails()\n", "KeyError: 'x'\n    {}[\"x\"]", 2, ""),
        ("from infra_orch import Stak\n", "ImportError: cannot import name 'Stak' from 'infra_orch'", 1, 'did you mean "Stack"?'),
        ("Stak('dev')\n", "NameError: name 'Stak' is not defined", 1, 'did you mean "Stack"?'),
        (RIGHT + "stack.unit('x', module='m', input={})\n", "got an unexpected keyword argument 'input'", 3, 'did you mean "inputs"?'),
        (RIGHT + "stack.unit('x', module='m', inputs=[1])\n", "TypeError: inputs= takes a dict, not [1]", 3, ""),
        (RIGHT + "stack.unit('x', module='m', inputs={1: 2})\n", "inputs= takes names as its keys, and 1 is one of them", 3, ""),
        (RIGHT + "stack.unit(3, module='m')\n", "the unit's name takes a string, not 3", 3, ""),
        (RIGHT + "stack.unit('x', module='m', after='web')\n", "after= takes a list of units, tasks or their names, not 'web'", 3, ""),
        (RIGHT + "stack.unit('x', module='m', after=[3])\n", "after= takes a list of units, tasks or their names, and 3 is in it", 3, ""),
        (RIGHT + "stack.unit('x', module='m', protect='no')\n", "protect= takes True or False, not 'no'", 3, ""),
        (RIGHT + "stack.unit('x', module='m', tags='web')\n", "tags= takes a list of strings, not 'web'", 3, ""),
        (RIGHT + "stack.task(retries='two')\n", "retries= takes a whole number, not 'two'", 3, ""),
        (RIGHT + "stack.task(timeout='10s')\n", "timeout= takes a number of seconds, not '10s'", 3, ""),
        (RIGHT + "stack.task(after=[])(None)\n", "task stands above a function, not None", 3, ""),
        ("from infra_orch import Stack\nStack('dev', providers='aws')\n", "providers= takes a list of Provider(...), not 'aws'", 2, ""),
        ("from infra_orch import Stack\nStack('dev', backend='s3')\n", "backend= takes a backend", 2, ""),
        ("from infra_orch import Provider\nProvider('aws', source=1)\n", "source= takes a string, not 1", 2, ""),
        ("from infra_orch import env\nenv('A B')\n", "env('A B'): not the name of an environment variable", 2, ""),
        ("from infra_orch import expression\nexpression(' ')\n", "the text of an HCL expression is wanted", 2, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nif u.outputs.id: pass\n", "cannot be tested for truth or compared", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nu.outputs.id == 'x'\n", "cannot be compared", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nlen(u.outputs.ids)\n", "x.outputs.ids has no value while the spec is evaluated, so it cannot be counted", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nfor i in u.outputs.ids: pass\n", "cannot be looped over", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\n'a' + u.outputs.id\n", "put it into an f-string instead", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nu.outputs.n * 2\n", "cannot be computed with", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nu.outputs.ids[-1]\n", "Terraform counts from the front only", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nu.outputs.ids[0:2]\n", "can be indexed by a number or a key", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nf'{u.outputs.n:>8}'\n", 'cannot be formatted with ":>8"', 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nu.outputs.n = 3\n", "cannot be changed", 4, ""),
        (RIGHT + "u = stack.unit('x', module='m')\nu.outputs.id.upper()\n", "'Reference' object is not callable", 4, "expression("),
        (RIGHT + "@stack.task\ndef t(context): pass\nt.outputs\n", "AttributeError: 'Task' object has no attribute 'outputs'", 5, ""),
        (b"x = 1\0\n", "null bytes", 0, ""),
        (b"x = '\xff'\n", "unicode error", 1, ""),
    ],
)  # fmt: skip
def test_what_a_stack_file_raises_is_shown_at_the_users_own_line(
    desk, spec: str | bytes, message: str, line: int, hint: str
) -> None:
    desk.write({"stacks/dev/helper.py": 'def fails():\n    {}["x"]\n'})
    found = problem(desk, spec)
    file = (
        "stacks/dev/helper.py"
        if b"helper.fails" in (spec if isinstance(spec, bytes) else spec.encode())
        else "stacks/dev/stack.py"
    )
    assert message in found.message
    assert hint in found.hint
    assert found.where == Where(file, line)


def test_an_error_in_a_module_that_is_installed_in_the_project_is_shown_where_the_user_called_it(desk) -> None:
    desk.write({"stacks/site-packages/library.py": "def fails():\n    raise OSError('no')\n"})
    found = problem(
        desk,
        f"import sys\nsys.path.append({str(desk.root / 'stacks/site-packages')!r})\nimport library\nlibrary.fails()\n",
    )
    assert found.where == Where("stacks/dev/stack.py", 4)


def test_a_syntax_error_in_a_shared_module_is_shown_there(desk) -> None:
    desk.write({"stacks/shared.py": "x = 1\ndef (:\n"})
    assert problem(desk, "import shared\n").where == Where("stacks/shared.py", 2)


def test_an_interrupt_is_passed_on(desk) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(desk, "raise KeyboardInterrupt\n")


def test_a_folder_in_the_place_of_a_stack_file_is_said(desk) -> None:
    (desk.root / "stacks/dev/stack.py").mkdir(parents=True)
    done = desk.run("validate", "dev")
    assert (done.code, done.err) == (
        65,
        "error: stacks/dev/stack.py cannot be read: Is a directory\n",
    )


AUDITED = """
import sys

touched = []
WATCHED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "pty.spawn", "ctypes.dlopen")

def watch(event, arguments):
    if event.startswith(WATCHED):
        touched.append((event, arguments))
    if event == "open" and "tfstate" in str(arguments[0]):
        touched.append((event, arguments))

from pathlib import Path
from infra_orch.project import find_project
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack
from infra_orch.render.write import render_stack

sys.addaudithook(watch)
folder = find_project(Path.cwd()).stack("dev")
rendering = render_stack(check_stack(load_stack(folder), folder))
print(sorted(rendering.files), touched)
"""


def test_evaluating_checking_and_rendering_opens_no_socket_starts_no_process_and_reads_no_state(two_units) -> None:
    two_units.write({"stacks/dev/state/web.tfstate": "{}"})
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AUDITED], cwd=two_units.root, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("['network/backend.tf'")
    assert done.stdout.endswith(" []\n")


HEAVY = (
    "boto3",
    "botocore",
    "hcl2",
    "jinja2",
    "rich",
    "typer",
    "click",
    "tenacity",
    "python_terraform",
    "subprocess",
    "socket",
    "asyncio",
)


def test_what_a_spec_imports_imports_nothing_heavy() -> None:
    code = f"import sys, infra_orch; print([name for name in {HEAVY!r} if name in sys.modules])"
    folder = Path(infra_orch.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
