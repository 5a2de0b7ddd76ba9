"""Whether the states of a stack can be reached at all, asked before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_orch.commands.opening import Opened
from infra_orch.engine.engine import Engine
from infra_orch.engine.s3_backend import check_bucket, s3_arguments
from infra_orch.errors import UnavailableError


def check_backends(opened: Opened, engine: Engine) -> None:
    """Raise UnavailableError where the engine or the S3 bucket of a stack cannot do what its backend asks for.

    Every bucket is asked once, whatever the number of units. Stacks of other backends are not looked at.
    """
    buckets: dict[str, Mapping[str, Any]] = {}
    for unit in opened.rendered.units.values():
        if unit.backend != "s3":
            continue
        text = (opened.folder.rendered / unit.name / "backend.tf").read_text(encoding="utf-8")
        arguments = s3_arguments(text, opened.folder.project.cache / "modules")
        if "use_lockfile" in arguments and not engine.supports_s3_lock_file:
            raise UnavailableError(
                f"{engine} cannot lock S3 states by a lock file (unit {unit.name}): that needs 1.10",
                hint='upgrade it, or lock by a table: Backend("s3", …, dynamodb_table="…")',
            )
        place = {name: value for name, value in arguments.items() if name != "key"}
        buckets.setdefault(repr(sorted(place.items(), key=lambda item: item[0])), arguments)
    for arguments in buckets.values():
        check_bucket(arguments)
