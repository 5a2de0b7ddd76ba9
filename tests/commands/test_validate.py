"""`infra-orch validate`: everything that is wrong, in one go, and nothing else happens."""

from __future__ import annotations


def test_a_right_stack_is_said_to_be_and_nothing_is_written(two_units) -> None:
    before = two_units.git("status", "--porcelain", "--ignored")
    done = two_units.run("validate", "dev")
    assert (done.code, done.out, done.err) == (0, "dev is valid: 2 units, 0 tasks\n", "")
    assert two_units.git("status", "--porcelain", "--ignored").replace("!! .infra-orch/", "").strip() == before


def test_a_wrong_stack_ends_with_65_and_every_problem_on_stderr(two_units) -> None:
    two_units.write(
        {
            "stacks/dev/stack.py": """
        from infra_orch import Stack

        stack = Stack("dev")
        stack.unit("network", module="network")
        stack.unit("web", module="serevrs")
    """
        }
    )
    done = two_units.run("validate", "dev")
    assert (done.code, done.out) == (65, "")
    assert done.err.splitlines() == [
        'error: stacks/dev/stack.py:4: unit "network" lacks the input "name"',
        "  → modules/network/main.tf:1 declares it without a default",
        'error: stacks/dev/stack.py:5: unknown module "serevrs" of unit "web"',
        '  → did you mean "servers"?',
    ]


def test_an_unknown_stack_ends_with_64(two_units) -> None:
    done = two_units.run("validate", "dve")
    assert (done.code, done.err.splitlines()[-1]) == (64, '  → did you mean "dev"?')


def test_a_control_character_of_a_spec_is_shown_and_not_sent_to_the_terminal(two_units) -> None:
    two_units.write({"stacks/dev/stack.py": "raise ValueError('\\x1b]0;owned\\x07')\n"})
    done = two_units.run("validate", "dev")
    assert done.code == 65
    assert "\x1b" not in done.err


def test_a_stack_without_units_is_valid(desk) -> None:
    desk.write({"stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\n'})
    assert desk.run("validate", "dev").out == "dev is valid: 0 units, 0 tasks\n"
