"""Start a provider that ends when the gateway does: `python -I -S launch.py PARENT PROGRAM`.

On Linux the kernel sees to it, and this program becomes the provider. Elsewhere it stays, and ends the provider once
its standard input, a pipe whose other end the gateway holds, is at its end.
"""

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2)."""


def main(parent: int, program: str) -> None:
    """Become *program*, or watch over it. Nobody but the user may connect to the socket that it makes."""
    os.umask(0o077)
    if os.uname().sysname == "Linux":
        import ctypes  # noqa: PLC0415 - costs time, and only Linux needs it

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # else it went before the kernel was asked
            os.execv(program, [program])  # noqa: S606 - the path of a program that was checked against the lock file
        return
    child = os.posix_spawn(program, [program], os.environ)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        readable, _, _ = select.select([0], [], [], 0.5)
        if readable and not os.read(0, 1):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
