"""Ask the policies of a project about a plan."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra_orch.policies.declare import Policy
from infra_orch.policies.plan import Change, Plan
from infra_orch.policies.rego import Rego
from infra_orch.policies.verdict import Verdict


@dataclass(frozen=True)
class Policies:
    """Policies that are asked, one after the other: Python functions, and then those in *rego*.

    *shown* turns the path of a file into what the user knows.
    """

    all: tuple[Policy, ...] = ()
    rego: Rego | None = None
    shown: Callable[[str], str] = str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def judge(self, plan: Plan) -> list[Verdict]:
        """Return what the policies find. One that cannot be asked says no."""
        if not (self.all or self.rego) or not plan.changes:
            return []
        # What they print is for people, and what programs read of us is on stdout.
        with self._lock, contextlib.redirect_stdout(sys.stderr):
            found = [verdict for policy in self.all for verdict in self._of(policy, plan)]
        return [*found, *(self.rego.judge(plan) if self.rego else ())]

    def _of(self, policy: Policy, plan: Plan) -> Iterator[Verdict]:
        file, line = policy.where
        told: Mapping[str, Any] = {"policy": policy.name, "unit": plan.unit, "where": f"{self.shown(file)}:{line}"}
        try:
            for address, message in _findings(policy.function(plan)):
                said = message or policy.about or "it is not allowed"
                yield Verdict(severity=policy.severity, address=address, message=said, **told)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a check that cannot be made is not passed
            words = f"it could not be asked: {type(error).__name__}: {error}"
            yield Verdict(severity="deny", address="", message=words, **told)


def _findings(found: Any) -> Iterator[tuple[str, str]]:
    """The addresses and messages in what a policy returned."""
    if found is None:
        return
    if isinstance(found, str):
        yield "", found
    elif isinstance(found, Change):
        yield found.address, ""
    elif isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Change) and isinstance(found[1], str):
        yield found[0].address, found[1]
    elif isinstance(found, (bool, int, float, Mapping)):
        raise TypeError(f"{found!r} is no finding: a message, a change, or (change, message)")
    else:
        for one in found:
            yield from _findings(one)
