"""A lease while it is held: renewed from several sides at once, lost to somebody else, run out, given back."""

from __future__ import annotations

import io
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from infra_orch.commands.leasing import Wanted, leased
from infra_orch.console import Console
from infra_orch.errors import LockedError, UnavailableError
from infra_orch.git.lease import new_terms, read_lease, ref_of, take
from infra_orch.git.remote import find_remote
from infra_orch.git.repository import Repository

if TYPE_CHECKING:
    from conftest import Desk


@pytest.fixture
def wanted(desk: Desk) -> Wanted:
    desk.commit()
    bare = desk.root.parent / "bare.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(desk.root), str(bare)], check=True)
    desk.git("remote", "add", "origin", str(bare))
    remote = find_remote(Repository(desk.root), "origin")
    return Wanted(remote, ref_of("main"), 60, "Ada", "here")


def quick(wanted: Wanted, seconds: float) -> Wanted:
    return Wanted(wanted.remote, wanted.ref, seconds, wanted.holder, wanted.checkout)


def test_renewals_from_several_sides_do_not_take_each_other_for_somebody_else(wanted: Wanted) -> None:
    told: list[str] = []
    with leased(quick(wanted, 1), Console(err=io.StringIO()), told.append) as lease:
        with ThreadPoolExecutor(4) as pool:
            for renewal in [pool.submit(lease.confirm) for _ in range(24)]:
                renewal.result()
        assert (lease.lost, told) == ("", [])
    assert read_lease(wanted.remote, wanted.ref) is None


def test_one_that_somebody_else_has_taken_is_lost_and_left_to_them(wanted: Wanted) -> None:
    told: list[str] = []
    with leased(quick(wanted, 1), Console(err=io.StringIO()), told.append) as lease:
        while not told:
            # They take whatever is there, as where it had run out.
            found = read_lease(wanted.remote, wanted.ref)
            take(wanted.remote, wanted.ref, found and found.id, new_terms("Bob", "there", datetime.now(UTC), 60))
            time.sleep(0.05)
        assert told[0].startswith("it is held by Bob, since ")
        with pytest.raises(LockedError, match="is lost: it is held by Bob"):
            lease.check()
    found = read_lease(wanted.remote, wanted.ref)
    assert found
    assert found.terms
    assert found.terms.holder == "Bob"
    with pytest.raises(LockedError, match="is held by Bob"), leased(wanted, Console(), told.append):
        pass


def test_one_that_cannot_be_renewed_in_time_is_lost(wanted: Wanted, desk: Desk) -> None:
    told: list[str] = []
    err = io.StringIO()
    with leased(quick(wanted, 1), Console(err=err), told.append) as lease:
        bare = desk.root.parent / "bare.git"
        bare.rename(desk.root.parent / "away")
        with pytest.raises(UnavailableError):
            lease.confirm()
        while not told:
            time.sleep(0.05)
        assert told == ["origin could not be reached to renew it"]


def test_a_predecessor_in_this_checkout_is_taken_over_at_once(wanted: Wanted) -> None:
    terms = new_terms("Ada, before", "here", datetime.now(UTC), 60)
    assert take(wanted.remote, wanted.ref, None, terms)
    with leased(wanted, Console(), print) as lease:
        assert lease.over == terms
