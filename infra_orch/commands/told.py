"""What there is to post of a preview, made without any host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from infra_orch.errors import ExitCode
from infra_orch.hosts.host import Annotation

Text: TypeAlias = Callable[[int, str, str], str]
"""Makes the comment, which ends with its mark, given how many characters it may have, the commit that it is of, and the
address of more.
"""


@dataclass(frozen=True)
class Told:
    """What a preview came to: its *verdict* in one line, its exit code, and the comment."""

    verdict: str
    code: int
    text: Text
    annotations: Sequence[Annotation]
    destroys: bool
    changes: bool

    @property
    def failed(self) -> bool:
        """Whether it is not what a change should be merged with."""
        return self.code not in (ExitCode.DONE, ExitCode.CHANGES)
