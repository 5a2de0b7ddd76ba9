"""A lease: a ref on the remote that one at a time has, says who, and runs out by itself.

The ref leads to a commit without files whose message is a JSON document, so any host of git repositories keeps it. It
is taken, renewed and given back by pushes that say what they expect to find, so of two that take it at once one wins.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from infra_orch.errors import RefusedError, UnavailableError
from infra_orch.git.remote import Answer, Remote

PLACE = "refs/infra-orch/lease/"
SCHEMA = 1
_TRIES = 5
_SHOWN = 200
_MOST_BYTES = 1 << 16
_IDENTITY = {
    f"GIT_{role}_{part}": text
    for role in ("AUTHOR", "COMMITTER")
    for part, text in (("NAME", "infra-orch"), ("EMAIL", "infra-orch@localhost"))
}


@dataclass(frozen=True)
class Terms:
    """What a lease says: who *holder* is, in words; in which *checkout*, by the token of that; since when, and until
    when unless it is renewed (ISO 8601, UTC).
    """

    holder: str
    checkout: str
    since: str
    until: str

    def __str__(self) -> str:
        return f"{self.holder[:_SHOWN]}, since {self.since[:_SHOWN]}, until {self.until[:_SHOWN]}"

    def is_over(self, now: datetime, margin: timedelta) -> bool:
        """Whether it has run out, by a clock that may differ from its holder's by *margin*."""
        return now > datetime.fromisoformat(self.until) + margin


@dataclass(frozen=True)
class Found:
    """The lease as the remote has it: the object that says it, and what that says; None: that is no lease of ours."""

    id: str
    terms: Terms | None


def ref_of(name: str) -> str:
    """Return the ref of the lease called *name*: any text makes one, `a/b` and `a` do not get into each other's way."""
    return PLACE + quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def read_lease(remote: Remote, ref: str) -> Found | None:
    """Return the lease as the remote has it; None where nobody does. Raises UnavailableError as Remote does."""
    for _ in range(_TRIES):
        there = remote.refs(ref).get(ref)
        if there is None:
            return None
        if remote.bring(ref, there):
            return Found(there, _terms(remote, there))
    raise UnavailableError(
        f"the lease {ref} changes hands faster than it can be read", hint="run the same command again"
    )


def new_terms(holder: str, checkout: str, now: datetime, seconds: float) -> Terms:
    """Return the terms of a lease that begins *now* and lasts so many *seconds*."""
    return Terms(holder, checkout, _stamp(now), _stamp(now + timedelta(seconds=seconds)))


def renewed(terms: Terms, now: datetime, seconds: float) -> Terms:
    """Return *terms* that last so many *seconds* from *now*."""
    return replace(terms, until=_stamp(now + timedelta(seconds=seconds)))


def take(remote: Remote, ref: str, found: str | None, terms: Terms) -> str | None:
    """Put a lease with *terms* in the place of the object that was *found* there (None: of nothing).

    Returns the object that says it; None where another one is there by now. Raises UnavailableError where the remote
    cannot be reached, RefusedError where it does not take such a ref.
    """
    document = json.dumps({"schema": SCHEMA, **asdict(terms)}, indent=2, ensure_ascii=False)
    repository = remote.repository
    tree = repository.git("hash-object", "-w", "-t", "tree", "--stdin").decode().strip()
    made = repository.git("commit-tree", "-F", "-", tree, stdin=f"{document}\n".encode(), env=_IDENTITY)
    mine = made.decode().strip()
    return mine if _swap(remote, ref, found, mine) else None


def give_back(remote: Remote, ref: str, mine: str) -> bool:
    """Delete the lease that the object *mine* says. Returns whether it was still there. Raises as take() does."""
    return _swap(remote, ref, mine, None)


def _swap(remote: Remote, ref: str, found: str | None, wanted: str | None) -> bool:
    pushed = remote.swap(ref, found, wanted)
    if pushed.answer is Answer.REFUSED:
        raise RefusedError(
            f"{remote.name} does not take the lease {ref}: {pushed.words}",
            hint="allow pushes to refs/infra-orch/*, or go without a lease, where only one reconciler runs: --no-lease",
        )
    return pushed.answer is Answer.TAKEN


def _terms(remote: Remote, commit: str) -> Terms | None:
    text = remote.repository.git("show", "--no-patch", "--format=tformat:%B", commit)
    try:
        document = json.loads(text[:_MOST_BYTES])
        terms = Terms(*(str(document[key]) for key in ("holder", "checkout", "since", "until")))
        datetime.fromisoformat(terms.until).astimezone(UTC)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return terms if datetime.fromisoformat(terms.until).tzinfo else None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
