"""The environment that Terraform runs in: the user's own, less what would silently change what a plan means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra_orch.errors import UsageError

REFUSED: tuple[tuple[str, str], ...] = (
    # Options that no command line shows: `-lock=false` or `-target` in here would undo what a plan was checked for.
    (r"TF_CLI_ARGS(_.*)?", "adds options to every Terraform command"),
    # A workspace has a state of its own: units would be planned against another state than the one they have.
    (r"TF_WORKSPACE", "selects another workspace, and with it another state"),
    # Providers that run already, in place of the ones that the dependency lock file names.
    (r"TF_REATTACH_PROVIDERS", "replaces the providers that the lock file names"),
)
"""Variables that stop a run: dropping them in silence would do something else than the user asked for."""

REMOVED: tuple[tuple[str, str], ...] = (
    # A rendered unit's variables are its own `env()` inputs; a stray value of the same name would take their place.
    (r"TF_VAR_.*", 'inputs come from the stack spec; env("NAME") reads a value from the environment'),
    # Would make Terraform ask questions that nobody can answer.
    (r"TF_INPUT", "nothing is asked for in a run"),
    # Units would share one data folder, and overwrite each other's providers and backend.
    (r"TF_DATA_DIR", "every unit has a data folder of its own"),
    # Not safe under parallel init (hashicorp/terraform#31964); the provider cache takes its place.
    (r"TF_PLUGIN_CACHE_DIR", "providers are cached by infra-orch"),
    # Lets init record a provider's hash without the registry's word for it.
    (r"TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE", "lock files stay whole"),
    # Traces hold requests and answers in full, with every secret in them, and go to where output is kept.
    (r"TF_LOG(_.*)?", "Terraform's traces hold secrets, and its output is kept"),
    # Writes state later than Terraform would by itself, so that a crash loses more of it.
    (r"TF_STATE_PERSIST_INTERVAL", "state is written as early as Terraform can"),
    # Lets every user of the machine talk to the provider, which holds the credentials.
    (r"TF_DISABLE_PLUGIN_TLS", "Terraform and its providers talk in private"),
)
"""Variables that are taken out, and why: nothing is lost without them, and a warning says so."""

OWN_SECRETS = frozenset({"INFRA_ORCH_BUNDLE_KEY"})
"""Variables of ours that no provider and no program of a module is to see."""

SET: Mapping[str, str] = {
    # Leaves "now run terraform apply" out of the texts.
    "TF_IN_AUTOMATION": "1",
    # Asks no server of HashiCorp's whether there is a newer version.
    "CHECKPOINT_DISABLE": "1",
}


@dataclass(frozen=True)
class Environment:
    """The variables of a Terraform process, and one warning for each kind of variable that was taken out."""

    values: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def terraform_environment(base: Mapping[str, str], *, extra: Mapping[str, str] | None = None) -> Environment:
    """Make Terraform's environment from the user's (*base*); *extra* is set last and is not checked.

    AWS_* and everything else that is not named in REFUSED and REMOVED is kept.
    Raises UsageError for a variable of REFUSED that is set; an empty one counts as not set, as it does for Terraform.
    """
    values: dict[str, str] = {}
    taken: dict[str, list[str]] = {}
    for name, value in sorted(base.items()):
        if refusal := _reason(name, REFUSED):
            if value and not (name == "TF_WORKSPACE" and value == "default"):
                raise UsageError(f"{name} is set, which {refusal}", hint=f"unset {name}")
        elif reason := _reason(name, REMOVED):
            if value:
                taken.setdefault(reason, []).append(name)
        elif name not in OWN_SECRETS:
            values[name] = value
    warnings = tuple(f"{', '.join(names)} ignored: {reason}" for reason, names in taken.items())
    return Environment({**values, **SET, **(extra or {})}, warnings)


def _reason(name: str, table: tuple[tuple[str, str], ...]) -> str:
    return next((reason for pattern, reason in table if re.fullmatch(pattern, name)), "")
