"""The README is true: every command in it is typed by a stranger, in order, in a project made as it says."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pages import README, ROOT, Command, blocks
from typed import User, programs_of

NOT_RUN = {
    r"make (demo|test)\b": "tests/test_demo.py goes through the demo, and this is a test",
    r"python3 -m venv |pip install ": "they download packages; the fixture stranger_venv installs the wheel",
    r"infra-orch .*--post\b": "it speaks to GitHub or GitLab; tests/commands/test_preview_post.py and test_drift_post.py have them",
    r"infra-orch reconcile .*--watch\b": "it never ends; tests/commands/test_reconcile.py ends it",
}
"""Why a command of the README is not typed here: a pattern of it, and the reason. tests/docs/test_pages.py parses it."""

COMMIT = "git add --all && git commit --quiet --message work && git push --quiet"
SCENES = {
    r"infra-orch plan dev$": """
        cp -R ../more/. .
        git init --quiet --bare ../origin.git
        git remote add origin ../origin.git
        git add --all && git commit --quiet --message "A project of several stacks"
        git branch -M main && git push --quiet --set-upstream origin main
    """,
    r"infra-orch apply dev --plan ": "infra-orch destroy dev --auto-approve && infra-orch plan dev --out dev.plan",
    r"infra-orch destroy dev --unit ": "infra-orch apply dev --auto-approve",
    r"infra-orch sandbox rehearse ": COMMIT,
    r"infra-orch preview .* --from-rendered": "git push --quiet",
    r"infra-orch rollback ": "infra-orch apply prod --auto-approve",
    r"infra-orch render --all": "echo '# changed' >> modules/service/main.tf",
    r"infra-orch approve ": f"""
        echo 'stack.unit("more", module="service", inputs={{"name": "more"}})' >>stacks/dev/stack.py
        infra-orch render dev
        {COMMIT}
        infra-orch plan dev
    """,
    r"infra-orch reconcile ": "git push --quiet",
}
"""What happened before a command of the README, where it takes that for granted: a pattern of the command, and lines."""

MORE = {
    "stacks/network/stack.py": """
        from infra_orch import Stack

        stack = Stack("network")
        stack.unit("vpc", module="service", inputs={"name": "vpc"}, tags=["base"])
    """,
    "stacks/team/app/stack.py": """
        from infra_orch import Stack

        stack = Stack("app")
        vpc = Stack.reference("network").unit("vpc")
        stack.unit("app", module="service", inputs={"name": "app", "uses": [vpc.outputs.id]}, tags=["base"])
    """,
}
"""The stacks that the README speaks of, besides `dev` and `prod`."""


@dataclass(frozen=True)
class Line:
    """A command of the README, and the section that it stands in."""

    section: str
    command: Command

    @property
    def reason(self) -> str:
        """Why it is not typed; empty where it is."""
        return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, self.command.line)), "")


def lines() -> Iterator[Line]:
    text = README.read_text(encoding="utf-8")
    for block in blocks(README):
        section = re.findall(r"^#+ (.+)$", text[: block.start], re.MULTILINE)[-1]
        if block.kind == "sh":
            yield from (Line(section, command) for command in block.commands)


@pytest.fixture
def user(stranger_venv: Path, tmp_path: Path) -> User:
    """A stranger whom git knows, in a checkout whose stacks need no provider, beside stacks such as the README speaks of."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.com\n", encoding="utf-8")
    checkout = tmp_path / "infra-orch"
    for name in ("modules", "stacks"):
        shutil.copytree(ROOT / ".ci" / "demo" / name, checkout / name)
    for name, text in MORE.items():
        file = tmp_path / "more" / name
        file.parent.mkdir(parents=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
    return User(checkout, home, programs_of(stranger_venv, tmp_path / "programs"))


def with_run(command: Command, user: User) -> Command:
    """The command with a run of this project, where the README names one of its own."""
    runs = sorted(path.stem for path in user.folder.glob("stacks/prod/record/runs/*.json"))
    return Command(re.sub(r"\b20\d{6}T\d{4}\b", runs[0], command.line) if runs else command.line)


def settle(user: User, script: str) -> None:
    for line in script.split("\n"):
        if line.strip():
            typed = user.type(Command(line.strip()), [])
            assert typed.code == 0, "\n".join([line, *typed.lines])


def test_every_command_of_the_readme_does_what_it_says(user: User) -> None:
    wrong: list[str] = []
    for line in lines():
        if line.reason:
            continue
        for pattern, script in SCENES.items():
            if re.match(pattern, line.command.typed):
                settle(user, script)
        typed = user.type(with_run(line.command, user), ["yes"] * 3)
        if typed.code != line.command.code:
            wrong.append("\n".join([f"{line.section}: {line.command.line}: {typed.code}", *typed.lines]))
    assert wrong == [], "\n\n".join(wrong)


def test_what_is_not_typed_is_still_there() -> None:
    assert {reason for line in lines() if (reason := line.reason)} == set(NOT_RUN.values())
