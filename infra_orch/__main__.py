"""`python -m infra_orch` and the `infra-orch` script."""

from __future__ import annotations

import os
import sys

from infra_orch import _interrupt

_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    _open_standard_streams()
    try:
        from infra_orch.cli.app import run  # noqa: PLC0415  once the interpreter is up

        _interrupt.take()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def _open_standard_streams() -> None:
    """Give a process that was started without one of its standard streams one that leads nowhere.

    Else the next file that is opened, such as a journal, would get its number and what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


if __name__ == "__main__":
    main()
