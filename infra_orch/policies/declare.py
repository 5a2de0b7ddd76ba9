"""`@policy`: how a file in `policies/` declares what may be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from infra_orch.policies.plan import Change, Plan

Severity: TypeAlias = Literal["deny", "warn"]
Finding: TypeAlias = "str | Change | tuple[Change, str]"
Function: TypeAlias = "Callable[[Plan], Finding | Iterable[Finding] | None]"


@dataclass(frozen=True)
class Policy:
    """A function that is asked about each unit's plan, and what its findings mean."""

    name: str
    severity: Severity
    function: Callable[[Plan], Any]
    about: str

    @property
    def where(self) -> tuple[str, int]:
        """The file and line of the function."""
        code = getattr(self.function, "__code__", None)
        return (code.co_filename, code.co_firstlineno) if code else ("", 0)


def policy(severity: Severity = "deny", *, name: str = "") -> Callable[[Function], Policy]:
    """Declare a function as a policy, in a file in `policies/`.

    The function is asked about each unit's `Plan`, and returns or yields what it finds: a message, a `Change`, or both
    as `(change, "message")`; nothing where all is well. The first line of its docstring tells what it is about. A
    policy that raises is one that says no.

    severity: `"deny"` stops the unit with exit code 77, `"warn"` says so and goes on.
    name: what it is called, where it is not the function's name.

    Raises ValueError for another severity, TypeError where the parentheses are missing.

    Example:
        @policy("deny")
        def databases_stay(plan: Plan) -> Iterator[tuple[Change, str]]:
            '''Nothing destroys a database.'''
            for change in plan.changes:
                if change.type == "aws_db_instance" and change.destroys:
                    yield change, "a database is destroyed"
    """
    given: object = severity
    if callable(given):
        raise TypeError("write @policy() with parentheses")
    if given not in get_args(Severity):
        raise ValueError(f'severity={given!r}: it is "deny" or "warn"')

    def declare(function: Function) -> Policy:
        about = (function.__doc__ or "").strip().partition("\n")[0]
        return Policy(name or getattr(function, "__name__", "policy"), severity, function, about)

    return declare
