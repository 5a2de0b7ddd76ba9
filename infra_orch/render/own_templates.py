"""A stack's own templates: run in Jinja's sandbox, from files of the project, and with an end.

The sandbox keeps a template from Python's insides and from changing what it is given. What it does not do is bound a
template that loops, or makes an endless text: that is done here, by time, by memory and by length.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, FileSystemLoader, TemplateNotFound, TemplateRuntimeError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 10.0
MEMORY = 512 << 20
LONGEST = 8 << 20
"""In characters: a rendered file of a thousand units' worth of text is less."""
_GREATEST_POWER = 256


class OwnTemplates(ImmutableSandboxedEnvironment):
    """The sandbox, in which no product and no power is larger than any file could be."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute `left * right` or `left ** right`. Raises TemplateRuntimeError where that would be huge."""
        if operator == "**" and not (
            _small(left) and isinstance(right, (int, float)) and abs(right) <= _GREATEST_POWER
        ):
            raise TemplateRuntimeError(f"{left!r:.20} ** {right!r:.20} is too large")
        if operator == "*" and _size(left) * _size(right) > LONGEST and not (_small(left) and _small(right)):
            raise TemplateRuntimeError(f"{left!r:.20} * {right!r:.20} is too long")
        return super().call_binop(context, operator, left, right)


def loader_within(folder: Path, root: Path) -> BaseLoader:
    """Return what finds the templates in *folder*, links aside that lead out of the project at *root*."""
    return _Loader(folder, root)


def render_bounded(environment: Environment, name: str, values: Mapping[str, Any]) -> str:
    """Render the template *name*. Raises TemplateRuntimeError where that takes too long, or makes too much."""
    text: list[str] = []
    length = 0
    with _bounded():
        for piece in environment.get_template(name).generate(values):
            length += len(piece)
            if length > LONGEST:
                raise TemplateRuntimeError(f"it makes more than {LONGEST >> 20} million characters")
            text.append(piece)
    return "".join(text)


def template_line(error: BaseException, name: str) -> int:
    """Return the line of the template *name* that an error came from; 0 where it came from none."""
    line = 0
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename.endswith(name):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class _Loader(FileSystemLoader):
    def __init__(self, folder: Path, root: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        self._root = root.resolve()

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        found = super().get_source(environment, template)
        if not Path(found[1]).resolve().is_relative_to(self._root):
            raise TemplateNotFound(template, f"{template} is a link that leads out of the project")
        return found


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Within it, what takes longer than SECONDS or needs more than MEMORY is a TemplateRuntimeError."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_limited_memory())
        if threading.current_thread() is threading.main_thread():  # no other thread can be interrupted
            stack.enter_context(_limited_time())
        try:
            yield
        except MemoryError as error:
            raise TemplateRuntimeError(f"it needs more than {MEMORY >> 20} MiB") from error


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise TemplateRuntimeError(f"it takes longer than {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """Lower the limit on this process's memory for a while, where the system tells how much it has (proc(5), statm)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        yield
        return
    limit = now + MEMORY
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([limit, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _small(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 1 << 64


def _size(value: Any) -> int:
    """How often, or how long: what a product with it is at most."""
    if isinstance(value, (int, float)):
        return int(min(abs(value), LONGEST + 1))
    return len(value) if hasattr(value, "__len__") else 1
