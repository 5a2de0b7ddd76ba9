"""Take the folder that one stands in from the head of the path of modules, where `python -m infra_orch` puts it.

Else a `json.py` in a stranger's stack would be run in place of Python's own, also where no spec is to be evaluated. The
script `infra-orch` has no such folder there.
"""

from __future__ import annotations

import os
import sys


def _leave_folder_out() -> None:
    # While `-m` looks for its module, sys.argv[0] is "-m" (docs.python.org, sys.argv). pathlib imports too much.
    if sys.argv[:1] == ["-m"] and sys.path and not sys.flags.safe_path:
        here, ours = os.path.realpath(sys.path[0]), os.path.realpath(os.path.join(__file__, "../.."))  # noqa: PTH118
        if here == os.path.realpath(".") and here != ours:
            del sys.path[0]


_leave_folder_out()
