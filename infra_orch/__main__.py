"""`python -m infra_orch` and the `infra-orch` script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from infra_orch.cli.app import run  # noqa: PLC0415  once the interpreter is up, so that Ctrl-C is ours

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
