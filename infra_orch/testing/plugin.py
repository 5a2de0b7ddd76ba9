"""The pytest plugin: the fixtures `stack`, `rendered`, `planned` and `applied`, each of a test file.

Nothing that takes long to import is imported before a fixture is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from infra_orch.testing.values import SENSITIVE, UNKNOWN

if TYPE_CHECKING:
    from infra_orch.spec.stack import Stack
    from infra_orch.testing.applied import Applied
    from infra_orch.testing.planned import Planned
    from infra_orch.testing.rendered import Rendered
    from infra_orch.testing.trial import Trial
    from infra_orch.testing.workshop import Workshop

_MARKER = (
    "stack(name, *, destroy=True): the stack that the tests of a file are about, and whether it is destroyed after them"
)
_WORKSHOP = "_infra_orch_workshop"
_WRITTEN = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be said on the command line and in pytest's settings."""
    group = parser.getgroup("infra-orch")
    group.addoption("--update-renders", action="store_true", help="write the snapshots of rendered stacks anew")
    what = "files and folders of a project that its tests do not need, as patterns: they are not copied"
    parser.addini("infra_orch_leave_out", what, type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_WRITTEN] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a mark at one test or class, which would go unheard: the fixtures are of a whole file."""
    for item in items:
        inner = (node for node in item.listchain() if isinstance(node, (pytest.Class, pytest.Function)))
        if _WORKSHOP in getattr(item, "fixturenames", ()) and any(
            mark.name == "stack" for node in inner for mark in node.own_markers
        ):
            raise pytest.UsageError(f"{item.nodeid}: a stack is of a whole file: pytestmark = pytest.mark.stack(NAME)")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which snapshots were written."""
    for line in config.stash[_WRITTEN]:
        terminalreporter.write_line(line)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say of a comparison with what is unknown or sensitive why it cannot hold."""
    for value, other in ((left, right), (right, left)):
        if op == "==" and value is UNKNOWN and not isinstance(other, type(value)):
            return [f"{left!r} == {right!r}", "nobody knows this before an apply: the fixture `applied` has it"]
        if op == "==" and value is SENSITIVE and not isinstance(other, type(value)):
            return [f"{left!r} == {right!r}", "what is sensitive is shown to nobody unasked: reveal() has it"]
    return None


@pytest.fixture(scope="session")
def _infra_orch_workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    from infra_orch.testing.workshop import Workshop

    with contextlib.closing(Workshop(request.config.getini("infra_orch_leave_out"))) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, _infra_orch_workshop: Workshop) -> Iterator[Any]:
    """The stack that the test file is about, loaded and found to be right: its units, tasks and order.

    A file or a conftest.py may have a fixture of this name of its own that returns an `infra_orch.Stack`.
    """
    from infra_orch.testing.stack import StackUnderTest

    with _trial(request, _infra_orch_workshop, None) as trial:
        yield StackUnderTest.of(trial.declared.checked, trial)


@pytest.fixture(scope="module")
def _infra_orch_trial(request: pytest.FixtureRequest, stack: Any, _infra_orch_workshop: Workshop) -> Iterator[Trial]:
    from infra_orch.spec.stack import Stack
    from infra_orch.testing.stack import StackUnderTest

    if isinstance(stack, StackUnderTest):
        yield stack.trial
    elif isinstance(stack, Stack):
        with _trial(request, _infra_orch_workshop, stack) as trial:
            yield trial
    else:
        pytest.fail(f"the fixture stack returned {stack!r}, and an infra_orch.Stack is wanted", pytrace=False)


@pytest.fixture(scope="module")
def rendered(request: pytest.FixtureRequest, _infra_orch_trial: Trial) -> Rendered:
    """The Terraform files that the stack is rendered to, and their snapshot beside the test."""
    from infra_orch.testing.rendered import Rendered, Snapshots

    config, test = request.config, request.path
    folder = test.parent / "renders" / test.stem
    shown = folder.relative_to(config.rootpath) if folder.is_relative_to(config.rootpath) else folder
    snapshots = Snapshots(folder, str(shown), config.getoption("--update-renders"), config.stash[_WRITTEN])
    return Rendered(_infra_orch_trial.declared.rendering.texts, snapshots)


@pytest.fixture(scope="module")
def planned(_infra_orch_trial: Trial) -> Planned:
    """A plan of the stack in the sandbox, where nothing of it exists yet."""
    with _told(_infra_orch_trial.workshop):
        return _infra_orch_trial.plan()


@pytest.fixture(scope="module")
def applied(_infra_orch_trial: Trial) -> Iterator[Applied]:
    """The stack, applied in the sandbox; destroyed after the file's last test, which fails where something is left."""
    with _told(_infra_orch_trial.workshop), _infra_orch_trial.applied() as found:
        yield found


@contextlib.contextmanager
def _trial(request: pytest.FixtureRequest, workshop: Workshop, stack: Stack | None) -> Iterator[Trial]:
    """The stack that was declared (None: the one that the file's mark names, or the only one), for the file's tests."""
    mark = next(request.node.iter_markers("stack"), None)
    with _told(workshop):
        name, destroys = _said(mark) if mark else (None, True)
        trial = workshop.trial(request.path, stack or name, destroys=destroys)
    with contextlib.closing(trial):
        yield trial


def _said(mark: pytest.Mark) -> tuple[str | None, bool]:
    """What a mark says. Raises UsageError where it says what none can."""
    from infra_orch.errors import UsageError

    name, destroys = (*mark.args, mark.kwargs.get("name"))[0], mark.kwargs.get("destroy", True)
    known = len(mark.args) + ("name" in mark.kwargs) <= 1 and mark.kwargs.keys() <= {"name", "destroy"}
    if not known or not isinstance(name, str | None) or name == "" or not isinstance(destroys, bool):
        given = [*map(repr, mark.args), *(f"{key}={value!r}" for key, value in mark.kwargs.items())]
        hint = 'pytest.mark.stack("NAME"), or pytest.mark.stack("NAME", destroy=False)'
        raise UsageError(f"pytest.mark.stack({', '.join(given)}) says what no such mark can", hint=hint)
    return name, destroys


@contextlib.contextmanager
def _told(workshop: Workshop) -> Iterator[None]:
    """Within it, what a user can mend fails the test as a message, and not as a traceback."""
    from infra_orch.console import problem_lines
    from infra_orch.errors import UserError
    from infra_orch.report.style import Style

    lines: list[str] = []
    try:
        yield
    except UserError as error:
        lines = [line for problem in error.problems for line in problem_lines(problem, Style())]
    if lines:
        raise pytest.fail.Exception(workshop.told("\n".join(lines)), pytrace=False) from None
