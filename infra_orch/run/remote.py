"""Whether the outputs that a unit passes through are what its remote module, now that init fetched it, says of them.

A local module is read before anything runs. Of a remote one the spec says what it has, and it may be wrong: some
versions of Terraform (1.11 is one, 1.15 is not) pass an output of a module that is marked as sensitive on through a
root output that is not, without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from infra_orch.errors import SpecError, nearest
from infra_orch.module.declaration import Output
from infra_orch.module.read import read_module
from infra_orch.render.index import RenderedUnit
from infra_orch.run.terraform import StepError


def check_remote_outputs(unit: RenderedUnit, folder: Path, cache: Path | None) -> None:
    """Raise StepError where *unit* passes through an output that its module does not have, or marks as sensitive.

    *folder* is the unit's initialised work folder. A module that cannot be read here is left to Terraform.
    """
    outputs = _declared(unit, folder, cache)
    if outputs is None:
        return
    for name, sensitive in unit.outputs.items():
        if name not in outputs:
            hint = nearest(name, outputs) or f"its outputs: {', '.join(sorted(outputs)) or 'none'}"
            raise StepError(f'the module of {unit.name} has no output "{name}"', hint=hint, kind="module")
        if outputs[name].sensitive and not sensitive:
            raise StepError(
                f'the module of {unit.name} marks the output "{name}" as sensitive, and the spec does not',
                hint=f'stack.unit("{unit.name}", …, sensitive_outputs=["{name}"])',
                kind="module",
            )


def _declared(unit: RenderedUnit, folder: Path, cache: Path | None) -> Mapping[str, Output] | None:
    """The outputs of a unit's module as init put it into *folder*."""
    try:
        listed = json.loads((folder / ".terraform" / "modules" / "modules.json").read_bytes())["Modules"]
        place = next(folder / entry["Dir"] for entry in listed if entry["Key"] == unit.name)
        return read_module(place, shown_as=unit.module, cache=cache).outputs
    except (OSError, ValueError, KeyError, TypeError, StopIteration, SpecError):
        return None
