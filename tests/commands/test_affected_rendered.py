"""`--affected --from-rendered`: what a change affects is told by committed files, and no Python of either side is run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from test_affected import DEV, FAR, FILES, INNER, NAMES, PROD
from test_no_python import SCRIPT, mark

if TYPE_CHECKING:
    from conftest import Begin, Desk

RENDERED = "stacks/prod/rendered"
PROVIDERS = ', providers=[Provider("random", source="hashicorp/random", version="~> 3.0")]'


@pytest.fixture
def base(begin: Begin) -> Desk:
    """Rendered and committed; the branch `then` is what is compared with."""
    return begin(with_far)


def with_far(desk: Desk) -> None:
    as_base(desk.write({**FILES, "stacks/far/stack.py": FAR}))


def as_base(desk: Desk) -> Desk:
    assert desk.run("render", "--all").code == 0
    desk.commit()
    desk.git("branch", "--force", "then")
    return desk


def graph(desk: Desk, *words: str, base: str = "then") -> tuple[dict[str, list[dict[str, str]]], list[str]]:
    """The graph of what is affected, and why; in which order stacks come in it does not matter."""
    done = desk.run("graph", "--affected", "--base", base, "--why", "--format", "json", *words)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    lists = {name: sorted(document[name], key=str) for name in ("nodes", "edges", "deleted")}
    return lists, sorted(done.err.splitlines())


def units(desk: Desk, *words: str) -> str:
    return "".join(node["unit"] for node in graph(desk, *words)[0]["nodes"])


def without(spec: str, line: str) -> str:
    assert line in spec
    return spec.replace(line, "")


def unit_goes(desk: Desk) -> None:
    line = 'b = stack.unit("b", module="plain", inputs={"text": a.outputs.text})\n'
    desk.write(
        {"stacks/prod/stack.py": PROD.replace(line, "b = a\n"), "stacks/far/stack.py": FAR.replace('"b"', '"a"')}
    )


def stack_goes(desk: Desk) -> None:
    shutil.rmtree(desk.root / "stacks/team")


def spec_goes_and_its_files_stay(desk: Desk) -> None:
    (desk.root / "stacks/team/dev/stack.py").unlink()


def unit_is_renamed(desk: Desk) -> None:
    desk.write({"stacks/team/dev/stack.py": DEV.replace('"e", module', '"f", formerly="e", module')})


def stack_comes(desk: Desk) -> None:
    desk.write({"stacks/new/stack.py": DEV.replace('"e"', '"n"').replace('"dev"', '"new"')})


def lock_file_changes(desk: Desk) -> None:
    desk.write({f"{RENDERED}/c/.terraform.lock.hcl": "# chosen anew\n"})


def module_link_changes(desk: Desk) -> None:
    (desk.root / "modules/plain/linked.txt").symlink_to("../../shared/team.txt")


def nobody_knows_what_is_read(desk: Desk) -> None:
    text = FILES["modules/plain/main.tf"] + 'locals {\n  x = file("/etc/hostname")\n}\n'
    desk.write({"modules/plain/main.tf": text})


def credentials_change(desk: Desk) -> None:
    spec = DEV.replace("import Stack", "import Credentials, Stack")
    desk.write({"stacks/team/dev/stack.py": spec.replace('("dev")', '("dev", credentials=Credentials.profile("one"))')})


def written(path: str, text: str) -> Callable[[Desk], object]:
    return lambda desk: desk.write({path: text})


EDITS = {
    "a template of a module": written("modules/outer/page.tftpl", "bye ${name}"),
    "a nested module": written("modules/inner/main.tf", INNER + "# changed\n"),
    "what a module reads elsewhere": written("shared/team.txt", "others"),
    "Python that specs share": written("stacks/names.py", NAMES.replace("acme", "other")),
    "one input": written("stacks/prod/stack.py", PROD.replace('"c"})', '"C"})')),
    "a comment": written("stacks/prod/stack.py", PROD + "    # nothing but a comment\n"),
    "nothing that counts": written("README.md", "# Still nobody"),
    "a file more in a module": written("modules/plain/more.txt", "new"),
}  # fmt: skip
OTHERS = (unit_goes, stack_goes, spec_goes_and_its_files_stay, unit_is_renamed, stack_comes, lock_file_changes,
          module_link_changes, nobody_knows_what_is_read, credentials_change)  # fmt: skip


@pytest.mark.parametrize("edit", [*EDITS.values(), *OTHERS], ids=[*EDITS, *(one.__name__ for one in OTHERS)])
def test_it_is_the_same_that_the_specs_tell(base: Desk, edit: Callable[[Desk], object]) -> None:
    edit(base)
    assert base.run("render", "--all").code == 0
    base.commit()
    for words in ((), ("--no-downstream",), ("far",), ("--head", "HEAD")):
        assert graph(base, *words, "--from-rendered") == graph(base, *words), words


def test_a_project_in_a_folder_of_the_repository_is_compared_with_itself(
    base: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = base.root / "infra"
    below.mkdir()
    for name in ("modules", "stacks", "shared"):
        base.git("mv", name, "infra/")
    base.commit()
    monkeypatch.chdir(below)
    assert graph(base, "--from-rendered", base="HEAD") == ({"nodes": [], "edges": [], "deleted": []}, [])
    (below / "modules/outer/page.tftpl").write_text("bye ${name}")
    base.commit()
    assert graph(base, "--from-rendered", base="HEAD~1") == graph(base, base="HEAD~1")


def test_no_python_of_either_side_is_run_to_preview_and_apply_what_is_affected(two_units: Desk) -> None:
    desk = two_units
    spec = desk.root / "stacks/dev/stack.py"
    spec.write_text(f"from pathlib import Path\n\nPath({str(mark(desk))!r}).touch()\n{spec.read_text()}")
    as_base(desk)
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    desk.git("branch", "--force", "then")
    spec.write_text(spec.read_text().replace('{"name": "dev"}', '{"name": "prod"}'))
    assert desk.run("render", "dev").code == 0
    desk.commit()
    mark(desk).unlink()
    change = ("--affected", "--base", "then", "--from-rendered")
    for arguments in (
        ("preview", "--base", "then", "--from-rendered", "--out", str(desk.root.parent / "comment.md")),
        ("graph", *change),
        ("plan", *change),
        ("apply", *change, "--auto-approve"),
    ):
        command = [*SCRIPT, *arguments]
        done = subprocess.run(command, cwd=desk.root / "stacks", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not mark(desk).exists()
    assert "dev/network" in (desk.root.parent / "comment.md").read_text()
    assert desk.run("output", "dev", "network", "name", "--from-rendered").out == "prod\n"


def test_stacks_that_a_change_deletes_are_destroyed_where_that_is_asked_for(base: Desk) -> None:
    base.write({"stacks/prod/stack.py": PROD.replace(PROVIDERS, "")})
    assert base.run("apply", "--all", "--auto-approve").code == 0
    as_base(base)
    base.git("rm", "-rq", "stacks/far", "stacks/team/dev/stack.py", "stacks/team/dev/rendered")
    base.commit()
    change = ("--affected", "--base", "then", "--from-rendered")
    assert "deleted since then: the stack far, the stack team/dev; --prune destroys" in base.run("plan", *change).err
    done = base.run("apply", *change, "--prune", "--auto-approve", "--json")
    assert done.code == 0, done.err
    stacks = json.loads(done.out)["stacks"]
    assert {stack: sorted(of["units"]) for stack, of in stacks.items()} == {"far": ["f", "g"], "team/dev": ["e"]}


def test_what_is_brought_back_to_be_destroyed_is_guarded(base: Desk) -> None:
    slow = 'resource "terraform_data" "it" {\n  provisioner "local-exec" {\n    when    = destroy\n    command = "true"\n  }\n}\n'
    spec = "from infra_orch import Stack\nstack = Stack('loud')\nstack.unit('l', module='loud')\n"
    base.write({"modules/loud/main.tf": slow, "stacks/loud/stack.py": spec})
    assert base.run("apply", "loud", "--auto-approve").code == 0
    as_base(base)
    base.git("rm", "-rq", "stacks/loud")
    base.commit()
    change = ("--affected", "--base", "then", "--prune", "--auto-approve")
    refused = base.run("apply", *change, "--from-rendered")
    assert (refused.code, 'the provisioner "local-exec"' in refused.out + refused.err) == (77, True), refused.err
    assert base.run("apply", *change).code == 0


def forged(desk: Desk) -> str:
    path = desk.root / RENDERED / "c/main.tf"
    path.write_text(path.read_text() + "# by hand\n")
    return f"{RENDERED}/c/main.tf is not the file that stack.json names"


def never_rendered(desk: Desk) -> str:
    desk.write({"stacks/new/stack.py": DEV.replace('"dev"', '"new"')})
    return "stacks/new/rendered/stack.json is missing"


def index_is_a_link(desk: Desk) -> str:
    index = desk.root / RENDERED / "stack.json"
    index.rename(desk.root / "elsewhere.json")
    index.symlink_to("../../../elsewhere.json")
    return f"{RENDERED}/stack.json is a link"


def index_leads_out(desk: Desk) -> str:
    index = desk.root / RENDERED / "stack.json"
    index.unlink()
    index.symlink_to("/proc/self/environ")
    return f"{RENDERED}/stack.json is a link"


def folder_is_a_link(desk: Desk) -> str:
    (desk.root / RENDERED).rename(desk.root / "elsewhere")
    (desk.root / RENDERED).symlink_to("../../elsewhere")
    return f"{RENDERED} is a link"


def file_is_a_link(desk: Desk) -> str:
    path = desk.root / RENDERED / "c/main.tf"
    path.rename(desk.root / "stacks/elsewhere.tf")
    path.symlink_to("../../../elsewhere.tf")
    return f"{RENDERED}/c/main.tf is a link"


def unit_is_a_link(desk: Desk) -> str:
    (desk.root / RENDERED / "c").rename(desk.root / "stacks/c")
    (desk.root / RENDERED / "c").symlink_to("../../c")
    return f"{RENDERED}/c is a link"


def cache_is_planted(desk: Desk) -> str:
    desk.write({".infra-orch/cache/modules/x.json": "{}"})
    desk.git("add", "--force", ".infra-orch/cache/modules/x.json")
    return ".infra-orch/ is committed"


@pytest.mark.parametrize(
    "change",
    [forged, never_rendered, index_is_a_link, index_leads_out, folder_is_a_link, file_is_a_link, unit_is_a_link,
     cache_is_planted],
)  # fmt: skip
def test_what_is_not_as_it_was_rendered_is_refused_by_name(base: Desk, change: Callable[[Desk], str]) -> None:
    told = change(base)
    base.commit()
    refused = base.run("preview", "--base", "then", "--from-rendered")
    assert refused.code == (1 if change is never_rendered else 77), refused.err
    assert told in refused.err
    if change is not cache_is_planted:
        of_a_commit = base.run("graph", "--affected", "--base", "then", "--head", "HEAD", "--from-rendered")
        assert (of_a_commit.code != 0, of_a_commit.out) == (True, "")


def test_work_that_is_not_committed_is_refused_and_not_passed_over(base: Desk) -> None:
    base.write({"stacks/prod/stack.py": PROD.replace('"c"})', '"C"})')})
    assert base.run("render", "prod").code == 0
    refused = base.run("preview", "--base", "then", "--from-rendered")
    assert (refused.code, f"{RENDERED}/c/main.tf is not what is committed" in refused.err) == (77, True)
    base.commit()
    base.write({"modules/inner/main.tf": INNER + "# changed\n"})
    refused = base.run("plan", "--affected", "--base", "then", "--from-rendered")
    assert (refused.code, "modules/inner/main.tf is not what is committed" in refused.err) == (77, True)


def test_the_modules_that_count_are_those_that_the_files_call(base: Desk) -> None:
    """Whoever writes stack.json by hand hides no change by it."""
    index = base.root / "stacks/team/dev/rendered/stack.json"
    index.write_text(index.read_text().replace('"module": "modules/inner"', '"module": "modules/plain"'))
    base.commit()
    base.git("branch", "--force", "then")
    base.write({"modules/inner/main.tf": INNER + "# changed\n"})
    base.commit()
    assert units(base, "team/dev", "--from-rendered") == "e"


def test_of_a_base_that_was_not_rendered_everything_is_selected_and_that_is_said(base: Desk) -> None:
    base.git("rm", "-rq", RENDERED)
    base.commit()
    base.git("branch", "--force", "then")
    assert base.run("render", "--all").code == 0
    base.commit()
    assert units(base, "prod", "--from-rendered") == "abcd"
    (told,) = (line for line in graph(base, "prod", "--from-rendered")[1] if "warning" in line)
    assert "prod cannot be told as it was at then, so all of it is selected" in told
    assert f"{RENDERED}/stack.json is missing" in told


def test_a_link_in_the_base_leads_nowhere(base: Desk) -> None:
    index_leads_out(base)
    base.commit()
    base.git("branch", "--force", "then")
    (base.root / RENDERED / "stack.json").unlink()
    assert base.run("render", "--all").code == 0
    base.commit()
    assert units(base, "prod", "--from-rendered") == "abcd"
    assert any("prod cannot be told as it was at then" in line for line in graph(base, "prod", "--from-rendered")[1])


def test_the_graph_of_what_is_rendered_is_drawn_without_its_spec(base: Desk) -> None:
    drawn = base.run("graph", "prod").out
    base.write({"stacks/prod/stack.py": "this is no Python\n"})
    assert base.run("graph", "prod").code == 65
    assert base.run("graph", "prod", "--from-rendered").out == drawn


def test_policies_of_the_change_are_not_asked(base: Desk) -> None:
    base.write({"policies/mine.py": f"open({str(mark(base))!r}, 'w')\n", "modules/plain/more.txt": "new"})
    base.commit()
    refused = base.run("preview", "--base", "then", "--from-rendered")
    assert (refused.code, mark(base).exists()) == (77, False)
    assert "policies/ may have come with a change" in refused.err
