"""Whether the states of a stack can be reached at all, asked before anything is planned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from infra_orch.commands.opening import Opened
from infra_orch.engine.aws_credentials import CredentialsError
from infra_orch.engine.backend import read_backend
from infra_orch.engine.engine import Engine
from infra_orch.engine.s3_backend import arguments_by, check_bucket
from infra_orch.errors import UnavailableError
from infra_orch.run.credentials import Wallet
from infra_orch.spec.credentials import Identity


def check_backends(opened: Opened, engine: Engine, wallet: Wallet, names: Collection[str]) -> None:
    """Raise UnavailableError where the engine or the S3 bucket of a stack cannot do what its backend asks for.

    Every bucket is asked once by each who works with it, whatever the number of units; with credentials of their own
    these are the units *names*. Stacks of other backends are not looked at.
    """
    buckets: dict[tuple[str, Identity | None], Mapping[str, Any]] = {}
    for unit in opened.rendered.units.values():
        if unit.backend != "s3":
            continue
        text = (opened.folder.rendered / unit.name / "backend.tf").read_text(encoding="utf-8")
        arguments = read_backend(text, opened.folder.project.cache / "modules").arguments
        if "use_lockfile" in arguments and not engine.supports_s3_lock_file:
            raise UnavailableError(
                f"{engine} cannot lock S3 states by a lock file (unit {unit.name}): that needs 1.10",
                hint='upgrade it, or lock by a table: Backend("s3", …, dynamodb_table="…")',
            )
        identity = unit.credentials.plan if unit.credentials else None
        if identity is not None and unit.name not in names:
            continue
        place = {name: value for name, value in arguments.items() if name != "key"}
        buckets.setdefault((repr(sorted(place.items(), key=lambda item: item[0])), identity), arguments)
    for (_, identity), arguments in buckets.items():
        try:
            own = arguments_by(wallet.keys(identity) if identity else None, arguments)
            check_bucket(own, opened.folder.name)
        except CredentialsError:
            continue  # a failure of those units alone, which they tell of
