"""`infra-orch --record FILE.svg COMMAND`: what the command showed on the terminal, as a picture that moves."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra_orch.console import Console
from infra_orch.errors import UsageError, UserError
from infra_orch.files import write_asked_for
from infra_orch.project import find_project
from infra_orch.redact import Redactor
from infra_orch.report.tape import Tape, taped

SUFFIX = ".svg"


@contextlib.contextmanager
def recording(file: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Within it, what is shown is recorded; then the picture is written, however the command, *arguments*, ended.

    What is shown has no secrets in it already; they are looked for once more, by what the environment and the settings
    say. A picture that cannot be written in the end is a warning. Raises UsageError where *file* cannot become one.
    """
    file = file.absolute()  # the command may change the folder
    if file.suffix != SUFFIX:
        raise UsageError(f'--record "{file.name}": it is to be an SVG picture', hint="give a name that ends in .svg")
    if not file.parent.is_dir():
        raise UsageError(
            f'--record: there is no folder "{file.parent}"', hint=f"mkdir -p {shlex.quote(str(file.parent))}"
        )
    out, err = sys.stdout, sys.stderr
    with taped(out, err) as tape:
        command = shlex.join(["infra-orch", *arguments])
        tape.add(f"\033[32m$\033[0m \033[1m{command}\033[0m\n")
        try:
            yield
        finally:
            _write(file, tape, command)


def _write(file: Path, tape: Tape, command: str) -> None:
    # It needs what nothing else does, and is read where somebody records something.
    from infra_orch.report.film import picture  # noqa: PLC0415

    redactor = Redactor(_patterns())
    redactor.add_environment(os.environ)
    tape.pieces[:] = [(at, redactor.text(text)) for at, text in tape.pieces]
    console = Console()
    try:
        write_asked_for(file, picture(tape, f"A terminal: {redactor.text(command)}"), mode=0o600)
    except UserError as error:
        console.warn(f"what was shown is not recorded: {error}")
    else:
        console.note(f"recorded in {file}")


def _patterns() -> Sequence[str]:
    """What the project here never shows; nothing where there is none, or its settings cannot be read."""
    try:
        return find_project(Path.cwd()).settings.redact
    except UserError:
        return ()
