"""At which pace a run goes about its work, by its flags, the settings, and what is known of earlier runs."""

from __future__ import annotations

from infra_orch.commands.options import RunOptions
from infra_orch.commands.session import Session
from infra_orch.record.store import Records
from infra_orch.run.pace import Pace


def pace_of(run: Session, options: RunOptions, records: Records) -> Pace:
    """Return the pace of *run*. Units take as long as they did in their last apply, as far as *records* have it.

    Raises UserError where a record cannot be read.
    """
    durations = {name: record.get("duration_s") for name, record in records.units().items()}
    return Pace(
        workers=run.context.stack.folder.project.settings.workers,
        max_failures=options.max_failures,
        seconds={name: float(taken) for name, taken in durations.items() if isinstance(taken, (int, float))},
    )
