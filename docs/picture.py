"""Draw docs/at-work.svg, the picture in the README, from a real run: python docs/picture.py

It runs the commands below in a temporary copy of the stack that `make demo --builtin` shows, and draws what they print.
"""
# ruff: noqa: INP001  a program, not a package

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "at-work.svg"
COMMANDS = (
    "infra-orch plan prod",
    "infra-orch apply prod --auto-approve | tail -n 1",
    "git log --oneline",
)
WIDTH = 80
_COLOURS = ("18181f", "ec7070", "7ec878", "e2be68", "78aaec", "c88cdc", "60c4cc", "d6dae0")
_RGB = [(int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)) for text in _COLOURS]
DARK = TerminalTheme(_RGB[0], _RGB[-1], _RGB)
# Rich's own frame, less the fonts that it would have fetched from elsewhere.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>infra-orch plans and applies a stack, and records it in git</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ display: none }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> int:
    """Run the commands and write the picture. Raises CalledProcessError where one fails."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123 - ends with the program
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "infra"
        for part in ("modules", "stacks"):
            shutil.copytree(ROOT / ".ci" / "demo" / part, folder / part)
        env = _environment(Path(name))
        for words in (
            ["-c", "init.defaultBranch=main", "init", "--quiet"],
            ["add", "--all"],
            ["commit", "--quiet", "--message", "The stack prod"],
        ):
            subprocess.run(["git", *words], cwd=folder, env=env, check=True)
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            argv = ["sh", "-c", f"exec 2>&1; {command}"]
            done = subprocess.run(argv, cwd=folder, env=env, check=True, stdout=subprocess.PIPE)
            shown = done.stdout.decode().strip("\n")
            if name in shown:
                raise SystemExit(f"the picture would show a path of this machine: {shown}")
            console.print(Text.from_ansi(shown), highlight=False)
            console.print()
    text = console.export_svg(title="infra-orch", theme=DARK, code_format=FRAME, unique_id="infra-orch")
    PICTURE.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
    return 0


def _environment(home: Path) -> dict[str, str]:
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _WHO.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INFRA_ORCH_", "TF_", "GIT_"))}
    programs = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return (
        kept | who | {"HOME": str(home), "PATH": programs, "FORCE_COLOR": "1", "GIT_CONFIG_NOSYSTEM": "1"} | _NO_PAGER
    )


_WHO = {"NAME": "Ada", "EMAIL": "ada@example.com"}
_NO_PAGER = {"GIT_PAGER": "cat", "XDG_CACHE_HOME": ""}


if __name__ == "__main__":
    sys.exit(main())
