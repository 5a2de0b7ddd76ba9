"""What was evaluated before is not evaluated again, and never a wrong thing is taken for it: each answer is the one that
is given with the cache deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra_orch.commands import specs
from infra_orch.commands.evaluating import Evaluator
from infra_orch.project import find_project
from infra_orch.render import kept
from infra_orch.spec.load import load_stack

if TYPE_CHECKING:
    from conftest import Begin, Desk

MODULE = """
    variable "text" {
      type    = string
      default = "x"
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "text" {
      value = terraform_data.it.output
    }
    """
OUTER = MODULE + '\n    module "inner" {\n      source = "../inner"\n    }\n'
SPEC = """
    from infra_orch import Stack
    from names import named

    stack = Stack("prod")
    a = stack.unit("a", module="outer", inputs={"text": named("a")})
    stack.unit("b", module="inner", inputs={"text": a.outputs.text})
    stack.unit("c", module="team/vpc/aws", inputs={"text": "c"})
    """
APP = """
    from infra_orch import Stack

    prod = Stack.reference("prod")
    stack = Stack("app")
    stack.unit("x", module="inner", inputs={"text": prod.unit("a").outputs.text}, after=[prod.unit("c")])
    """
FILES = {
    "modules/outer/main.tf": OUTER,
    "modules/inner/main.tf": MODULE,
    "modules/team/vpc/aws/main.tf": MODULE,
    "stacks/names.py": "from lib.words import PREFIX\n\ndef named(name):\n    return f'{PREFIX}-{name}'\n",
    "lib/__init__.py": "",
    "lib/words.py": "PREFIX = 'acme'\n",
    "stacks/prod/stack.py": SPEC,
    "stacks/dev/stack.py": SPEC.replace('"prod"', '"dev"'),
}


@pytest.fixture
def two(begin: Begin) -> Desk:
    return begin(rendered)


def rendered(desk: Desk) -> None:
    desk.write(FILES)
    assert desk.run("render", "--all").code == 0
    desk.commit()


def cache(desk: Desk) -> Path:
    return desk.root / ".infra-orch/cache/kept.sqlite"


def rows(desk: Desk) -> dict[str, bytes]:
    with contextlib.closing(sqlite3.connect(cache(desk))) as database:
        return dict(database.execute("SELECT name, value FROM kept1"))


def entries(desk: Desk) -> set[str]:
    """The names of what holds a stack; what lists premises, or claims, is JSON."""
    return {name for name, value in rows(desk).items() if not value.startswith(b"{")} if cache(desk).exists() else set()


def replace_rows(desk: Desk, change: Callable[[str, bytes], bytes]) -> None:
    changed = [(change(name, value), name) for name, value in rows(desk).items()]
    with contextlib.closing(sqlite3.connect(cache(desk))) as database:
        database.executemany("UPDATE kept1 SET value = ? WHERE name = ?", changed)
        database.commit()


def kept_of(desk: Desk, stack: str = "prod") -> str | None:
    """The entry that is found for a stack as it is now."""
    project = find_project(desk.root)
    with contextlib.closing(Evaluator(project)) as evaluator:
        return evaluator.key(project.stack(stack))


def answers(desk: Desk) -> list[tuple[int, str, str]]:
    """What commands say that look at specs; `validate` says no more of them than `graph` does."""
    words = (
        ("graph", "--all", "--format", "json"),
        ("render", "--all", "--check"),
        ("graph", "--affected", "--base", "HEAD", "--why"),
    )
    return [(done.code, done.out, done.err) for done in (desk.run(*line) for line in words)]


def assert_as_without_cache(desk: Desk) -> None:
    """Asked twice, so that what the first has kept is what the second takes."""
    first, second = answers(desk), answers(desk)
    shutil.rmtree(desk.root / ".infra-orch/cache", ignore_errors=True)
    assert first == answers(desk)
    assert second == first


def test_a_stack_that_only_computes_is_evaluated_once(two: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(entries(two)) == 2
    monkeypatch.setattr("infra_orch.commands.evaluating.load_stack", None)
    assert two.run("validate", "--all").out == "dev is valid: 3 units, 0 tasks\nprod is valid: 3 units, 0 tasks\n"
    assert two.run("render", "--all", "--check").code == 0
    (two.root / "stacks/prod/rendered/a/main.tf").write_text("")
    assert two.run("render", "prod").out == "wrote stacks/prod/rendered/a/main.tf\n"


def test_a_run_takes_what_is_kept_and_evaluates_a_stack_that_has_tasks(
    two: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "\n@stack.task(after=[a])\ndef check(context):\n    return 'checked'\n"
    two.write({"stacks/dev/stack.py": textwrap.dedent(SPEC).replace('"prod"', '"dev"') + task})
    assert kept_of(two, "prod")
    evaluated = []
    real = load_stack
    monkeypatch.setattr(
        "infra_orch.commands.evaluating.load_stack", lambda folder: evaluated.append(folder.name) or real(folder)
    )
    applied = two.run("apply", "dev", "prod", "--auto-approve", "--json")
    assert (applied.code, evaluated) == (0, ["dev"])
    assert "checked" in applied.out
    two.write({"stacks/prod/stack.py": SPEC.replace('"c"}', '"C"}')})
    two.run("plan", "prod", "--unit", "c")
    two.run("plan", "prod", "--unit", "c")
    assert evaluated == ["dev", "prod"]


EDITS: dict[str, dict[str, str | None]] = {
    "the stack file": {"stacks/prod/stack.py": SPEC.replace('"c"}', '"C"}')},
    "a comment, which moves the lines": {"stacks/prod/stack.py": "# more\n" + textwrap.dedent(SPEC)},
    "a function two imports deep": {"lib/words.py": "PREFIX = 'other'\n"},
    "a package's own file": {"lib/__init__.py": "X = 1\n"},
    "a default of a module's variable": {"modules/outer/main.tf": OUTER.replace('default = "x"', 'default = "y"')},
    "a variable that a module has lost": {"modules/outer/main.tf": 'output "text" {\n  value = 1\n}\n'},
    "a provider that a nested module uses": {"modules/inner/more.tf": 'resource "null_resource" "x" {}\n'},
    "an override of a variable": {"modules/outer/x_override.tf": 'variable "text" {\n  type = number\n}\n'},
    "a nested module that is gone": {"modules/inner/main.tf": None},
    "a module that does not parse": {"modules/inner/main.tf": "variable {{\n"},
    "a template of the stack's own": {"stacks/prod/templates/outputs.tf": "# {{ unit.name }}\n"},
    "a template that makes another text each time": {
        "stacks/prod/templates/outputs.tf": '# {{ ["a", "a"] | random }}\n'
    },
    "a template of no file": {"stacks/prod/templates/what.tf": "# x\n"},
    "a module of that name nearer by": {"stacks/prod/names.py": "def named(name):\n    return 'near'\n"},
    "a package of that name nearer by": {"stacks/prod/names/__init__.py": "def named(name):\n    return 'pkg'\n"},
    "a package beside a module": {"stacks/names/__init__.py": "def named(name):\n    return 'pkg'\n"},
    "a module beside the stacks, before the root's": {"stacks/lib/words.py": "PREFIX = 'stacks'\n"},
    "a package beside the stacks, before the root's": {
        "stacks/lib/__init__.py": "",
        "stacks/lib/words.py": "PREFIX = 'stacks'\n",
    },
    "a module called as one of Python's": {"stacks/json.py": "raise RuntimeError\n"},
    "a folder of modules that is no module any more": {"modules/team/vpc/aws/main.tf": None},
    "an imported file that is gone": {"lib/words.py": None},
    "an imported file that reads another": {
        "lib/words.py": "from pathlib import Path\nPREFIX = Path('lib/prefix.txt').read_text().strip()\n",
        "lib/prefix.txt": "one\n",
    },
    "an error": {"stacks/prod/stack.py": "x(\n"},
    "two stacks of one name": {"stacks/dev/stack.py": SPEC},
}


@pytest.mark.parametrize("what", EDITS)
def test_after_an_edit_the_answer_is_that_without_a_cache(two: Desk, what: str) -> None:
    two.write({"stacks/app/stack.py": APP})
    two.commit()
    assert two.run("validate", "--all").code == 0
    for path, text in EDITS[what].items():
        two.write({path: text}) if text is not None else (two.root / path).unlink()
    assert_as_without_cache(two)


def test_a_stack_that_refers_to_another_is_kept_with_what_that_is(two: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    two.write({"stacks/app/stack.py": APP})
    shutil.rmtree(cache(two).parent)
    assert two.run("validate", "app").code == 0
    assert kept_of(two, "prod"), "it was evaluated, too"
    before = kept_of(two, "app")
    with monkeypatch.context() as patch:
        patch.setattr("infra_orch.commands.evaluating.load_stack", None)
        assert two.run("validate", "app").code == 0
    two.write({"stacks/prod/stack.py": textwrap.dedent(SPEC).replace('unit("c"', 'unit("C"')})
    assert "no unit of the stack" in two.run("validate", "app").err
    two.write({"stacks/prod/stack.py": "# more\n" + textwrap.dedent(SPEC)})
    assert two.run("validate", "app").code == 0
    assert before != kept_of(two, "app")
    assert_as_without_cache(two)


def test_stacks_that_refer_to_each_other_or_to_one_that_reads_the_world_are_evaluated_each_time(two: Desk) -> None:
    two.write({"stacks/app/stack.py": APP})
    back = "stack.unit('z', module='inner', inputs={'text': Stack.reference('app').unit('x').outputs.text})\n"
    two.write({"stacks/prod/stack.py": textwrap.dedent(SPEC) + back})
    assert two.run("validate", "--all").code == 0
    assert (kept_of(two, "app"), kept_of(two, "prod")) == (None, None)
    assert_as_without_cache(two)
    two.write({"stacks/prod/stack.py": "import os\n" + textwrap.dedent(SPEC)})
    assert two.run("validate", "--all").code == 0
    assert (kept_of(two, "app"), kept_of(two, "prod")) == (None, None)
    assert_as_without_cache(two)


def test_a_module_in_the_folder_or_from_a_registry_is_told_by_the_folder(two: Desk) -> None:
    shutil.move(two.root / "modules/team", two.root / "modules/elsewhere")
    assert_as_without_cache(two)
    assert "team/vpc/aws" in two.run("render", "prod", "--check").out
    shutil.move(two.root / "modules/elsewhere", two.root / "modules/team")
    assert_as_without_cache(two)
    assert two.run("render", "--all", "--check").code == 0


def test_a_folder_of_the_stacks_own_is_not_taken_for_the_one_of_another(desk: Desk) -> None:
    """`lib` has no `__init__.py` anywhere, so that Python makes one module of all the folders of that name."""
    spec = "from infra_orch import Stack\nfrom lib import words\nstack = Stack('{}')\nstack.unit(words.NAME, module='inner')\n"
    desk.write({"modules/inner/main.tf": MODULE})
    for name in ("a", "b"):
        desk.write({f"stacks/{name}/stack.py": spec.format(name), f"stacks/{name}/lib/words.py": f"NAME = 'u{name}'\n"})
    found = json.loads(desk.run("graph", "--all", "--format", "json").out)
    assert [node["id"] for node in found["nodes"]] == ["a/ua", "b/ub"]
    assert kept_of(desk, "a")
    assert kept_of(desk, "b")
    desk.write({"stacks/lib/words.py": "NAME = 'shared'\n"})
    (desk.root / "stacks/a/lib/words.py").unlink()
    found = json.loads(desk.run("graph", "--all", "--format", "json").out)
    assert [node["id"] for node in found["nodes"]] == ["a/shared", "b/ub"]


def test_what_is_said_of_remote_modules_is_what_their_rendered_files_say(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = """
        from infra_orch import Stack, expression

        stack = Stack("far")
        stack.unit("a", module="terraform-aws-modules/vpc/aws", version="~> 5.0", inputs={"x": expression("timestamp()")})
        stack.unit("b", module="git::https://example.com/x.git?ref=v1", formerly="c")
        stack.unit("d", module="inner")
        """
    desk.write({"modules/inner/main.tf": MODULE, "stacks/far/stack.py": spec})
    project = find_project(desk.root)
    with contextlib.closing(Evaluator(project)) as evaluator:
        known = evaluator.evaluate(project.stack("far")).entry.said
    monkeypatch.setattr("infra_orch.commands.evaluating._calls", lambda *_: None)
    with contextlib.closing(Evaluator(project)) as evaluator:
        parsed = evaluator.evaluate(project.stack("far")).entry.said
    assert json.loads(json.dumps(known)) == json.loads(json.dumps(parsed))
    assert sorted(known["own"]) == ["a", "b"]


def test_what_changes_only_inside_of_a_module_needs_no_evaluation(two: Desk) -> None:
    before = kept_of(two)
    two.write({"modules/inner/main.tf": MODULE.replace("= var.text", "= upper(var.text)")})
    assert kept_of(two) == before
    assert_as_without_cache(two)
    found = json.loads(two.run("graph", "--affected", "--base", "HEAD", "--format", "json").out)
    assert [node["id"] for node in found["nodes"]] == ["dev/a", "dev/b", "prod/a", "prod/b"]


READS = {
    "a file": ("from pathlib import Path\nX = Path('it.json').read_text()", {"it.json": "1"}, {"it.json": "2"}, {}),
    "the environment": ("import os\nX = os.environ['IT']", {}, {}, {"IT": "2"}),
    "the clock": ("from datetime import datetime\nX = str(datetime.now())", {}, {}, {}),
    "chance": ("import random\nX = str(random.random())", {}, {}, {}),
    "a uuid": ("import uuid\nX = str(uuid.uuid4())", {}, {}, {}),
    "its own place": ("X = __file__", {}, {}, {}),
    "a file through another module": (
        "from lib.more import X",
        {"lib/more.py": "with open('it') as file:\n    X = file.read()\n", "it": "1"},
        {"it": "2"},
        {},
    ),
}


@pytest.mark.parametrize("what", READS)
def test_a_stack_that_reads_the_world_is_evaluated_each_time(
    two: Desk, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, before, after, environment = READS[what]
    monkeypatch.setenv("IT", "1")
    spec = f"from infra_orch import Stack\n{line}\nstack = Stack('prod')\nstack.unit('a', module='inner', inputs={{'text': X}})\n"
    two.write({**before, "stacks/prod/stack.py": spec})
    assert two.run("render", "prod").code == 0
    assert kept_of(two) is None
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    two.write(after)
    if after or environment or what in ("the clock", "chance", "a uuid"):
        assert two.run("render", "prod", "--check").code == 1


def test_what_a_spec_prints_is_seen_each_time(two: Desk) -> None:
    two.write({"stacks/prod/stack.py": textwrap.dedent(SPEC) + "print('hello')\n"})
    for _ in range(2):
        assert two.run("validate", "prod").err == "hello\n"


def test_what_comes_after_a_spec_that_may_have_changed_python_is_not_kept(two: Desk) -> None:
    shutil.rmtree(two.root / ".infra-orch/cache")
    two.write({"stacks/a/stack.py": "import infra_orch\n" + textwrap.dedent(SPEC).replace('"prod"', '"a"')})
    project = find_project(two.root)
    with contextlib.closing(Evaluator(project)) as evaluator:
        assert evaluator.evaluate(project.stack("dev")).key
        assert evaluator.evaluate(project.stack("a")).key is None
        assert evaluator.evaluate(project.stack("prod")).key is None


def test_of_several_stacks_those_that_can_be_kept_are_evaluated_first(two: Desk) -> None:
    shutil.rmtree(two.root / ".infra-orch/cache")
    two.write({"stacks/a/stack.py": "import infra_orch\n" + textwrap.dedent(SPEC).replace('"prod"', '"a"')})
    assert [line.split()[0] for line in two.run("validate", "--all").out.splitlines()] == ["a", "dev", "prod"]
    assert len(entries(two)) == 2


HARM: dict[str, Callable[[bytes], bytes]] = {
    "damaged": lambda value: value.replace(b"acme", b"evil"),
    "truncated": lambda value: value[:-20],
    "emptied": lambda _: b"",
    "no JSON": lambda value: b"[" * 100_000 if value.startswith(b"{") else value,
}


@pytest.mark.parametrize("harm", HARM)
def test_an_entry_that_is_not_what_was_written_is_not_believed(two: Desk, harm: str) -> None:
    replace_rows(two, lambda _, value: HARM[harm](value))
    assert_as_without_cache(two)


def test_a_cache_that_is_no_database_is_done_without_and_made_anew(two: Desk) -> None:
    cache(two).write_bytes(b"SQLite format 4" + b"x" * 5000)
    assert_as_without_cache(two)
    assert kept_of(two)


def test_what_another_version_has_written_is_not_looked_at(two: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = entries(two)
    monkeypatch.setattr(kept, "_made_by", lambda: "another")
    assert kept_of(two) is None
    assert two.run("validate", "--all").code == 0
    assert before < entries(two)
    monkeypatch.undo()
    assert kept_of(two) is not None


def test_who_evaluates_notes_what_is_claimed_by_what_lies_rendered(two: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def claims() -> dict[str, bytes]:
        return {name: value for name, value in rows(two).items() if name.startswith("claim")}

    two.write({"stacks/prod/stack.py": textwrap.dedent(SPEC).replace('"c"}', '"C"}')})  # rendered as it was before
    shutil.rmtree(cache(two).parent)
    with monkeypatch.context() as patch:
        patch.setattr(kept, "foresee", lambda *_: None)
        assert two.run("graph", "--all").code == 0
    read = claims()
    assert len(read) == 2
    shutil.rmtree(cache(two).parent)
    project = find_project(two.root)
    with contextlib.closing(Evaluator(project)) as evaluator:
        for name in ("dev", "prod"):
            evaluator.evaluate(project.stack(name))
    assert claims() == read


def test_a_list_of_premises_that_is_none_is_passed_over(two: Desk) -> None:
    lists = b'{"schema": 1, "lists": [1, ["import x", 2]]}'
    replace_rows(two, lambda _, value: lists if b'"lists"' in value else value)
    assert_as_without_cache(two)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_done_without(two: Desk) -> None:
    shutil.rmtree(cache(two).parent)
    cache(two).parent.mkdir(mode=0o500)
    assert_as_without_cache(two)


def test_where_the_cache_cannot_be_a_file_it_is_done_without(two: Desk) -> None:
    before = answers(two)
    cache(two).unlink()
    cache(two).mkdir()
    assert answers(two) == before
    cache(two).rmdir()
    assert answers(two) == before


def test_processes_that_keep_at_once_harm_no_one(two: Desk) -> None:
    shutil.rmtree(two.root / ".infra-orch")
    argv = [sys.executable, "-m", "infra_orch", "graph", "--all", "--format", "json"]
    several = [subprocess.Popen(argv, cwd=two.root, stdout=subprocess.PIPE) for _ in range(4)]
    outs = {process.communicate()[0] for process in several}
    assert len(outs) == 1
    assert_as_without_cache(two)


@pytest.fixture
def many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """More stacks than one process is to evaluate."""
    monkeypatch.setattr(specs, "_WORTH", 4)
    desk.write(FILES)
    for number in range(8):
        desk.write({f"stacks/s{number}/stack.py": SPEC.replace('"prod"', f'"s{number}"')})
    return desk


def test_many_stacks_are_evaluated_side_by_side_and_answered_in_order(many: Desk) -> None:
    many.write({"stacks/s3/stack.py": "x(\n", "stacks/s5/stack.py": "import sys\nprint('five')\nsys.exit(3)\n"})
    many.write({"stacks/s6/stack.py": "import os\n" + textwrap.dedent(SPEC).replace('"prod"', '"s6"')})
    side_by_side = many.run("validate", "--all")
    assert len(entries(many)) == 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specs, "_WORTH", 1000)
        shutil.rmtree(many.root / ".infra-orch")
        assert many.run("validate", "--all") == side_by_side
    assert side_by_side.code == 65
    assert (
        side_by_side.err.index("s3/stack.py:1") < side_by_side.err.index("five") < side_by_side.err.index("sys.exit(3)")
    )


def test_a_spec_that_ends_its_process_is_named_and_the_others_are_told(many: Desk) -> None:
    many.write({"stacks/s3/stack.py": "import os\nos._exit(0)\n", "stacks/s4/stack.py": "import os\nos.abort()\n"})
    done = many.run("validate", "--all")
    assert done.code == 65
    assert "stacks/s3/stack.py" in done.err
    assert "with code 0" in done.err
    assert "by SIGABRT" in done.err
    assert done.out.count("is valid") == 8


def test_ctrl_c_ends_the_processes_also_one_that_does_not_listen(many: Desk) -> None:
    hangs = (
        "import os, time\nfrom pathlib import Path\nPath('pid').write_text(str(os.getpid()))\n"
        "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass\n"
    )
    many.write({"stacks/s3/stack.py": hangs})
    code = "from infra_orch.commands import specs; specs._WORTH = 4; from infra_orch.__main__ import main; main()"
    child = subprocess.Popen([sys.executable, "-c", code, "validate", "--all"], cwd=many.root)
    pid = many.root / "pid"
    deadline = time.monotonic() + 60
    while not (pid.is_file() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_any_edits_in_any_order_are_answered_as_without_a_cache(two: Desk) -> None:
    """Drawn edits, one after the other: what was kept before any of them is still there, and never wrong."""
    draw = random.Random(int(os.environ.get("KEPT_SEED", "1")))
    choices = [edit for edit in EDITS.values() if None not in edit.values()]
    for _ in range(int(os.environ.get("KEPT_EDITS", "12"))):
        kind = draw.random()
        if kind < 0.6:
            two.write({path: str(text) for path, text in draw.choice(choices).items()})
        elif kind < 0.8:
            two.git("checkout", "-q", ".")
        else:
            two.git("clean", "-qfd")
        cached = [two.run("graph", "--all", "--format", "json"), two.run("render", "--all", "--check")]
        shutil.move(two.root / ".infra-orch/cache", two.root / ".infra-orch/aside")
        assert [two.run("graph", "--all", "--format", "json"), two.run("render", "--all", "--check")] == cached
        shutil.rmtree(two.root / ".infra-orch/cache")
        shutil.move(two.root / ".infra-orch/aside", two.root / ".infra-orch/cache")
