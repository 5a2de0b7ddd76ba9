"""Whether what a run is about to do is approved, as far as it has to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from infra_orch.approval.approval import Approval
from infra_orch.approval.book import Book, Said
from infra_orch.approval.effects import Plan
from infra_orch.commands.previewing import Shown
from infra_orch.console import Console
from infra_orch.errors import RefusedError
from infra_orch.project import stack_and_unit
from infra_orch.run.outcome import Outcome, Status

_SHOWN = 5


@dataclass(frozen=True)
class Approvals:
    """What people have said to what was *shown*. *beyond*: what goes beyond a preview that is applied, by node: for
    that somebody has to say yes, even where nothing else has to be approved.
    """

    shown: Shown
    console: Console
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

    def used(self) -> dict[str, list[Approval]]:
        """The approvals that what was shown rests on, by stack."""
        found: dict[str, dict[str, Approval]] = {}
        for node, said in self._asked.items():
            stack = stack_and_unit(node)[0] or self.shown.chosen[0].part.name
            counting = said.counting(self.required).values() if said else ()
            found.setdefault(stack, {}).update({one.id: one for one in counting})
        return {stack: list(approvals.values()) for stack, approvals in found.items() if approvals}

    def _suffices(self, node: str, said: Said | None) -> bool:
        needed = max(self.required, 1 if node in self.beyond else 0)
        return len(said.counting(self.required) if said else ()) >= needed

    def _why(self, node: str, said: Said | None) -> Iterator[str]:
        if node in self.beyond:
            yield from self.beyond[node]
        if said is None:
            yield "nobody has approved it, and without a commit in git nobody can"
            return
        others = said.counting(self.required)
        if others:
            yield f"{', '.join(others)} approved it, and {self.required} people have to"
        elif said.own and self.required:
            yield f"{', '.join(sorted(said.own))} approved it, and changed it: somebody else has to"
        elif said.beyond:
            yield from said.beyond
        elif node not in self.beyond:
            yield "nobody has approved it"

    def _concerns(self, stack: str, nodes: Mapping[str, Said | None]) -> bool:
        return any((stack_and_unit(node)[0] or stack) == stack for node in nodes)
