"""Which Terraform commands get their providers from the gateway, and what is to be done where one of them failed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.files import append_private
from infra_orch.gateway.client import Attached
from infra_orch.run.context import RunContext

JOURNAL = "gateway.jsonl"
"""What the gateway saw created, in the run's folder."""

_CONFIGURING = frozenset({"plan", "apply"})
_PLAN = frozenset({"plan", "validate"})
_OF_A_PLAN = frozenset({"show", "apply"})
_REPEATABLE = frozenset({"plan", "validate", "show"})
_LACKS = re.compile(
    r"does not support (?:resource type|data source|ephemeral resource|function)|[Nn]o schema (?:is )?available"
    r"|schema (?:is )?(?:not available|missing)|[Mm]issing (?:resource |provider )?schema"
    r"|Invalid (?:resource type|data source|ephemeral resource)|Unsupported (?:resource type|data source)"
    r"|[Uu]nknown (?:provider )?function|[Ff]unction not found in provider|does not (?:have|contain|define) a function"
    r"|no (?:resource (?:type |identity )?)?schema (?:found )?for|no resource type schema"
    r"|schema version \d+ for .{1,500} in state does not match version \d+ from the provider"
    r"|failed to (?:decode|encode).{0,80}schema",
)
"""What Terraform says where the gateway left something out of a schema that it needs, or the user has misspelt it."""


@dataclass
class Served:
    """A command's providers: *environment* names those that run already. *whole*: nothing of them was left out."""

    environment: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True
    attached: Attached | None = None

    def started(self, pid: int) -> None:
        """Say which process the command is."""
        if self.attached:
            self.attached.started(pid)


@contextlib.contextmanager
def served(
    context: RunContext,
    node: str,
    step: str,
    argv: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    *,
    changes_world: bool,
) -> Iterator[Served]:
    """Within it, the gateway serves a command's providers. What those said that ended meanwhile goes into its log."""
    gateway = context.gateway
    name = argv[len(context.engine.program)] if len(argv) > len(context.engine.program) else ""
    if gateway is None or name not in _PLAN | _OF_A_PLAN:
        yield Served()
        return
    plan = argv[-1] if name in _OF_A_PLAN and not argv[-1].startswith("-") else None
    # What an apply needs is known by the plan; without that, nothing may be left out: it is never done twice.
    whole = cwd in context.whole_schemas or (name == "apply" and not (cwd / f"{plan}.json").is_file())
    about = {
        "node": node,
        "step": step,
        "kind": name if name in _CONFIGURING else "",
        "plan": plan,
        "journal": str(context.run_folder / JOURNAL) if changes_world else None,
        "only_schemas": name == "show",
        "whole": whole,
    }
    with gateway.attached(cwd, environment, **about) as attached:
        yield Served(attached.environment, whole or not attached.environment, attached)
    for lost in attached.lost:
        words = f"\nThe provider {lost['provider']} ended ({lost['end']}). The last that it said:\n{lost['words']}\n"
        with contextlib.suppress(OSError):
            append_private(context.log(node, step), words)


def wants_more(context: RunContext, argv: Sequence[str], cwd: Path, what: Served, text: str) -> bool:
    """Whether a command that failed is to run again with whole schemas; from now on all in its folder do."""
    if what.whole or argv[len(context.engine.program)] not in _REPEATABLE or not _LACKS.search(text):
        return False
    context.whole_schemas.add(cwd)
    return True
