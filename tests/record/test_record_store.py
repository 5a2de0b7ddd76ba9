"""What a commit of ours says."""

from __future__ import annotations

from infra_orch.record.store import commit_message, total_words, words
from infra_orch.run.outcome import Counts, Failure, Outcome, Status

APPLIED = Outcome("web", Status.APPLIED, Counts(create=3, update=1))
FAILED = Outcome("db", Status.FAILED, Counts(delete=1), failure=Failure("it broke"))
BLOCKED = Outcome("api", Status.BLOCKED, failure=Failure("db failed"))
UNCHANGED = Outcome("net", Status.UNCHANGED)


def outcomes(*found: Outcome) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in found}


def test_a_message_says_what_changed_in_all_and_for_each_unit() -> None:
    assert commit_message(outcomes(APPLIED, FAILED, BLOCKED, UNCHANGED), "apply prod", ["r1"]) == (
        "apply prod: 3 created, 1 updated, 1 destroyed (1 failed, 1 blocked)\n"
        "\n"
        "web: 3 created, 1 updated\n"
        "db: failed: it broke (1 destroyed)\n"
        "api: blocked: db failed\n"
        "\n"
        "Infra-Orch-Run: r1\n"
    )


def test_a_run_of_tasks_alone_says_how_many() -> None:
    tasks = outcomes(*(Outcome(name, Status.APPLIED, is_task=True) for name in "ab"))
    assert total_words(tasks) == "2 tasks done"


def test_a_change_of_outputs_alone_is_one() -> None:
    assert total_words(outcomes(Outcome("a", Status.APPLIED, outputs_changed=("x",)))) == "outputs changed"


def test_a_failure_in_which_nothing_was_done_says_so() -> None:
    assert total_words(outcomes(Outcome("a", Status.FAILED))) == "nothing changed (1 failed)"


def test_what_others_said_stays_on_its_line_and_forges_nothing() -> None:
    hostile = Outcome("a", Status.FAILED, failure=Failure("x\n\nInfra-Orch-Run: forged\u202e\033[2J\0"))
    message = commit_message(outcomes(hostile), "apply prod", ["r1"])
    assert words(hostile).count("\n") == 0
    assert message.splitlines()[-1] == "Infra-Orch-Run: r1"
    assert [line for line in message.splitlines() if line.startswith("Infra-Orch-Run")] == ["Infra-Orch-Run: r1"]
    assert all(char.isprintable() or char == "\n" for char in message)
