"""Snapshots of rendered stacks: compared by every run, written by none that was not told to."""

from __future__ import annotations

from author_of_tests import Author

pytest_plugins = ["pytester"]

TEST = "def test_renders(rendered):\n    assert rendered.matches()\n"


def test_a_missing_snapshot_fails_and_is_written_by_nobody(shop: Author) -> None:
    shop.write({"tests/test_shop.py": TEST})
    done = shop.pytest()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["E *there is no snapshot in tests/renders/test_shop/ yet", "E *→ pytest --update-renders*"]
    )
    assert not (shop.root / "tests/renders").exists()


def test_a_snapshot_is_written_when_that_is_asked_for_and_compared_from_then_on(shop: Author) -> None:
    shop.write({"tests/test_shop.py": TEST})
    written = shop.pytest("--update-renders")
    written.assert_outcomes(passed=1)
    written.stdout.fnmatch_lines(["wrote tests/renders/test_shop/database/main.tf"])
    shop.pytest().assert_outcomes(passed=1)
    spec = shop.root / "stacks/shop/stack.py"
    spec.write_text(spec.read_text().replace('"name": "database"', '"name": "orders"'))
    done = shop.pytest()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "E *not as in tests/renders/test_shop/",
            "E *--- tests/renders/test_shop/database/main.tf",
            'E *-  name *= "database"',
            'E *+  name *= "orders"',
            "E *→ pytest --update-renders, if that is meant",
        ]
    )


def test_a_unit_that_left_is_a_difference_and_leaves_the_snapshot_with_the_update(shop: Author) -> None:
    shop.write({"tests/test_shop.py": TEST})
    shop.pytest("--update-renders")
    spec = shop.root / "stacks/shop/stack.py"
    text = spec.read_text()
    spec.write_text(text[: text.index("web = ")])
    done = shop.pytest()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E *--- tests/renders/test_shop/web/main.tf"])
    shop.pytest("--update-renders").stdout.fnmatch_lines(["removed tests/renders/test_shop/web/main.tf"])
    shop.pytest().assert_outcomes(passed=1)


def test_a_snapshot_that_cannot_be_written_or_read_is_one_message(shop: Author) -> None:
    shop.write({"test_renders.py": "def test_it(rendered):\n    assert rendered.matches()\n", "renders": "mine"})
    refused = shop.pytest("--update-renders")
    refused.stdout.fnmatch_lines(["E *AssertionError: the snapshot in renders/test_renders/ cannot be written: *"])
    refused.stdout.no_fnmatch_line("*OSError*")
    (shop.desk.root / "renders").unlink()
    shop.pytest("--update-renders").assert_outcomes(passed=1)
    (shop.desk.root / "renders/test_renders/database/main.tf").write_bytes(b"\xff")
    shop.pytest().stdout.fnmatch_lines(["E *AssertionError: not as in renders/test_renders/"])
