"""Where the work of a run is done. The scheduler knows only submit and wait; a fleet of workers can stand here too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, Protocol, TypeVar

Result = TypeVar("Result")


class Executor(Protocol[Result]):
    """Does work by key, some of it at once."""

    @property
    def has_room(self) -> bool:
        """Whether what is submitted now begins at once."""

    def submit(self, key: str, work: Callable[[], Result]) -> None:
        """Begin *work* when there is room."""

    def wait_any(self) -> list[tuple[str, Result]]:
        """Wait until something is done and return it all, by key. Raises what the work raised."""

    @property
    def busy(self) -> int:
        """How much was submitted and not yet returned by wait_any."""


class ThreadExecutor(Generic[Result]):
    """Threads of this process: enough, since all that they do is to wait for Terraform."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="infra-orch")
        self._workers = workers
        self._futures: dict[Future[Result], str] = {}

    @property
    def has_room(self) -> bool:
        """Whether a thread is free."""
        return len(self._futures) < self._workers

    def submit(self, key: str, work: Callable[[], Result]) -> None:
        """Begin *work* when a thread is free."""
        self._futures[self._pool.submit(work)] = key

    def wait_any(self) -> list[tuple[str, Result]]:
        """Wait until something is done and return it all, sorted by key."""
        done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        return sorted((self._futures.pop(future), future.result()) for future in done)

    @property
    def busy(self) -> int:
        """How much was submitted and not yet returned by wait_any."""
        return len(self._futures)

    def close(self) -> None:
        """End the threads; what was submitted and has not begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
