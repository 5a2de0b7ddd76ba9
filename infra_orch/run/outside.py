"""What units of a run wait for that is no part of it, and what takes that in: no run that leaves it out can do them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from infra_orch.project import beside, stack_and_unit
from infra_orch.run.context import RunContext


def upstream_outside(node: str, unknown: Sequence[str], nodes: Collection[str]) -> list[str]:
    """Return the units whose outputs *node* waits for, given its *unknown* inputs (`network.vpc_id`), and that are none
    of the run's *nodes*.
    """
    needs = (beside(node, one.rpartition(".")[0]) for one in unknown)
    return list(dict.fromkeys(need for need in needs if need not in nodes))


def way_in(missing: Iterable[str], nodes: Collection[str], context: RunContext) -> str:
    """Return what takes *missing* units into a run of *nodes*: an option; a command where they are of other stacks."""
    stacks = {stack_and_unit(node)[0] for node in nodes}
    others = sorted({stack_and_unit(name)[0] for name in missing} - stacks)
    if not others:
        return "--with-upstream"
    own = sorted(stack or context.stack.folder.name for stack in stacks)
    return f"infra-orch apply {' '.join([*others, *own])}{' --sandbox' if context.sandbox else ''}"
