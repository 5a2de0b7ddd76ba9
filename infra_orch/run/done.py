"""What an apply did, from what it said: also one that failed, was stopped, or ended without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from infra_orch.run.diagnosis import warning_texts
from infra_orch.run.outcome import Failure, Outcome, ResourceChange, Status, count
from infra_orch.run.terraform import Invocation

_DOES = ("create", "update", "delete", "read")


def outcome_of(done: Invocation, planned: Outcome) -> Outcome:
    """Return what became of a unit whose plan was *planned*, now that its apply has ended as *done*."""
    said = done.messages
    resources = tuple(_what_was_done(said.done, planned.resources, complete=said.complete))
    settled = replace(
        planned,
        resources=resources,
        counts=count(resources),
        warnings=tuple(dict.fromkeys((*planned.warnings, *warning_texts(said)))),
    )
    if done.returncode == 0 and said.complete:
        return replace(settled, status=Status.APPLIED)
    unfinished = said.unfinished
    if done.returncode == 0:
        # It says that it went well, and not what it did: of what was planned, anything may have been done.
        done_with = {change.address for change in resources}
        unfinished = tuple(change.address for change in planned.resources if change.address not in done_with)
    return replace(
        settled,
        status=Status.FAILED,
        failure=_failure(done, len(resources), len(planned.resources)),
        addresses=_left(planned, resources),
        unfinished=unfinished,
    )


def _failure(done: Invocation, finished: int, planned: int) -> Failure:
    if done.returncode == 0:
        summary = f"terraform {done.step} ended with code 0 and did not say what it did"
        return Failure(summary, done.text(), "look at what it printed", done.context.shown(done.log), "garbage")
    failure = done.failure()
    if done.context.supervisor.stopping:
        summary = f"stopped with {finished} of {planned} changes made"
        return replace(failure, summary=summary, hint="run the same command again to go on", kind="interrupted")
    return failure


def _what_was_done(
    said: tuple[tuple[str, str, str], ...], planned: tuple[ResourceChange, ...], *, complete: bool
) -> Iterator[ResourceChange]:
    """Yield what was done, by address, with the attributes that the plan showed for it."""
    actions: dict[str, list[str]] = {}
    types: dict[str, str] = {}
    for address, kind, action in said:
        if action in _DOES:
            actions.setdefault(address, []).append(action)
            types[address] = kind
    by_address = {change.address: change for change in planned}
    for address in sorted({*actions, *by_address}):
        change = by_address.get(address)
        if address in actions:
            done = tuple(actions[address])
            yield replace(change, actions=done) if change else ResourceChange(address, types[address], done)
        elif change and complete and not set(change.actions) & set(_DOES):
            # Moved, imported as it is, or forgotten: of that, Terraform says nothing of its own.
            yield change


def _left(planned: Outcome, done: Iterable[ResourceChange]) -> tuple[str, ...]:
    """The addresses that exist after an apply that ended half-way, as far as what it said tells."""
    left = set(planned.addresses)
    made = {change.address: set(change.actions) for change in done}
    for change in planned.resources:
        here = made.get(change.address, set())
        if change.replaces:
            gone = here == {"delete"}
        elif change.destroys:
            gone = "delete" in here
        else:
            gone = change.actions == ("create",) and "create" not in here
        (left.discard if gone else left.add)(change.address)
    return tuple(sorted(left))
