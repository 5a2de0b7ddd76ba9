"""`--affected --base REF`: what a change affects is selected, and nothing else, and why is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from child_process import Child, until

from infra_orch.git.export import Aside

if TYPE_CHECKING:
    from conftest import Begin, Desk

OUTER = """
    variable "text" {
      type    = string
      default = "x"
    }

    module "inner" {
      source = "../inner"
      text   = "${var.text} ${templatefile("${path.module}/page.tftpl", { name = var.text })}"
    }

    output "text" {
      value = module.inner.text
    }
    """
INNER = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = "${var.text} ${file("${path.module}/../../shared/team.txt")}"
    }

    output "text" {
      value = terraform_data.it.output
    }
    """
NAMES = """
    PREFIX = "acme"

    def named(name):
        return f"{PREFIX}-{name}"
    """
PROD = """
    from infra_orch import Provider, Stack
    from names import named

    stack = Stack("prod", providers=[Provider("random", source="hashicorp/random", version="~> 3.0")])
    a = stack.unit("a", module="outer", inputs={"text": named("a")})
    b = stack.unit("b", module="plain", inputs={"text": a.outputs.text})
    c = stack.unit("c", module="plain", inputs={"text": "c"})
    stack.unit("d", module="plain", after=[b], inputs={"text": "d"})
    """
DEV = """
    from infra_orch import Stack

    stack = Stack("dev")
    stack.unit("e", module="inner", inputs={"text": "e"})
    """
FILES = {
    "modules/outer/main.tf": OUTER,
    "modules/outer/page.tftpl": "hello ${name}",
    "modules/inner/main.tf": INNER,
    "modules/plain/main.tf": INNER.replace(' ${file("${path.module}/../../shared/team.txt")}', ""),
    "shared/team.txt": "team",
    "stacks/names.py": NAMES,
    "stacks/prod/stack.py": PROD,
    "stacks/team/dev/stack.py": DEV,
    "README.md": "# Nobody reads it",
}


@pytest.fixture
def committed(begin: Begin) -> Desk:
    return begin(rendered)


def rendered(desk: Desk) -> None:
    desk.write(FILES)
    assert desk.run("render", "--all").code == 0
    desk.commit()


def affected(desk: Desk, *words: str, base: str = "HEAD") -> str:
    """The names of the units that are selected, over all stacks."""
    done = desk.run("graph", "--affected", "--base", base, "--format", "json", *words)
    assert done.code == 0, done.err
    return "".join(sorted(node["unit"] for node in json.loads(done.out)["nodes"]))


@pytest.mark.parametrize(
    ("path", "text", "itself", "below"),
    [
        ("modules/outer/page.tftpl", "bye ${name}", "a", "abd"),
        ("modules/inner/main.tf", INNER + "# changed\n", "ae", "abde"),
        ("shared/team.txt", "others", "ae", "abde"),
        ("stacks/names.py", NAMES.replace("acme", "other"), "a", "abd"),
        ("stacks/prod/stack.py", PROD.replace('"c"})', '"C"})'), "c", "c"),
        ("stacks/prod/stack.py", PROD.replace("~> 3.0", "~> 3.1"), "", ""),
        ("stacks/prod/stack.py", PROD + "    # nothing but a comment\n", "", ""),
        ("README.md", "# Still nobody", "", ""),
        ("modules/plain/more.txt", "new", "bcd", "bcd"),
    ],
)
def test_what_a_change_affects_is_selected_and_what_comes_after_it(
    committed: Desk, path: str, text: str, itself: str, below: str
) -> None:
    committed.write({path: text})
    assert affected(committed, "--no-downstream") == itself
    assert affected(committed) == below


def test_two_commits_are_compared_and_the_checkout_is_left_as_it_is(committed: Desk) -> None:
    first = committed.git("rev-parse", "HEAD")
    committed.write({"modules/outer/page.tftpl": "bye ${name}"})
    committed.commit()
    committed.write({"shared/team.txt": "not committed"})
    before = committed.git("status", "--porcelain", "--ignored")
    assert affected(committed, "--head", "HEAD", base=first) == "abd"
    assert committed.git("status", "--porcelain", "--ignored") == before


def test_of_two_commits_the_graph_is_that_of_the_second(committed: Desk) -> None:
    first = committed.git("rev-parse", "HEAD")
    committed.write({"stacks/new/stack.py": DEV.replace('"e"', '"n"').replace('"dev"', '"new"')})
    second = committed.commit()
    shutil.rmtree(committed.root / "stacks/new")
    assert affected(committed, "--head", second, base=first) == "n"
    committed.write({"stacks/prod/stack.py": "x(\n"})
    broken = committed.commit()
    done = committed.run("graph", "--affected", "--base", first, "--head", broken, "--format", "json")
    assert (done.code, done.out) == (65, "")
    assert f"prod cannot be evaluated as it is at {broken}" in done.err


def test_why_a_unit_is_selected_is_said(committed: Desk) -> None:
    committed.write({"modules/outer/page.tftpl": "bye ${name}"})
    told = committed.run("graph", "--affected", "--base", "HEAD", "--why").err.splitlines()
    assert told == [
        "prod/a: file modules/outer/page.tftpl changed",
        "prod/b: it comes after a",
        "prod/d: it comes after b",
    ]


def test_units_and_stacks_that_are_gone_are_named_and_what_came_after_them_is_selected(committed: Desk) -> None:
    kept = PROD.replace('b = stack.unit("b", module="plain", inputs={"text": a.outputs.text})\n', "b = a\n")
    committed.write({"stacks/prod/stack.py": kept})
    shutil.rmtree(committed.root / "stacks/team")
    done = committed.run("graph", "--affected", "--base", "HEAD", "--format", "json")
    document = json.loads(done.out)
    assert document["deleted"] == [{"stack": "prod", "unit": "b"}, {"stack": "team/dev", "unit": "e"}]
    assert [node["unit"] for node in document["nodes"]] == ["d"]
    assert "deleted: team/dev/e" in committed.run("graph", "--affected", "--base", "HEAD").out


def test_a_stack_that_is_new_is_affected_as_a_whole(committed: Desk) -> None:
    committed.write({"stacks/new/stack.py": DEV.replace('"e"', '"n"').replace('"dev"', '"new"')})
    assert affected(committed) == "n"


def test_of_a_base_that_cannot_be_evaluated_everything_is_selected_and_that_is_said(committed: Desk) -> None:
    committed.write({"stacks/prod/stack.py": 'raise RuntimeError("then")\n'})
    broken = committed.commit()
    committed.write({"stacks/prod/stack.py": PROD})
    assert affected(committed, base=broken) == "abcd"
    told = committed.run("graph", "--affected", "--base", broken).err
    assert f"prod cannot be evaluated as it was at {broken}, so all of it is selected" in told


def test_what_a_spec_reads_or_imports_is_that_of_its_own_side(committed: Desk) -> None:
    spec = """
    import json
    from pathlib import Path

    from infra_orch import Stack
    from lib import env

    stack = Stack("reads")
    stack.unit("r", module="inner", inputs={"text": env.V + json.loads(Path("config/it.json").read_text())["v"]})
    """
    committed.write({"stacks/reads/stack.py": spec, "stacks/lib/env.py": 'V = "1"\n', "config/it.json": '{"v": "1"}'})
    committed.commit()
    assert affected(committed) == ""
    committed.write({"stacks/lib/env.py": 'V = "2"\n'})
    assert affected(committed) == "r"
    committed.git("checkout", "-q", ".")
    committed.write({"config/it.json": '{"v": "2"}'})
    assert affected(committed) == "r"


def test_the_specs_of_the_base_are_written_only_where_they_are_evaluated(
    committed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed.write({"stacks/prod/stack.py": PROD.replace('"text": "c"', '"text": "C"')})
    question = ("graph", "--affected", "--base", "HEAD", "--why")
    first = committed.run(*question)
    assert first.err == "prod/c: rendered main.tf changed\n"
    with monkeypatch.context() as patch:
        patch.setattr(Aside, "write", None)
        assert committed.run(*question) == first
    # A spec that looks at another one finds it there.
    committed.write({"stacks/dev/stack.py": DEV + "\n    open('stacks/prod/stack.py').close()\n"})
    committed.commit()
    assert committed.run("graph", "--affected", "--base", "HEAD").out == ""


def test_links_are_followed_on_both_sides(committed: Desk) -> None:
    (committed.root / "modules/plain/linked.txt").symlink_to("../../shared/team.txt")
    (committed.root / "modules/linked").symlink_to("plain")
    committed.write(
        {"stacks/new/stack.py": DEV.replace('"e"', '"n"').replace('"dev"', '"new"').replace("inner", "linked")}
    )
    first = committed.commit()
    assert affected(committed, "--head", "HEAD", base=first) == ""
    committed.write({"shared/team.txt": "others"})
    committed.commit()
    assert affected(committed, "--head", "HEAD", base=first) == "abcden"


def test_a_link_out_of_the_repository_counts_as_changed(committed: Desk) -> None:
    (committed.root / "modules/plain/out.txt").symlink_to("/etc/hostname")
    first = committed.commit()
    assert affected(committed, "--head", "HEAD", base=first) == "bcd"


def test_a_renamed_unit_is_not_deleted(committed: Desk) -> None:
    committed.write({"stacks/team/dev/stack.py": DEV.replace('"e", module', '"f", formerly="e", module')})
    done = committed.run("graph", "--affected", "--base", "HEAD", "--format", "json")
    document = json.loads(done.out)
    assert (document["deleted"], [node["unit"] for node in document["nodes"]]) == ([], ["f"])


def test_credentials_count(committed: Desk) -> None:
    with_keys = DEV.replace("import Stack", "import Credentials, Stack").replace(
        'Stack("dev")', 'Stack("dev", credentials=Credentials.profile("one"))'
    )
    committed.write({"stacks/team/dev/stack.py": with_keys})
    committed.commit()
    committed.write({"stacks/team/dev/stack.py": with_keys.replace('"one"', '"two"')})
    assert affected(committed) == "e"


def test_a_spec_that_is_wrong_keeps_nobody_from_the_others(committed: Desk) -> None:
    committed.write({"stacks/bad/stack.py": "x(\n", "stacks/prod/stack.py": PROD.replace('"c"})', '"C"})')})
    done = committed.run("validate", "--affected", "--base", "HEAD")
    assert (done.code, done.out) == (65, "prod is valid: 4 units, 0 tasks\n")
    assert "stacks/bad/stack.py:1" in done.err
    assert [
        node["unit"]
        for node in json.loads(committed.run("graph", "--affected", "--base", "HEAD", "--format", "json").out)["nodes"]
    ] == ["c"]


def test_a_variable_that_names_the_base_for_all_commands_is_no_mistake(
    committed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFRA_ORCH_BASE", "HEAD")
    assert committed.run("validate", "prod").code == 0


def test_a_base_without_the_project_is_one_where_everything_is_new(committed: Desk) -> None:
    empty = committed.git("commit-tree", "-m", "empty", "4b825dc642cb6eb9a060e54bf8d69288fbee4904")
    assert affected(committed, base=empty) == "abcde"


def test_a_unit_that_reads_nobody_knows_what_is_always_selected(committed: Desk) -> None:
    committed.write(
        {"modules/plain/main.tf": FILES["modules/plain/main.tf"] + 'locals {\n  x = file("/etc/hostname")\n}\n'}
    )
    committed.commit()
    assert affected(committed) == "bcd"
    told = committed.run("graph", "--affected", "--base", "HEAD", "--why").err
    assert 'prod/c: modules/plain/main.tf:13 reads file("/etc/hostname"' in told


def test_a_project_in_a_folder_of_the_repository_is_compared_with_itself(
    committed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = committed.root / "infra"
    below.mkdir()
    for name in ("modules", "stacks", "shared"):
        committed.git("mv", name, "infra/")
    committed.commit()
    monkeypatch.chdir(below)
    assert affected(committed) == ""
    (below / "modules/outer/page.tftpl").write_text("bye ${name}")
    assert affected(committed) == "abd"


def test_a_plan_is_made_of_what_is_affected(committed: Desk) -> None:
    committed.write(
        {
            "stacks/prod/stack.py": PROD.replace("providers=[", "tags=[").replace(
                'Provider("random", source="hashicorp/random", version="~> 3.0")', '"t"'
            )
        }
    )
    committed.commit()
    assert committed.run("apply", "prod", "--auto-approve").code == 0
    committed.write({"modules/outer/page.tftpl": "bye ${name}"})
    done = committed.run("plan", "prod", "--affected", "--base", "HEAD", "--json")
    assert sorted(json.loads(done.out)["units"]) == ["a", "b", "d"]
    committed.git("checkout", "-q", "modules")
    done = committed.run("apply", "prod", "--affected", "--base", "HEAD", "--auto-approve")
    assert done.code == 0
    assert "nothing in prod is affected by what changed since HEAD" in done.err


def test_stacks_are_validated_and_rendered_where_something_is_affected(committed: Desk) -> None:
    committed.write({"stacks/names.py": NAMES.replace("acme", "other")})
    assert committed.run("validate", "--affected", "--base", "HEAD").out == "prod is valid: 4 units, 0 tasks\n"
    assert committed.run("render", "--affected", "--base", "HEAD").out.startswith("wrote stacks/prod/")
    committed.git("checkout", "-q", ".")
    done = committed.run("validate", "--affected", "--base", "HEAD")
    assert (done.code, done.out) == (0, "")
    assert "nothing is affected by what changed since HEAD" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("graph", "--affected"), "--base main"),
        (("graph", "--base", "HEAD"), "add --affected"),
        (("graph", "--affected", "--base", "nowhere"), "git fetch origin nowhere"),
        (("graph", "--affected", "--base", "--exec=x"), "is not"),
        (("plan", "prod", "--affected", "--base", "HEAD", "--unit", "a"), "give one of the two"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_mends_it(
    committed: Desk, words: tuple[str, ...], said: str
) -> None:
    done = committed.run(*words)
    assert (done.code, done.out) == (64, "")
    assert said in done.err


def test_in_a_shallow_clone_it_is_said_which_fetch_is_missing(
    committed: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed.write({"README.md": "# More"})
    committed.commit()
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{committed.root}", str(tmp_path / "shallow")], check=True
    )
    monkeypatch.chdir(tmp_path / "shallow")
    done = committed.run("graph", "--affected", "--base", "HEAD~1")
    assert done.code == 64
    assert "this is a shallow clone: git fetch" in done.err


FAR = """
    from infra_orch import Stack

    stack = Stack("far")
    b = Stack.reference("prod").unit("b")
    f = stack.unit("f", module="plain", inputs={"text": b.outputs.text})
    stack.unit("g", module="plain", after=[f], inputs={"text": "g"})
    """


def test_what_comes_after_it_in_other_stacks_is_selected_too(committed: Desk) -> None:
    committed.write({"stacks/far/stack.py": FAR})
    committed.commit()
    assert affected(committed) == ""
    committed.write({"modules/outer/page.tftpl": "bye ${name}"})
    assert affected(committed) == "abdfg"
    assert affected(committed, "far") == "fg"
    assert affected(committed, "--no-downstream") == "a"
    told = committed.run("graph", "--affected", "--base", "HEAD", "--why").err
    assert "far/f: it comes after prod/b" in told
    assert "far/g: it comes after f" in told


def test_what_read_a_unit_that_is_gone_is_selected(committed: Desk) -> None:
    committed.write({"stacks/far/stack.py": FAR})
    committed.commit()
    kept = PROD.replace('b = stack.unit("b", module="plain", inputs={"text": a.outputs.text})\n', "b = a\n")
    committed.write({"stacks/prod/stack.py": kept, "stacks/far/stack.py": FAR.replace('unit("b")', 'unit("a")')})
    done = committed.run("graph", "--affected", "--base", "HEAD", "--why")
    assert "far/f: rendered main.tf changed" in done.err
    assert "deleted: prod/b" in done.out


def applied(desk: Desk) -> None:
    desk.write(
        {
            "stacks/prod/stack.py": PROD.replace(
                ', providers=[Provider("random", source="hashicorp/random", version="~> 3.0")]', ""
            )
        }
    )
    assert desk.run("apply", "--all", "--auto-approve").code == 0
    desk.commit()


def test_a_plan_over_all_stacks_is_of_what_is_affected(committed: Desk) -> None:
    applied(committed)
    committed.write({"modules/inner/main.tf": INNER + "# changed\n"})
    done = committed.run("plan", "--affected", "--base", "HEAD", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert {stack: sorted(of["units"]) for stack, of in document["stacks"].items()} == {
        "prod": ["a", "b", "d"],
        "team/dev": ["e"],
    }
    committed.git("checkout", "-q", ".")
    done = committed.run("plan", "--affected", "--base", "HEAD", "--json")
    assert (done.code, json.loads(done.out)["stacks"]) == (0, {})
    assert "nothing is affected" in done.err


def test_units_that_a_change_deletes_are_destroyed_where_that_is_asked_for(committed: Desk) -> None:
    applied(committed)
    spec = (committed.root / "stacks/prod/stack.py").read_text()
    committed.write({"stacks/prod/stack.py": spec.replace('c = stack.unit("c"', '# c = stack.unit("c"')})
    done = committed.run("plan", "--affected", "--base", "HEAD")
    assert (done.code, done.out) == (0, "")
    assert "deleted since HEAD: prod/c; --prune destroys what still exists of it" in done.err
    done = committed.run("apply", "--affected", "--base", "HEAD", "--prune", "--auto-approve")
    assert done.code == 0, done.err
    assert "prod/c (destroy): 1 to destroy" in done.out
    assert not (committed.root / "stacks/prod/record/c.json").exists()


def test_stacks_that_a_change_deletes_are_destroyed_where_that_is_asked_for(committed: Desk) -> None:
    """`h` reads `far`, which reads `prod`: each is destroyed before what it reads."""
    dev = (
        textwrap.dedent(DEV)
        + "stack.unit('h', module='plain', inputs={'text': Stack.reference('far').unit('g').outputs.text})\n"
    )
    committed.write({"stacks/far/stack.py": FAR, "stacks/team/dev/stack.py": dev})
    applied(committed)
    (committed.root / "stacks/team/dev/stack.py").write_text(textwrap.dedent(DEV))
    committed.git("rm", "-rq", "stacks/far", "stacks/prod")
    status = ("status", "--short", "--ignored", "stacks/far", "stacks/prod")
    before = committed.git(*status)
    done = committed.run("plan", "--affected", "--base", "HEAD")
    assert "deleted since HEAD: team/dev/h, the stack far, the stack prod; --prune destroys" in done.err
    assert "to destroy" not in done.out.replace("0 to destroy", "")
    done = committed.run("plan", "--affected", "--base", "HEAD", "--prune")
    assert (done.code, committed.git(*status)) == (0, before), done.err
    assert "far/f (destroy): 1 to destroy" in done.out
    committed.commit()
    done = committed.run("apply", "--affected", "--base", "HEAD~1", "--prune", "--auto-approve", "--json")
    assert done.code == 0, done.err
    stacks = json.loads(done.out)["stacks"]
    assert {stack: sorted(of["units"]) for stack, of in stacks.items()} == {
        "far": ["f", "g"],
        "prod": ["a", "b", "c", "d"],
        "team/dev": ["h"],
    }
    states = [*committed.root.glob("stacks/far/state/*.tfstate"), *committed.root.glob("stacks/prod/state/*.tfstate")]
    assert {state.stem: json.loads(state.read_text())["resources"] for state in states} == {
        unit: [] for unit in "abcdfg"
    }
    assert committed.git("ls-files", "stacks/far", "stacks/prod").count("record/runs/") == 2
    assert "record/f.json" not in committed.git("ls-files", "stacks/far")
    again = committed.run("apply", "--affected", "--base", "HEAD~2", "--prune", "--auto-approve")
    assert (again.code, "to destroy" in again.out) == (0, False), again.err


def test_a_run_that_died_while_it_destroyed_a_deleted_stack_is_seen_to(
    committed: Desk, start: Callable[..., Child]
) -> None:
    mark = committed.root.parent / "begun"
    slow = f"""
        resource "terraform_data" "it" {{
          provisioner "local-exec" {{
            when    = destroy
            command = "touch {mark}; exec sleep 2"
          }}
        }}
        """
    spec = "from infra_orch import Stack\nstack = Stack('far')\nf = stack.unit('f', module='slow')\nstack.unit('g', module='slow', after=[f])\n"
    committed.write({"modules/slow/main.tf": slow, "stacks/far/stack.py": spec})
    applied(committed)
    destroy = ("apply", "--affected", "--base", committed.git("rev-parse", "HEAD").strip(), "--prune", "--auto-approve")
    committed.git("rm", "-rq", "stacks/far")
    committed.commit()
    child = start(*destroy)
    until(mark.exists, "the destroy of g")
    child.kill_alone()
    recovered = committed.run("recover", "far")
    assert recovered.code == 0, recovered.err
    assert "g" in recovered.out
    done = committed.run(*destroy, "--json")
    assert done.code == 0, done.err
    assert list(json.loads(done.out)["stacks"]["far"]["units"]) == ["f"]
    assert "nothing is affected" in committed.run("plan", "--affected", "--base", "HEAD").err


def test_a_stack_whose_states_are_elsewhere_is_not_taken_for_destroyed(committed: Desk) -> None:
    applied(committed)
    shutil.rmtree(committed.root / "stacks/team")
    done = committed.run("apply", "--affected", "--base", "HEAD", "--prune", "--auto-approve")
    assert done.code == 77
    assert "e exists, says the record in git, and no state is in stacks/team/dev/state/" in done.err


def test_a_stack_whose_folder_is_called_otherwise_is_not_destroyed_under_the_new_one(committed: Desk) -> None:
    spec = 'from infra_orch import Backend, Stack\nstack = Stack("far", backend=Backend("local", path="{root}/{stack}-{unit}.tfstate"))\nstack.unit("f", module="plain", inputs={"text": "f"})\n'
    committed.write({"stacks/far/stack.py": spec.replace("{root}", str(committed.root.parent))})
    applied(committed)
    committed.git("mv", "stacks/far", "stacks/near")
    assert committed.run("render", "near").code == 0
    done = committed.run("apply", "--affected", "--base", "HEAD", "--prune", "--auto-approve")
    assert "far/f is not destroyed: its state is that of f in stacks/near now" in done.err
    assert "unchanged: near/f" in done.out


def test_a_stack_whose_file_is_gone_keeps_nobody_from_the_others(committed: Desk) -> None:
    applied(committed)
    (committed.root / "stacks/team/dev/stack.py").unlink()
    done = committed.run("plan", "--all")
    assert done.code == 0, done.err
    assert "team/dev: the stack file is gone" in done.err
    assert "infra-orch destroy team/dev --from-rendered" in done.err
    assert committed.run("validate", "--all").code == 0
    document = json.loads(committed.run("graph", "--affected", "--base", "HEAD", "--format", "json").out)
    assert document["deleted"] == [{"stack": "team/dev", "unit": "e"}]
    assert committed.run("destroy", "team/dev", "--from-rendered", "--auto-approve").code == 0
