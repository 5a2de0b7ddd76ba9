"""What a test can be told of a run that failed."""

from __future__ import annotations

from infra_orch.errors import UserError


class RunFailedError(UserError):
    """A plan, an apply or a destroy of a stack under test failed; the message says what of it, and why."""
