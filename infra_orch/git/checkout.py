"""The working tree moved to another commit as a whole, so that a move that was killed half-way is made again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from infra_orch.errors import UserError
from infra_orch.git.repository import Repository, git_words

_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Checkout:
    """A working tree that one process at a time moves: *lock* is the file descriptor by which it holds it, which the
    git that moves it inherits. So whoever has the lock knows that no such git runs any more.
    """

    repository: Repository
    lock: int

    def move(self, commit: str) -> None:
        """Move HEAD, the branch that it stands for, the index and the files to *commit*; what differs from HEAD in
        tracked files is gone. Raises UserError where git cannot.
        """
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            code, _, err = self.repository.ask(
                "-c", "advice.detachedHead=false", "reset", "--quiet", "--hard", commit, "--", inherit=[self.lock]
            )
            if code == 0:
                return
            if b"index.lock" not in err or time.monotonic() > end:
                raise UserError(
                    f"the checkout {self.repository.root} could not be moved to {commit[:10]}: {git_words(err)}",
                    hint=f"git -C {self.repository.root} reset --hard {commit[:10]} shows what is in the way",
                )
            time.sleep(_POLL_SECONDS)

    def unlock_index(self) -> Path | None:
        """Remove the lock of the index that a git of a move that died has left; it has certainly ended. Returns it."""
        lock = self.repository.git_path("index.lock")
        if not lock.exists():
            return None
        lock.unlink(missing_ok=True)
        return lock
