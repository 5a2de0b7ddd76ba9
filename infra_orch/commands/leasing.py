"""The lease of a branch, held while a reconciler works: taken, renewed in the background, lost in time, given back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from infra_orch.console import Console
from infra_orch.errors import LockedError, RefusedError, UserError
from infra_orch.git.lease import Found, Terms, give_back, new_terms, read_lease, renewed, take
from infra_orch.git.remote import Remote

_RENEWALS = 3
"""So many times it is renewed before it would run out."""
_MARGIN = 3
"""By this part of its time clocks may differ."""


@dataclass(frozen=True)
class Wanted:
    """Which lease is to be held: its *ref*, for how many *seconds* at a time, and by whom: *holder* in words,
    *checkout* by its token.
    """

    remote: Remote
    ref: str
    seconds: float
    holder: str
    checkout: str

    @property
    def margin(self) -> timedelta:
        """By how much the clocks of two machines may differ."""
        return timedelta(seconds=self.seconds / _MARGIN)


class Lease:
    """A lease that is held. It is lost where it was not renewed in time, or somebody else has it."""

    def __init__(self, wanted: Wanted, mine: str, terms: Terms, over: Terms | None) -> None:
        self.over = over
        """What the lease said that had run out, or was left behind by a reconciler that died here."""
        self._wanted = wanted
        self._mine = mine
        self._terms = terms
        self._until = time.monotonic() + wanted.seconds
        self._ended = threading.Event()
        # Of two renewals at once one would find the other's, and take it for somebody else's.
        self._renewing = threading.Lock()
        self._lost = ""

    @property
    def lost(self) -> str:
        """Why it is held no more; empty while it is."""
        if not self._lost and time.monotonic() > self._until:
            self._lost = f"{self._wanted.remote.name} could not be reached to renew it"
        return self._lost

    def check(self) -> None:
        """Go on where it is held. Raises LockedError where it is not."""
        if self.lost:
            raise LockedError(
                f"the lease {self._wanted.ref} is lost: {self.lost}",
                hint="another reconciler may be at work; what was done is recorded, and the next round looks again",
            )

    def confirm(self) -> None:
        """Go on where the remote says that it is held still, now. Raises LockedError where it is not, UnavailableError
        where the remote cannot be reached.
        """
        self._renew()
        self.check()

    def keep(self, when_lost: Callable[[str], None]) -> None:
        """Renew it again and again, until it is given back; *when_lost* is told why, once, where it is held no more."""
        while not self._ended.wait(self._wanted.seconds / _RENEWALS):
            with contextlib.suppress(UserError):  # the remote cannot be reached for now
                self._renew()
            if self.lost:
                when_lost(self.lost)
                return

    def end(self) -> None:
        """Renew it no more."""
        self._ended.set()

    def release(self) -> None:
        """Give it back, where it is held. Raises UnavailableError where the remote cannot be reached."""
        if not self._lost:
            give_back(self._wanted.remote, self._wanted.ref, self._mine)

    def _renew(self) -> None:
        with self._renewing:
            if not self._lost:
                self._renew_alone()

    def _renew_alone(self) -> None:
        began, terms = time.monotonic(), renewed(self._terms, datetime.now(UTC), self._wanted.seconds)
        mine = take(self._wanted.remote, self._wanted.ref, self._mine, terms)
        if mine:
            self._mine, self._until = mine, began + self._wanted.seconds
            return
        found = read_lease(self._wanted.remote, self._wanted.ref)
        if found and found.terms == terms:
            # It was taken all the same: the answer to that push was lost.
            self._mine, self._until = found.id, began + self._wanted.seconds
            return
        self._lost = f"it is held by {found.terms}" if found else "it was taken away"


@contextlib.contextmanager
def leased(wanted: Wanted, console: Console, when_lost: Callable[[str], None]) -> Iterator[Lease]:
    """Hold a lease, and renew it in the background; *when_lost* is told, in a thread of its own, where it is lost.

    Raises LockedError where somebody else holds it, UnavailableError where the remote cannot be reached, RefusedError
    where it does not take such a ref.
    """
    lease = _taken(wanted)
    keeper = threading.Thread(target=lease.keep, args=[when_lost], name="lease", daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        lease.end()
        keeper.join()
        try:
            lease.release()
        except UserError as error:
            console.warn(f"the lease {wanted.ref} was not given back, and runs out by itself: {error.summary}")


def _taken(wanted: Wanted) -> Lease:
    found = read_lease(wanted.remote, wanted.ref)
    if found and not _may_take_over(found, wanted):
        raise _held(found, wanted)
    terms = new_terms(wanted.holder, wanted.checkout, datetime.now(UTC), wanted.seconds)
    mine = take(wanted.remote, wanted.ref, found.id if found else None, terms)
    if mine is None:
        now = read_lease(wanted.remote, wanted.ref)
        raise _held(now, wanted)
    return Lease(wanted, mine, terms, found.terms if found else None)


def _may_take_over(found: Found, wanted: Wanted) -> bool:
    """Whether whoever holds it is gone: a reconciler of this checkout, of which there is one at a time, is, and so, as
    far as anybody can tell, is one that has let it run out.
    """
    if found.terms is None:
        raise RefusedError(
            f"{wanted.ref} on {wanted.remote.name} is no lease of infra-orch's",
            hint=f"see what it is: git fetch {wanted.remote.name} {wanted.ref} && git show FETCH_HEAD",
        )
    mine = found.terms.checkout == wanted.checkout
    return mine or found.terms.is_over(datetime.now(UTC), wanted.margin)


def _held(found: Found | None, wanted: Wanted) -> LockedError:
    who = str(found.terms) if found and found.terms else "another reconciler, which was faster"
    return LockedError(
        f"the lease {wanted.ref} is held by {who}",
        hint="it is taken over when it has run out; the next round looks again",
    )
