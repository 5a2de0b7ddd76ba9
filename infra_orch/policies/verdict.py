"""What a policy says of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from infra_orch.policies.declare import Severity


@dataclass(frozen=True)
class Verdict:
    """What a policy says of a plan: of the resource at *address*, or of the whole unit ("").

    *where* is the policy's file and line.
    """

    policy: str
    severity: Severity
    unit: str
    address: str
    message: str
    where: str

    def __str__(self) -> str:
        of = f"{self.address}: " if self.address else ""
        return f"policy {self.policy}: {of}{self.message}"
