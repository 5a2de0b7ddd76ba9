"""The command line as its parser knows it: whether words are a command, without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra_orch.cli.app import program


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the command line, with the words that call it."""
    for name, command in (group or program()).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def parses(words: list[str]) -> None:
    """Parse a command line down to its last command, as the program would, and run nothing."""
    command: Any = program()
    context = None
    while True:
        context = command.make_context("infra-orch", list(words), parent=context)
        if not hasattr(command, "commands"):
            return
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


def variables() -> set[str]:
    """The variables that stand for an option of any command."""
    root = program()
    all_commands = [root, *(command for _, command in commands())]
    return {option.envvar for command in all_commands for option in command.params if isinstance(option.envvar, str)}
