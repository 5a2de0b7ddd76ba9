"""Branches, and what their environments are called: nothing here knows of Terraform."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LONGEST = 32
_WHOLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/._#+@-]*")
_DIGEST = 6


@dataclass(frozen=True)
class Branch:
    """A branch that has an environment of its own. *settings* is what the application is told there."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)


def environment_name(branch: str) -> str:
    """Return what the environment of *branch* is called: `feature/Cart_2` becomes `feature-cart-2`.

    Names are at most 32 characters; of a longer one the end gives way to a digest of the whole, so that two long names
    that begin alike stay apart. Raises ValueError where *branch* is no whole name of a branch.
    """
    if not _WHOLE.fullmatch(branch):
        raise ValueError(f"{branch!r} is not the name of a branch: letters, digits and / . _ # + @ - make one")
    name = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(branch.encode()).hexdigest()[:_DIGEST]
    return f"{name[: LONGEST - _DIGEST - 1].rstrip('-')}-{digest}"


def environments(branches: Iterable[Branch]) -> dict[str, Branch]:
    """Return the branches by the names of their environments, in their order.

    Raises ValueError where two would share an environment, as `feature/cart` and `feature-cart` would.
    """
    found: dict[str, Branch] = {}
    for branch in branches:
        name = environment_name(branch.name)
        if name in found:
            raise ValueError(
                f"the branches {found[name].name!r} and {branch.name!r} would share the environment {name!r}: "
                "rename one of them, or take it out of the list"
            )
        found[name] = branch
    return found
