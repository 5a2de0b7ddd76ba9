"""Every command, argument, option and variable, as pages made of what the command line itself knows."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markdown_text import cell, code, row

from infra_orch.cli.app import program


@dataclass(frozen=True)
class Command:
    """A command of the command line: the words that call it, and its declaration."""

    words: tuple[str, ...]
    declared: Any

    @property
    def name(self) -> str:
        """As one types it, without the program: `sandbox start`."""
        return " ".join(self.words)

    @property
    def about(self) -> str:
        """What `--help` says it does."""
        return inspect.cleandoc(self.declared.help or "")

    @property
    def examples(self) -> tuple[str, ...]:
        """The command lines below its `--help`."""
        text = inspect.cleandoc(self.declared.epilog or "")
        found = (line.strip().removeprefix("Examples:").removeprefix("Example:").strip() for line in text.splitlines())
        return tuple(line for line in found if line)


def commands(group: Any = None, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield every command of the program, in the order of `--help`; those of a group one by one."""
    of = group or program()
    for name in of.list_commands(None):
        declared = of.commands[name]
        if declared.hidden:
            continue
        if hasattr(declared, "commands"):
            yield from commands(declared, (*words, name))
        else:
            yield Command((*words, name), declared)


def groups() -> Mapping[str, list[Command]]:
    """The commands by their first word, which is what a page is made of."""
    found: dict[str, list[Command]] = {}
    for command in commands():
        found.setdefault(command.words[0], []).append(command)
    return found


def arguments(declared: Any) -> list[Any]:
    """The parameters of a command that go by their place."""
    return [parameter for parameter in declared.params if parameter.param_type_name == "argument"]


def options(declared: Any) -> list[Any]:
    """The parameters of a command that go by a name."""
    return [parameter for parameter in declared.params if parameter.param_type_name == "option"]


def pages(guides: Mapping[str, str]) -> dict[str, str]:
    """Return a page for every command, and one that lists them, by their paths.

    *guides* are links to what is told of a command elsewhere, by its first word.
    """
    made = {f"reference/commands/{name}.md": _page(name, found, guides) for name, found in groups().items()}
    return {"reference/commands/index.md": _index()} | made


def _page(name: str, found: list[Command], guides: Mapping[str, str]) -> str:
    alone = len(found) == 1 and found[0].words == (name,)
    lines = [f"# infra-orch {name}", ""]
    if not alone:
        about = program().commands[name].help or ""
        lines += [inspect.cleandoc(about), ""]
    for command in found:
        lines += [] if alone else [f"## {command.name}", ""]
        lines += _command(command, "##" if alone else "###")
    if name in guides:
        lines += ["## More", "", f"{guides[name]} · [exit codes](../exit-codes.md) · [variables](../variables.md)", ""]
    return "\n".join(lines)


def _command(command: Command, heading: str) -> list[str]:
    declared = command.declared
    usage = " ".join(["infra-orch", *command.words, *_usage(declared)])
    lines = [command.about, "", "```text", usage, "```", ""]
    if command.examples:
        lines += [f"{heading} Example", "", "```sh", *command.examples, "```", ""]
    if arguments(declared):
        lines += [f"{heading} Arguments", "", "| argument | | what it is |", "|---|---|---|"]
        lines += [_argument(parameter) for parameter in arguments(declared)]
        lines += [""]
    if options(declared):
        lines += [f"{heading} Options", "", *_options(options(declared)), ""]
    return lines


def _usage(declared: Any) -> Iterator[str]:
    yield "[OPTIONS]"
    for parameter in arguments(declared):
        name = _metavar(parameter)
        yield name if parameter.required else f"[{name}]"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _argument(parameter: Any) -> str:
    return row(code(_metavar(parameter)), "required" if parameter.required else "optional", cell(parameter.help or ""))


def _options(found: list[Any]) -> list[str]:
    """A table of options, with a column of defaults where one of them has one to tell."""
    with_default = any(_default(parameter) for parameter in found)
    head = ["option", "variable", *(["default"] if with_default else []), "what it does"]
    rows = [_option(parameter) for parameter in found]
    return [row(*head), "|---" * len(head) + "|", *(row(*(c if with_default else (*c[:2], c[3]))) for c in rows)]


def _option(parameter: Any) -> tuple[str, str, str, str]:
    names = ", ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else f" {code(_metavar(parameter))}"
    variable = code(parameter.envvar) if parameter.envvar else ""
    return names + value, variable, _default(parameter), cell(parameter.help or "")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default is None or parameter.default in ((), []):
        return ""
    if parameter.is_flag and isinstance(parameter.default, bool):
        return "on" if parameter.default else ""
    return code(os.fspath(parameter.default) if hasattr(parameter.default, "__fspath__") else str(parameter.default))


def _index() -> str:
    root = program()
    lines = ["# Commands", "", "Every command, with every argument, option and variable, as the program has them.", ""]
    lines += ["| command | what it does |", "|---|---|"]
    for name, found in groups().items():
        for command in found:
            anchor = "" if command.words == (name,) else f"#{'-'.join(command.words)}"
            lines.append(row(f"[{code(command.name)}]({name}.md{anchor})", cell(command.about.splitlines()[0])))
    lines += ["", "## Options of all commands", "", "They come before the command: `infra-orch -C infra plan prod`."]
    lines += [""]
    lines += _options(options(root))
    lines += ["", "`-h` and `--help` show the help of the program, or of a command.", ""]
    return "\n".join(lines)


def option_variables() -> Mapping[str, list[str]]:
    """The variables that stand for an option, each with the options of the commands that take it."""
    found: dict[str, list[str]] = {}
    root = Command((), program())
    for command in (root, *commands()):
        for parameter in options(command.declared):
            if parameter.envvar:
                found.setdefault(parameter.envvar, []).append(f"{command.name} {parameter.opts[0]}".strip())
    return dict(sorted(found.items()))
