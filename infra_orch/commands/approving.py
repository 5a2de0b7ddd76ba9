"""Whether what a run is about to do is approved, as far as it has to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from infra_orch.approval.approval import Yes
from infra_orch.approval.book import Book, Said
from infra_orch.approval.effects import Plan
from infra_orch.commands.previewing import Shown
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UserError
from infra_orch.hosts.find import find_place
from infra_orch.hosts.host import Reviews
from infra_orch.hosts.reviews import reviews
from infra_orch.project import stack_and_unit
from infra_orch.report.style import safe
from infra_orch.run.outcome import Outcome, Status

_SHOWN = 5


@dataclass(frozen=True)
class Approvals:
    """What people have said to what was *shown*. *previewed*: what a preview has shown before, as its bundle says; for
    that reviews at the host count, too. *beyond*: what goes beyond it, by node: for that somebody has to say yes, even
    where nothing else has to be approved.
    """

    shown: Shown
    console: Console
    previewed: bool = False
    beyond: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def required(self) -> int:
        """How many have to approve what is done; in the sandbox nobody has to."""
        settings = self.shown.run.context.stack.folder.project.settings
        return 0 if self.shown.run.sandbox else settings.require_approvals

    @cached_property
    def _books(self) -> dict[str, Book | None]:
        return {one.part.name: one.run.book(self.console) for one in self.shown.chosen}

    @cached_property
    def _asked(self) -> dict[str, Said | None]:
        """What was said of every unit that is to be done, by node, where that has to be known."""
        return {
            node: self.of(node, outcome)
            for node, outcome in self.shown.outcomes.items()
            if outcome.status is Status.PLANNED
            and not outcome.is_task
            and (self.required or node in self.beyond or outcome.denials)
        }

    @cached_property
    def _reviews(self) -> Reviews | None:
        """Who approved the pull request that the commit came by, where that counts; None where nobody can tell."""
        run = self.shown.run
        if not (self.previewed and run.repository and run.context.stack.folder.project.settings.host_approvals):
            return None
        try:
            place = find_place(remote=run.repository.remote())
            about = place.number if place.number is not None else place.commit or run.repository.head() or ""
            return reviews(place.host(), about)
        except UserError as error:
            self.console.warn(f"approvals at the host do not count: {safe(error.summary, keep_newlines=False)}")
            return None

    def _reviewed(self, node: str) -> tuple[str, ...]:
        """Who approved what a node is to do at the host."""
        found = self._reviews if self.required and node not in self.beyond else None
        return found.approvers if found and found.code_owners is not False else ()

    def of(self, node: str, outcome: Outcome) -> Said | None:
        """What was said of what a node is to do; None where git keeps nothing that anybody said."""
        stack, unit = stack_and_unit(node)
        only = self.shown.chosen[0].part.name
        book = self._books.get(stack or only)
        return book.said(unit, Plan(outcome, self.shown.run.at), denied=bool(outcome.denials)) if book else None

    def refuse_unapproved(self) -> None:
        """Refuse to go on where something was not approved by as many as have to. Raises RefusedError."""
        lacking = {node: said for node, said in self._asked.items() if not self._suffices(node, said)}
        if not lacking:
            return
        lines = [f"{node}: {why}" for node, said in lacking.items() for why in self._why(node, said)]
        more = f"\n(and {len(lines) - _SHOWN} more)" if len(lines) > _SHOWN else ""
        what = (
            "this goes beyond what was previewed, and is not approved"
            if self.beyond
            else "this is not approved, and has to be"
        )
        runs = " ".join(one.run.context.run_id for one in self.shown.chosen if self._concerns(one.part.name, lacking))
        raise RefusedError(
            f"{what}:\n" + "\n".join(lines[:_SHOWN]) + more,
            hint=f"infra-orch approve {runs} says yes to it; commit and push what that records, and run this again",
        )

    def allow(self, node: str, outcome: Outcome) -> bool:
        """Whether as many approved what a node is to do as have to, where any have to."""
        said = self.of(node, outcome)
        return said is not None and len(said.counting(self.required)) >= self.required

    def used(self) -> dict[str, list[Yes]]:
        """The approvals that what was shown rests on, by stack."""
        found: dict[str, dict[Yes, None]] = {}
        for node, said in self._asked.items():
            counting = [one.yes for one in said.counting(self.required).values()] if said else []
            if len(counting) < self.required and self._reviews:
                pull, at = f"pull request {self._reviews.pull_request}", self.shown.run.at
                counting = [Yes(pull, login, at) for login in self._reviewed(node)]
            stack = stack_and_unit(node)[0] or self.shown.chosen[0].part.name
            found.setdefault(stack, {}).update(dict.fromkeys(counting))
        return {stack: list(approvals) for stack, approvals in found.items() if approvals}

    def _suffices(self, node: str, said: Said | None) -> bool:
        needed = max(self.required, 1 if node in self.beyond else 0)
        recorded = said.counting(self.required) if said else ()
        # Not added up: nobody knows who is the same in git and at the host.
        return len(recorded) >= needed or len(self._reviewed(node)) >= needed

    def _why(self, node: str, said: Said | None) -> Iterator[str]:
        if node in self.beyond:
            yield from self.beyond[node]
        if said is None:
            yield "nobody has approved it, and without a commit in git nobody can"
            return
        others = [*said.counting(self.required)] or self._reviewed(node)
        if self._reviews and self._reviews.code_owners is False:
            yield f"pull request {self._reviews.pull_request} is not approved by all code owners"
        elif others:
            yield f"{', '.join(others)} approved it, and {self.required} people have to"
        elif said.own and self.required:
            yield f"{', '.join(sorted(said.own))} approved it, and changed it: somebody else has to"
        elif said.beyond:
            yield from said.beyond
        elif node not in self.beyond:
            yield "nobody has approved it"

    def _concerns(self, stack: str, nodes: Mapping[str, Said | None]) -> bool:
        return any((stack_and_unit(node)[0] or stack) == stack for node in nodes)
