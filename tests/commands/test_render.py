"""`infra-orch render`: files are brought up to date, or what is stale is shown; units that still exist are not lost."""

from __future__ import annotations

import json
import shutil

import pytest

from infra_orch.project import find_project
from infra_orch.render.index import read_index

ONLY_NETWORK = 'from infra_orch import Stack\nstack = Stack("dev")\nstack.unit("network", module="network", inputs={"name": "dev"})\n'


def test_rendering_says_what_it_wrote_and_the_next_time_that_there_was_nothing_to_do(two_units) -> None:
    first = two_units.run("render", "dev")
    assert first.code == 0
    assert "wrote stacks/dev/rendered/web/main.tf" in first.out.splitlines()
    again = two_units.run("render", "dev")
    assert (again.code, again.out, again.err) == (0, "", "stacks/dev/rendered is up to date\n")


def test_check_ends_with_1_and_a_diff_where_files_are_stale_and_writes_nothing(two_units) -> None:
    two_units.run("render", "dev")
    two_units.commit()
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace("-web", "-www"))
    done = two_units.run("render", "dev", "--check")
    assert done.code == 1
    assert '+  name       = "${local.network.name}-www"' in done.out.splitlines()
    assert done.err == "stacks/dev/rendered is stale; infra-orch render dev writes it anew\n"
    assert two_units.git("status", "--porcelain") == " M stacks/dev/stack.py"


def test_check_ends_with_0_where_files_are_fresh(two_units) -> None:
    two_units.run("render", "dev")
    done = two_units.run("render", "dev", "--check")
    assert (done.code, done.out, done.err) == (0, "", "stacks/dev/rendered is up to date\n")


def test_a_folder_that_cannot_be_written_ends_with_one_sentence(two_units) -> None:
    (two_units.root / "stacks/dev/rendered").write_text("")
    done = two_units.run("render", "dev")
    assert done.code == 1
    assert done.err == "error: stacks/dev/rendered cannot be written: File exists\n"


def test_a_stack_without_units_renders_its_index_alone(desk) -> None:
    desk.write({"stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\n'})
    assert desk.run("render", "dev").out == "wrote stacks/dev/rendered/stack.json\n"


@pytest.fixture
def applied(two_units):
    """A project whose stack was applied, with a record, and without a commit of ours."""
    done = two_units.run("apply", "dev", "--auto-approve", "--no-commit")
    assert done.code == 0, done.err
    return two_units


def names(desk) -> tuple[set[str], set[str]]:
    """The units of the index, and those that it keeps."""
    stack = read_index(find_project(desk.root).stack("dev"))
    return set(stack.units), set(stack.left_over)


def test_a_unit_that_left_the_spec_and_exists_keeps_its_render_where_git_does_not_have_it(applied) -> None:
    applied.write({"stacks/dev/stack.py": ONLY_NETWORK})
    done = applied.run("render", "dev")
    assert "web left the spec and still exists; stacks/dev/rendered/web/ stays" in done.err
    assert names(applied) == ({"network"}, {"web"})
    assert applied.run("render", "dev", "--check").code == 0


def test_it_goes_once_git_has_it(applied) -> None:
    applied.write({"stacks/dev/stack.py": ONLY_NETWORK})
    applied.run("render", "dev")
    applied.commit()
    done = applied.run("render", "dev")
    assert "removed stacks/dev/rendered/web/main.tf" in done.out
    assert names(applied) == ({"network"}, set())


def test_it_goes_at_once_where_git_has_it_already(applied) -> None:
    applied.commit()
    applied.write({"stacks/dev/stack.py": ONLY_NETWORK})
    assert "removed stacks/dev/rendered/web/main.tf" in applied.run("render", "dev").out


def test_it_stays_where_git_has_an_older_render_of_it(applied) -> None:
    applied.commit()
    spec = applied.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace("-web", "-www"))
    assert applied.run("apply", "dev", "--auto-approve", "--no-commit").code == 0
    applied.write({"stacks/dev/stack.py": ONLY_NETWORK})
    applied.run("render", "dev")
    assert names(applied) == ({"network"}, {"web"})


def test_a_unit_that_never_existed_goes_at_once(two_units) -> None:
    two_units.run("render", "dev")
    two_units.write({"stacks/dev/stack.py": ONLY_NETWORK})
    two_units.run("render", "dev")
    assert names(two_units) == ({"network"}, set())


@pytest.mark.parametrize("under_git", [True, False])
def test_a_kept_unit_is_destroyed_with_prune_and_then_forgotten(applied, under_git: bool) -> None:
    if not under_git:
        shutil.rmtree(applied.root / ".git")
    applied.write({"stacks/dev/stack.py": ONLY_NETWORK})
    planned = applied.run("plan", "dev", "--prune", "--json")
    assert json.loads(planned.out)["units"]["web"]["destroys"], planned.err
    done = applied.run("apply", "dev", "--prune", "--auto-approve")
    assert done.code == 0, done.err
    assert names(applied) == ({"network"}, set())
    assert not (applied.root / "stacks/dev/rendered/web").exists()
    assert applied.run("render", "dev", "--check").code == 0
    if under_git:
        assert not applied.git("ls-tree", "-r", "--name-only", "HEAD", "stacks/dev/rendered/web")


def test_from_rendered_runs_with_kept_units_and_refuses_where_their_files_were_changed(applied) -> None:
    applied.write({"stacks/dev/stack.py": ONLY_NETWORK})
    applied.run("render", "dev")
    applied.commit()
    assert applied.run("plan", "dev", "--from-rendered").code == 0
    (applied.root / "stacks/dev/rendered/web/main.tf").write_text("# Rendered by infra-orch\n")
    applied.commit()
    done = applied.run("plan", "dev", "--from-rendered")
    assert (done.code, "rendered/web/main.tf is not the file that stack.json names" in done.err) == (77, True)
