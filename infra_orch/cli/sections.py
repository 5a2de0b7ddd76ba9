"""The help of the program lists its commands by what they are for, as docs/commands.md does."""

from __future__ import annotations

from typing import Any

import typer.core

SECTIONS: dict[str, tuple[str, ...]] = {
    "Write": ("new", "init", "validate", "render", "graph", "bootstrap", "completion", "doctor", "sandbox"),
    "Change": ("plan", "apply", "destroy", "reconcile", "rollback"),
    "Review": ("preview", "outdated", "approve"),
    "Look": ("list", "output", "history", "show", "timings", "explain", "drift"),
    "Mend": ("recover", "unlock", "gateway", "tf"),
}


class BySection(typer.core.TyperGroup):
    """The commands of the program, which its help lists in SECTIONS."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in their order; those that are in no section come last."""
        order = [name for names in SECTIONS.values() for name in names]
        return sorted(super().list_commands(ctx), key=lambda name: order.index(name) if name in order else len(order))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a list for each section, all as wide as one."""
        found = {name: self.commands[name] for name in self.list_commands(ctx) if not self.commands[name].hidden}
        width = max(map(len, found))
        room = formatter.width - 6 - width  # as the library counts it
        placed = {name for names in SECTIONS.values() for name in names}
        sections = {**SECTIONS, "Other": tuple(name for name in found if name not in placed)}
        for title, names in sections.items():
            rows = [(f"{name:<{width}}", found[name].get_short_help_str(room)) for name in names if name in found]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
