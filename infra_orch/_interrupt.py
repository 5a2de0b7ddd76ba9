"""Let Ctrl-C end the program without a word while its modules are still being imported, which takes a moment.

Python would show the traceback of whatever import that was. Nothing has begun then, so nothing has to be seen to. Other
programs that import the package, such as pytest, keep the signal as they have it.
"""

from __future__ import annotations

import os
import signal
import sys


def _is_ours() -> bool:
    """Whether the program is `infra-orch` or `python -m infra_orch`; `-m infra_orch.gateway.serve` is another."""
    return os.path.basename(sys.argv[0]) == "infra-orch" or "infra_orch" in sys.orig_argv  # noqa: PTH119 - imports much


def take() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt again, unless whoever started the program had it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if sys.argv and _is_ours() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
