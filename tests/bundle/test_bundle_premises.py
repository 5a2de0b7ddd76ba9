"""Which files a plan rests on."""

from __future__ import annotations

from infra_orch.bundle.premises import sources_of
from infra_orch.graph.graph import Graph
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import RenderedStack
from infra_orch.settings import Settings


def sources(desk, *modules):
    folder = StackFolder(Project(desk.root, Settings()), desk.root / "stacks/dev")
    return sources_of(RenderedStack("dev", folder, {}, {}, Graph.of((), ())), modules)


def test_all_that_lies_in_a_modules_folder_counts(desk):
    desk.write({"modules/a/main.tf": "", "modules/a/user_data.sh": "", "modules/a/deep/er/page.html": ""})
    assert set(sources(desk, "modules/a")) == {
        "modules/a/main.tf",
        "modules/a/user_data.sh",
        "modules/a/deep/er/page.html",
    }


def test_what_lies_there_by_accident_does_not(desk):
    desk.write({"modules/a/main.tf": "", "modules/a/.DS_Store": "", "modules/a/.terraform/providers/x": ""})
    assert set(sources(desk, "modules/a")) == {"modules/a/main.tf"}


def test_local_modules_that_it_calls_count_wherever_they_lie(desk):
    desk.write(
        {
            "modules/a/main.tf": 'module "b" {\n  source = "../b"\n}\n',
            "modules/b/main.tf": 'module "c" {\n  source = "../../shared/c"\n}\n',
            "shared/c/main.tf.json": '{"module": {"a": {"source": "../../modules/a"}}}',
            "modules/d/main.tf": "",
        }
    )
    assert set(sources(desk, "modules/a")) == {"modules/a/main.tf", "modules/b/main.tf", "shared/c/main.tf.json"}


def test_the_spec_counts(desk):
    desk.write({"stacks/dev/stack.py": ""})
    assert set(sources(desk)) == {"stacks/dev/stack.py"}


def test_a_module_from_a_registry_has_no_files_here(desk):
    assert sources(desk, "terraform-aws-modules/vpc/aws") == {}


def test_links_are_followed_and_a_circle_of_them_ends(desk):
    desk.write({"modules/a/main.tf": "", "shared/page.html": ""})
    (desk.root / "modules/a/linked").symlink_to(desk.root / "shared")
    (desk.root / "shared/back").symlink_to(desk.root / "modules")
    assert {"modules/a/main.tf", "modules/a/linked/page.html"} <= set(sources(desk, "modules/a"))


def test_a_file_that_is_no_terraform_by_content_still_counts(desk):
    desk.write({"modules/a/main.tf": "module {{{\n"})
    (desk.root / "modules/a/bytes.tf").write_bytes(b"\xff")
    assert set(sources(desk, "modules/a")) == {"modules/a/main.tf", "modules/a/bytes.tf"}


def test_what_a_module_reads_outside_its_own_folder_counts(desk):
    reads = """
        locals {
          users = jsondecode(file("${path.module}/../users.json"))
          page  = templatefile("${ path.module }/../../pages/${var.page}.html", { price = "$1" })
          all   = fileset("${path.module}/../../assets", "**")
          own   = file("${path.module}/own.txt")
          gone  = fileexists("${path.module}/../gone.txt")
          every = fileset("${path.module}/../..", "stacks/**")
        }
    """
    desk.write(
        {"modules/a/main.tf": reads, "modules/a/own.txt": "", "modules/users.json": "[]", "modules/other.txt": ""}
    )
    desk.write({"pages/a.html": "", "pages/b.html": "", "assets/img/a.svg": "", "assets/.DS_Store": "", "README": ""})
    assert set(sources(desk, "modules/a")) == {
        "modules/a/main.tf",
        "modules/a/own.txt",
        "modules/users.json",
        "pages/a.html",
        "pages/b.html",
        "assets/img/a.svg",
    }
