"""The console: what it does where it cannot write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra_orch.console import Console
from infra_orch.errors import UserError


def test_a_result_that_cannot_be_written_is_an_error_of_one_sentence() -> None:
    with Path("/dev/full").open("w") as full, pytest.raises(UserError) as caught:
        Console(out=full).result("a plan")

    assert caught.value.summary == f"standard output cannot be written: {os.strerror(28)}"


def test_a_reader_that_went_away_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        console = Console(out=out)
        console.result(["a plan"] * 10_000)
        console.result("more")


def test_a_full_disk_under_standard_output_gives_an_exit_code_and_no_traceback(two_units) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "infra_orch", "plan", "dev"],
            cwd=two_units.root,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: standard output cannot be written: {os.strerror(28)}"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_standard_streams_a_run_goes_well(two_units, closed: str) -> None:
    command = f'exec "{sys.executable}" -m infra_orch apply dev --auto-approve {closed}'
    done = subprocess.run(["sh", "-c", command], cwd=two_units.root, capture_output=True, text=True, check=False)

    assert (done.returncode, two_units.git("log", "-1", "--format=%s")) == (0, "apply dev: 5 created"), done.stderr
    (journal,) = two_units.root.glob(".infra-orch/runs/*/journal.jsonl")
    assert all(line.startswith("{") for line in journal.read_text().splitlines())


def test_what_an_encoding_has_no_character_for_is_written_as_its_number(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        console = Console(out=out)
        console.result("web \u2192 database")
        console.document('"\u2192"')
    assert (tmp_path / "out").read_bytes() == b'web \\u2192 database\n"\\u2192"\n'
