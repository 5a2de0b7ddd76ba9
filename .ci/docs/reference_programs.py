"""Exit codes, and the variables that infra-orch reads, as the program has them."""

from __future__ import annotations

from dataclasses import fields

from markdown_text import cell, code, row
from reference_commands import option_variables

from infra_orch import errors
from infra_orch.errors import ExitCode, UserError
from infra_orch.settings import PREFIX, Allow, Settings

OTHERS = {
    "INFRA_ORCH_BUNDLE_KEY": "the key that [bundles](../bundles.md) are sealed with; `new,old` while it is changed",
    "INFRA_ORCH_TRACEBACK": "`1`: where a defect of infra-orch lies is shown",
    "NO_COLOR": "set: no colours, and plain lines in the place of the live view",
    "FORCE_COLOR": "set: colours also where standard error is no terminal",
    "CI": "set: plain lines in the place of the live view",
}
"""Variables that are neither a setting nor an option."""
_WITHOUT = {"notify"}
"""Settings that have no variable."""


def exit_codes() -> str:
    """The page of the exit codes: what each means, and the errors that end in it."""
    kinds: dict[ExitCode, list[type[UserError]]] = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, UserError):
            kinds.setdefault(kind.exit_code, []).append(kind)
    lines = [
        "# Exit codes",
        "",
        "Those from 64 on are numbered as in BSD's sysexits.h. A failure wins over everything but an interrupt, and 77",
        "means that nothing was done. `tf` exits with Terraform's own code.",
        "",
        "| code | name | what it means |",
        "|---|---|---|",
    ]
    lines += [row(str(int(one)), code(one.name), cell(one.meaning)) for one in ExitCode]
    lines += ["", "## Errors", ""]
    lines += ["What a user can cause is one of these, and is told with the edit or the command that mends it:", ""]
    lines += ["| code | error | what it is |", "|---|---|---|"]
    for one, found in sorted(kinds.items()):
        lines += [row(str(int(one)), code(kind.__name__), cell(kind.__doc__ or "")) for kind in found]
    return "\n".join([*lines, ""])


def variables() -> str:
    """The page of the variables: those of settings, of options, and the rest."""
    lines = [
        "# Variables",
        "",
        "Every setting and every option is a variable, too. A flag wins over its variable, and a variable over the",
        "settings file. An empty one counts as not set. One that begins with `INFRA_ORCH_` and that nothing reads is",
        "warned of.",
        "",
        "## Of settings",
        "",
        "What each is: [settings](../settings.md).",
        "",
        "| variable | setting |",
        "|---|---|",
    ]
    names = [field.name for field in fields(Settings) if field.name not in _WITHOUT | {"allow"}]
    names += [f"allow.{field.name}" for field in fields(Allow)]
    lines += [row(code(f"{PREFIX}{name.upper().replace('.', '_')}"), code(name)) for name in names]
    lines += ["", "## Of options", "", "| variable | option of |", "|---|---|"]
    lines += [row(code(name), ", ".join(code(one) for one in found)) for name, found in option_variables().items()]
    lines += ["", "## Others", "", "| variable | what it does |", "|---|---|"]
    lines += [row(code(name), about) for name, about in OTHERS.items()]
    return "\n".join([*lines, ""])
