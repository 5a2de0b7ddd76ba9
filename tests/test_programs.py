"""How other programs and others' files are dealt with, everywhere in the package: no shell, no loader that runs code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import infra_orch

PACKAGE = Path(infra_orch.__file__).parent
FORBIDDEN_MODULES = frozenset({"pickle", "marshal", "shelve", "dill", "cloudpickle", "commands", "pty"})
STARTS_BY_SHELL = frozenset({"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"})
RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__"})
YAML_LOADERS = frozenset({"load", "load_all", "unsafe_load", "full_load"})


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call in the package: file, what is called (`os.system`), the call."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node


def test_nothing_is_started_by_a_shell() -> None:
    found = [
        f"{file}:{call.lineno} {name}"
        for file, name, call in calls()
        if name.rpartition(".")[2] in STARTS_BY_SHELL
        or any(keyword.arg == "shell" and ast.unparse(keyword.value) != "False" for keyword in call.keywords)
        or name.startswith(("os.exec", "os.spawn"))
    ]
    # It becomes the provider that it was told to start, by its path and without arguments.
    assert [place.partition(":")[0] + place[place.index(" ") :] for place in found] == ["gateway/launch.py os.execv"]


def test_no_command_line_is_put_together_as_text() -> None:
    """What is handed to the door to other programs is a list, and never a string."""
    found = [
        f"{file}:{call.lineno}"
        for file, name, call in calls()
        if name.rpartition(".")[2] in ("Popen", "run", "capture", "attach", "Program")
        and call.args
        and isinstance(call.args[0], (ast.JoinedStr, ast.BinOp))
    ]
    assert found == []


def test_python_is_evaluated_at_one_place_only() -> None:
    found = {(file, name) for file, name, _ in calls() if name in RUNS_TEXT}
    assert found == {("spec/load.py", "exec"), ("spec/load.py", "compile")}


def test_no_loader_that_runs_what_it_reads_is_used() -> None:
    imported = {
        name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert not {name.partition(".")[0] for name in imported} & FORBIDDEN_MODULES
    assert [name for _, name, _ in calls() if name.startswith("yaml.") and name.partition(".")[2] in YAML_LOADERS] == []


def test_jinja_runs_what_others_wrote_in_the_sandbox_only() -> None:
    # engine/environment.py has a class of its own that is called so.
    plain = {file for file, name, _ in calls() if name == "Environment"} - {"engine/environment.py"}
    loaded_from_folders = {file for file, name, _ in calls() if name.endswith("FileSystemLoader")}
    shipped = {"commands/scaffolds.py", "render/unit.py", "report/html/page.py"}
    assert plain <= shipped, "these run what is shipped with the package"
    assert loaded_from_folders == set(), "render/own_templates.py has a loader that stays in the project"
