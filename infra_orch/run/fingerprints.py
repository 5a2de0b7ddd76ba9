"""The fingerprint of a unit in a run: that of its files, with what the run gives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra_orch.fingerprint.fingerprint import Fingerprint, Given, fingerprint_of
from infra_orch.fingerprint.key import key_of
from infra_orch.fingerprint.sources import Sources
from infra_orch.module.files import LOCK_FILE
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import UnitWork, environment_values
from infra_orch.run.values import Upstream


def fingerprint_unit(
    work: UnitWork,
    context: RunContext,
    upstream: str,
    secrets: Mapping[str, str],
    folder: Path | None = None,
    sources: Sources | None = None,
) -> Fingerprint:
    """Return the fingerprint of a unit that is given the text of *upstream* values, and *secrets* by name.

    The dependency lock file is the one of the initialised *folder*, or else the one that is rendered. *sources* are
    the run's, as they are now, or others. Raises OSError where a file cannot be read.
    """
    files = dict(work.files)
    if folder and (lock := folder / LOCK_FILE).is_file():
        files[LOCK_FILE] = lock.read_text(encoding="utf-8")
    if context.redactor.text(upstream) != upstream:
        # Somebody's secret, whatever Terraform knows of it: a digest by itself could be tried out.
        upstream, secrets = "", {**secrets, "": upstream}
    key = key_of(context.stack.folder.project) if secrets else b""
    given = Given(f"{context.engine.name} {context.engine.version}", upstream, secrets, key)
    return fingerprint_of(work.unit, files, sources or context.sources, given)


def fingerprint_as_it_is(work: UnitWork, context: RunContext, upstream: Upstream) -> Fingerprint:
    """Return the fingerprint that the next plan of a unit, given *upstream*, would have; as if all units of the run
    were looked at when the first one is, so that no module is read twice.

    Raises StepError where an environment variable that it reads is not set, OSError where a file cannot be read.
    """
    # Where none lies beside the rendered files, the next plan would be made with the lock file in the work folder.
    folder = None if LOCK_FILE in work.files else context.work / work.unit.name
    secrets = {**environment_values(work.unit, context), **upstream.variables}
    return fingerprint_unit(work, context, upstream.text, secrets, folder, context.sources.at_once)
