"""What `doctor --online` asks: whether the S3 backends of rendered stacks answer, and what time it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from infra_orch.commands.backends import check_backends
from infra_orch.commands.checks import rendered_stacks
from infra_orch.commands.credentials import wallet_for
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.engine.backend import read_backend
from infra_orch.engine.engine import Engine
from infra_orch.engine.s3_backend import server_time
from infra_orch.errors import UserError
from infra_orch.process import Supervisor
from infra_orch.project import Project
from infra_orch.redact import Redactor
from infra_orch.render.index import RenderedStack
from infra_orch.report.doctor import Finding, error, ok, warning

_AWS_REFUSES = 300.0
_NOTICEABLE = 30.0
"""Seconds: AWS refuses what is signed five minutes off."""


def check_online(project: Project, engine: Engine | None) -> Iterator[Finding]:
    """Ask each bucket once, with the credentials of a plan, and compare the clocks."""
    asked: set[str] = set()
    others: set[str] = set()
    first: Mapping[str, Any] | None = None
    for stack in rendered_stacks(project):
        others |= {unit.backend for unit in stack.units.values() if unit.backend not in ("s3", "local")}
        try:
            places = _places(stack)
        except (UserError, OSError) as wrong:
            mend = f"infra-orch render {stack.folder.name}"
            yield error("backend", f"{stack.folder.name}: its backends cannot be read: {wrong}", mend)
            continue
        if engine is None or places.keys() <= asked:
            continue
        asked |= places.keys()
        first = first or next(iter(places.values()))
        yield _backend(stack, engine, sorted({str(arguments.get("bucket")) for arguments in places.values()}))
    if engine is None:
        yield warning("backend", "not asked, as there is no engine", "see above")
    for backend in sorted(others):
        yield ok("backend", f"{backend}: only Terraform asks that one")
    if not asked and not others and engine:
        yield ok("backend", "nothing that is rendered keeps its states away from this machine")
    if first:
        yield check_clock(server_time(first), datetime.now(UTC))


def _places(stack: RenderedStack) -> dict[str, Mapping[str, Any]]:
    """The S3 backends of a stack by what tells them apart: where they are, and who asks."""
    found = {}
    for unit in stack.units.values():
        if unit.backend == "s3":
            text = (stack.folder.rendered / unit.name / "backend.tf").read_text(encoding="utf-8")
            arguments = read_backend(text, stack.folder.project.cache / "modules").arguments
            who = unit.credentials.plan if unit.credentials else None
            place = sorted((name, repr(value)) for name, value in arguments.items() if name != "key")
            found[repr((place, who))] = arguments
    return found


def _backend(stack: RenderedStack, engine: Engine, buckets: list[str]) -> Finding:
    opened, options = Opened(stack, {}, {}), RunOptions()
    redactor = Redactor(stack.folder.project.settings.redact)
    redactor.add_environment(os.environ)
    try:
        wallet = wallet_for(opened, "doctor", options, redactor, Supervisor())
        check_backends(opened, engine, wallet, stack.units)
    except UserError as wrong:
        return error("backend", redactor.text(f"{stack.folder.name}: {wrong.summary}"), wrong.hint)
    return ok("backend", f"S3: {', '.join(buckets)} (stack {stack.folder.name})")


def check_clock(there: datetime | None, here: datetime) -> Finding:
    """Compare the time of a server with that of this machine; None: the server did not say it."""
    if there is None:
        return warning("clock", "the backend did not say what time it is", "date -u")
    apart = (here - there).total_seconds()
    if abs(apart) <= _NOTICEABLE:
        return ok("clock", "as the backend's")
    what = f"this machine's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the backend's"
    mend = "set the clock: timedatectl set-ntp true"
    if abs(apart) >= _AWS_REFUSES:
        return error("clock", f"{what}: AWS refuses what is signed so", mend)
    return warning("clock", what, mend)
