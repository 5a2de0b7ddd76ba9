"""`infra-orch timings RUN`: where the time of a run went."""

from __future__ import annotations

import json
from pathlib import Path

from infra_orch.commands.finding import find_run
from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.files import write_asked_for
from infra_orch.project import Project
from infra_orch.report.timings import timing_lines, timings_json, trace_text
from infra_orch.run.journal import NAME as JOURNAL
from infra_orch.run.timings import read_timings


def timings(project: Project, run: str, console: Console, *, trace: Path | None) -> int:
    """Print where the time of a run went, or write it as a *trace* for Perfetto.

    Raises UsageError where there is no such run or several, UserError where its journal is not on this machine, or
    the trace cannot be written.
    """
    if run == "last":
        # Also `explain` and `output` have a journal; they are no runs whose time anybody asks for.
        run, _ = find_run(project, run)
    run_id, journal = find_run(project, run, file=JOURNAL)
    if journal.name != JOURNAL:
        raise UserError(f"the timings of run {run_id} are not on this machine", hint="they stay where the run was made")
    found = read_timings(journal)
    if trace:
        write_asked_for(trace, trace_text(found))
        console.note(f"written to {trace}; https://ui.perfetto.dev opens it")
    if console.json:
        console.document(json.dumps(timings_json(found), indent=2, ensure_ascii=False))
    elif not trace:
        console.result(timing_lines(found, console.style))
    return 0
