"""The rendered folder is brought up to date whole, and what is not ours in it is never touched."""

from __future__ import annotations

import cProfile
import os
import pstats
import subprocess
import sys
from pathlib import Path

import pytest

from infra_orch.errors import SpecError, UserError
from infra_orch.project import find_project
from infra_orch.render.index import KeptUnit, read_index
from infra_orch.render.write import forget_kept, stale, with_kept, write

NOT_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def written(two_units, render):
    """A project whose stack `dev` was just rendered to disk."""
    write(render(two_units, "dev"))
    return two_units


def folder_of(desk) -> Path:
    return desk.root / "stacks/dev/rendered"


def all_files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")
    }


def test_a_first_rendering_writes_every_file(two_units, render) -> None:
    rendering = render(two_units, "dev")
    result = write(rendering)
    assert set(result.written) == set(rendering.files)
    assert {path: (folder_of(two_units) / path).read_text() for path in rendering.files} == rendering.files


def test_a_rendering_that_changes_nothing_writes_nothing(written, render) -> None:
    before = all_files(folder_of(written))
    result = write(render(written, "dev"))
    assert (result.written, result.removed, result.kept) == ((), (), ())
    assert all_files(folder_of(written)) == before


def test_files_of_units_that_are_gone_are_removed_with_their_lock_file(written, render) -> None:
    (folder_of(written) / "web/.terraform.lock.hcl").write_text("# a lock file\n")
    written.write(
        {
            "stacks/dev/stack.py": 'from infra_orch import *\nstack = Stack("dev")\nstack.unit("network", module="network", inputs={"name": "x"})\n'
        }
    )
    result = write(render(written, "dev"))
    assert {path.partition("/")[0] for path in result.removed} == {"web"}
    assert not (folder_of(written) / "web").exists()


def test_a_file_that_a_unit_has_no_more_is_removed_and_the_units_lock_file_stays(written, render) -> None:
    (folder_of(written) / "web/variables.tf").write_text("# Rendered by infra-orch from an older spec\n")
    (folder_of(written) / "web/.terraform.lock.hcl").write_text("# a lock file\n")
    assert write(render(written, "dev")).removed == ("web/variables.tf",)
    assert (folder_of(written) / "web/.terraform.lock.hcl").exists()


def test_what_is_not_ours_is_left_alone_and_named(written, render) -> None:
    (folder_of(written) / "web/extra.tf").write_text("# by hand\n")
    assert write(render(written, "dev")).kept == ("web/extra.tf",)
    assert (folder_of(written) / "web/extra.tf").read_text() == "# by hand\n"


def test_what_is_not_ours_stays_when_its_unit_goes(written, render) -> None:
    (folder_of(written) / "web/terraform.tfstate").write_text("{}")
    (folder_of(written) / "web/.terraform").mkdir()
    written.write({"stacks/dev/stack.py": 'from infra_orch import *\nstack = Stack("dev")\n'})
    result = write(render(written, "dev"))
    assert set(result.kept) == {"web/terraform.tfstate", "web/.terraform"}
    assert sorted(path.name for path in (folder_of(written) / "web").iterdir()) == [".terraform", "terraform.tfstate"]


def test_a_file_of_the_users_where_a_rendered_one_belongs_stops_everything(two_units, render) -> None:
    mine = folder_of(two_units) / "web/main.tf"
    mine.parent.mkdir(parents=True)
    mine.write_text("# by hand\n")
    with pytest.raises(UserError) as caught:
        write(render(two_units, "dev"))
    assert (
        caught.value.summary
        == "stacks/dev/rendered/web/main.tf was not rendered by infra-orch, and is where a rendered file belongs"
    )
    assert [path.name for path in folder_of(two_units).rglob("*") if path.is_file()] == ["main.tf"]
    assert mine.read_text() == "# by hand\n"


def test_a_folder_where_a_rendered_file_belongs_stops_everything(two_units, render) -> None:
    (folder_of(two_units) / "web/main.tf").mkdir(parents=True)
    with pytest.raises(UserError, match=r"rendered/web/main\.tf was not rendered by infra-orch"):
        write(render(two_units, "dev"))


def test_a_file_that_a_loss_of_power_left_empty_is_written_again(written, render) -> None:
    (folder_of(written) / "web/main.tf").write_text("")
    assert write(render(written, "dev")).written == ("web/main.tf",)


def test_a_rendered_file_that_was_changed_by_hand_is_rendered_again(written, render) -> None:
    path = folder_of(written) / "web/main.tf"
    path.write_text(path.read_text() + "# by hand\n")
    assert write(render(written, "dev")).written == ("web/main.tf",)


def test_files_whose_template_leaves_the_header_out_are_known_by_the_index(written, render) -> None:
    template = {
        "stacks/dev/templates/main.tf.j2": 'module "{{ unit.name }}" {\n{{ source | body(2) }}\n\n{{ inputs | body(2) }}\n}\n'
    }
    write(render(written.write(template), "dev"))
    written.write({"stacks/dev/templates/main.tf.j2": "# changed\n" + template["stacks/dev/templates/main.tf.j2"]})
    assert set(write(render(written, "dev")).written) == {"web/main.tf", "network/main.tf", "stack.json"}
    written.write({"stacks/dev/stack.py": 'from infra_orch import *\nstack = Stack("dev")\n'})
    assert "web/main.tf" in write(render(written, "dev")).removed


@pytest.mark.parametrize("text", ["", "<<<<<<< ours\n{}\n", "[]", '{"schema": 99}'])
def test_an_index_that_cannot_be_read_is_written_anew(written, render, text: str) -> None:
    (folder_of(written) / "stack.json").write_text(text)
    assert write(render(written, "dev")).written == ("stack.json",)


def test_files_with_other_line_ends_are_stale_and_rendered_again(written, render) -> None:
    path = folder_of(written) / "web/main.tf"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    rendering = render(written, "dev")
    assert "a/stacks/dev/rendered/web/main.tf" in stale(rendering)
    assert write(rendering).written == ("web/main.tf",)
    assert stale(rendering) == ""


def test_what_is_stale_is_a_patch_that_git_applies(written, render) -> None:
    written.commit()
    spec = written.root / "stacks/dev/stack.py"
    spec.write_text(
        spec.read_text().replace('"dev"', '"dev"', 1).replace("-web", "-www")
        + 'stack.unit("other", module="network", inputs={"name": "x"})\n'
    )
    rendering = render(written, "dev")
    (written.root / "stale.patch").write_text(stale(rendering))
    written.git("apply", "stale.patch")
    assert stale(rendering) == ""


def test_a_rendered_folder_that_a_link_leads_out_is_refused(two_units, render, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder_of(two_units).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="stacks/dev/rendered is a link that leads out of the project"):
        write(render(two_units, "dev"))
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_units_folder_that_is_a_link_is_refused(two_units, render) -> None:
    folder_of(two_units).mkdir()
    (folder_of(two_units) / "web").symlink_to(two_units.root / "modules/servers")
    with pytest.raises(UserError, match="stacks/dev/rendered/web is a link, and a folder is wanted"):
        write(render(two_units, "dev"))
    assert [path.name for path in (two_units.root / "modules/servers").iterdir()] == ["main.tf"]


def test_a_file_in_the_place_of_the_rendered_folder_is_said(two_units, render) -> None:
    folder_of(two_units).write_text("")
    with pytest.raises(UserError, match="stacks/dev/rendered cannot be written: File exists"):
        write(render(two_units, "dev"))


WRITERS = """
import sys
from pathlib import Path
from infra_orch.project import find_project
from infra_orch.render.write import render_stack, write
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack
for _ in range(40):
    folder = find_project(Path.cwd()).stack("dev")
    rendering = render_stack(check_stack(load_stack(folder), folder))
    for path in rendering.stack.folder.rendered.glob("*/*.tf"):
        path.unlink(missing_ok=True)
    write(rendering)
"""


def test_two_that_render_one_stack_at_once_do_not_take_each_others_files(two_units) -> None:
    argv = [sys.executable, "-c", WRITERS]
    both = [subprocess.Popen(argv, cwd=two_units.root, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [writer.communicate()[1] for writer in both]
    assert said == ["", ""]


@NOT_ROOT
def test_a_folder_that_may_not_be_written_is_said(two_units, render) -> None:
    folder_of(two_units).mkdir()
    folder_of(two_units).chmod(0o500)
    with pytest.raises(UserError, match="cannot be written: Permission denied"):
        write(render(two_units, "dev"))


FULL = """
import resource, signal, sys
from infra_orch.cli.app import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
sys.exit(run(["render", "dev"]))
"""


def test_a_full_disk_is_said_in_one_sentence_and_leaves_no_part_of_a_file(two_units) -> None:
    """A limit on the size of files stands for the disk: a write fails half-way in the same manner."""
    two_units.run("validate", "dev")
    done = subprocess.run([sys.executable, "-c", FULL], cwd=two_units.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: stacks/dev/rendered/")
    assert "cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(two_units.root.rglob("*.partial"))


def test_units_that_are_kept_stay_with_their_files_until_they_are_forgotten(written, render) -> None:
    folder = find_project(written.root).stack("dev")
    before = read_index(folder)
    written.write(
        {
            "stacks/dev/stack.py": 'from infra_orch import *\nstack = Stack("dev")\nstack.unit("network", module="network", inputs={"name": "x"})\n'
        }
    )
    kept = {"web": KeptUnit(before.units["web"], ("other",))}
    rendering = with_kept(render(written, "dev"), kept)
    assert write(rendering).removed == ()
    assert read_index(folder).left_over == kept
    assert stale(rendering) == ""
    forget_kept(folder, {"web"})
    assert not (folder_of(written) / "web").exists()
    assert read_index(folder).left_over == {}
    assert stale(render(written, "dev")) == ""


def test_two_stacks_of_one_name_are_refused(written, render) -> None:
    written.write({"stacks/copy/stack.py": (written.root / "stacks/dev/stack.py").read_text()})
    with pytest.raises(SpecError) as caught:
        render(written, "copy")
    (problem,) = caught.value.problems
    assert problem.message == 'the name "dev" is that of the stack in stacks/dev, too'
    assert str(problem.where) == "stacks/copy/stack.py:3"


def test_two_stacks_that_would_share_a_state_are_refused(desk, render) -> None:
    spec = 'from infra_orch import *\nstack = Stack("{name}", backend=Backend("gcs", prefix="{{unit}}"))\nstack.unit("x", module="m")\n'
    desk.write(
        {
            "modules/m/main.tf": "locals {\n}\n",
            "stacks/one/stack.py": spec.replace("{name}", "one").replace("{{", "{").replace("}}", "}"),
            "stacks/two/stack.py": spec.replace("{name}", "two").replace("{{", "{").replace("}}", "}"),
        }
    )
    write(render(desk, "one"))
    with pytest.raises(SpecError) as caught:
        render(desk, "two")
    (problem,) = caught.value.problems
    assert problem.message == 'unit "x" would share its state with "x" in stacks/one'


def test_the_files_of_local_states_are_each_stacks_own(written, render) -> None:
    written.write(
        {
            "stacks/prod/stack.py": (written.root / "stacks/dev/stack.py")
            .read_text()
            .replace('Stack("dev")', 'Stack("prod")')
        }
    )
    write(render(written, "prod"))
    assert "stacks/prod/state/web.tfstate" in (written.root / "stacks/prod/rendered/web/backend.tf").read_text()


def test_the_work_grows_no_faster_than_the_number_of_units(desk, render) -> None:
    """Counted in calls of functions, so that a loaded machine fails no test."""

    def calls(number: int) -> int:
        desk.write(
            {
                "modules/m/main.tf": 'variable "up" {\n  default = null\n}\n\noutput "id" {\n  value = 1\n}\n',
                "stacks/big/stack.py": f"""
                from infra_orch import Stack
                stack = Stack("big")
                for n in range({number}):
                    stack.unit(f"u{{n:03}}", module="m", inputs={{"up": [u.outputs.id for u in stack.units[-3:]]}})
            """,
            }
        )
        profile = cProfile.Profile()
        profile.runcall(lambda: write(render(desk, "big")))
        return pstats.Stats(profile).total_calls

    few, more, most = [calls(number) for number in (20, 20, 70, 120)][1:]
    assert most - more < 1.2 * (more - few)
