"""The site of the documentation: built without a network, whole, and with nothing in it that asks for anything elsewhere."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci" / "docs"))

import build_site  # noqa: E402
import graph_picture  # noqa: E402

if TYPE_CHECKING:
    from conftest import Desk

WRITTEN = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in build_site.PROJECT)]
MODULES = sorted((ROOT / "modules").glob("*/README.md"))


def without_a_network(argv: list[str]) -> list[str]:
    """The command line that runs *argv* where no address can be reached, if this machine lets one do that."""
    cut_off = ["unshare", "--user", "--map-root-user", "--net"]
    may = (
        shutil.which("unshare") and subprocess.run([*cut_off, "true"], capture_output=True, check=False).returncode == 0
    )
    return [*cut_off, *argv] if may else argv


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    argv = without_a_network([sys.executable, str(ROOT / ".ci" / "docs" / "build_site.py"), str(folder)])
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "public"


class Page(HTMLParser):
    """What a page loads, what it links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "img", "iframe", "source", "video") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "modulepreload", "preconnect"):
            self.loads.append(given["href"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.names.update(given[key] for key in ("id", "name") if key in given)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert {
        one for page in pages.values() for one in page.loads if re.match(r"[a-z]+:|//", one) and one[:5] != "data:"
    } == set()
    for path in pages:
        assert "default-src 'self'" in path.read_text(encoding="utf-8"), path


def test_every_link_within_the_site_leads_to_a_page_and_to_a_place_in_it(site: Path, pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            target, fragment = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", target) or target.startswith("//"):
                continue
            there = (path.parent / target).resolve() if target else path
            there = there / "index.html" if there.is_dir() else there
            if not there.exists() or (fragment and there.suffix == ".html" and fragment not in pages[there].names):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert lost == []


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("# One\n\n[two](#two)\n\n[three](three.md)\n", encoding="utf-8")
    assert not build_site.build(tmp_path)
    said = capsys.readouterr().out
    assert "index.md:3" in said
    assert "index.md:5" in said
    assert "\x1b" not in said
    assert "Traceback" not in said


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert build_site.main(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "user"] == ["mine"]


def test_every_page_can_be_found_in_the_navigation_and_on_the_first_page() -> None:
    navigation = set(
        build_site.in_navigation(
            build_site.navigation(
                build_site.yaml.safe_load((ROOT / ".ci" / "docs" / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
            )
        )
    )
    made = {**build_site.written_pages(), **build_site.generated_pages()}
    assert {page for page in made if page.endswith(".md") and not page.startswith("source/")} == navigation
    first = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    own = [path.name for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "README.md"]
    assert [name for name in own if f"]({name})" not in first] == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_a_page_begins_with_what_it_is_for_and_is_no_book(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("# ")
    assert lines[1] == ""
    assert re.match(r"[\w`*\[]", lines[2]) or lines[2].startswith("## "), lines[2]
    assert len(lines) <= 260 or path.name == "tutorial.md", "is it still one idea?"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.parent.name)
def test_a_module_has_its_page(path: Path, site: Path) -> None:
    assert (site / "modules" / path.parent.name / "index.html").is_file()


def test_a_file_that_a_page_names_is_shown(site: Path) -> None:
    shown = (site / "source" / "github" / "workflows" / "preview.yml" / "index.html").read_text(encoding="utf-8")
    assert "pull_request" in shown


def test_lists_and_what_is_in_them_read_as_at_a_code_host() -> None:
    text = "Do:\n1. this\n\n   ```sh\n   if a; then\n     b\n   fi\n   ```\n\n2. that\n   and\n\nEnd.\n- one\n  - two\n"
    assert build_site.spaced(text) == (
        "Do:\n\n1. this\n\n    ```sh\n    if a; then\n      b\n    fi\n    ```\n\n2. that\n    and\n\nEnd.\n\n- one\n    - two\n"
    )


def test_the_picture_of_the_graph_is_what_the_program_draws() -> None:
    drawn = graph_picture.picture(graph_picture.graph_of_the_demo())
    assert (ROOT / "docs" / "graph.svg").read_text(encoding="utf-8") == drawn, "python .ci/docs/graph_picture.py"


def listed_files() -> list[tuple[str, str]]:
    """The files that docs/files.md names below a project, and under which heading."""
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:3]:
        for row in re.findall(r"^\| (`.+?) \|", part, re.MULTILINE):
            found += [(name, part.partition("\n")[0]) for name in re.findall(r"`([^`]+)`", row)]
    return found


def fits(path: str, name: str) -> bool:
    pattern = re.sub(r"<[\w-]+>", "*", name)
    return fnmatch(path, f"{pattern}*" if pattern.endswith("/") else pattern)


def test_what_a_run_writes_is_on_the_page_of_files(two_units: Desk) -> None:
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    assert two_units.run("plan", "dev", "--destroy", "--out", "dev.plan").code == 0
    assert two_units.run("approve", "last").code == 0
    named = listed_files()
    untold, wrong = [], []
    for path in sorted(one for one in two_units.root.rglob("*") if one.is_file() and ".git" not in one.parts[:-1]):
        name = path.relative_to(two_units.root).as_posix()
        where = {heading for pattern, heading in named if fits(name, pattern)}
        if not where and path.name != ".gitignore":
            untold.append(name)
        private = "Ignored, and private" in where
        committed = bool(two_units.git("ls-files", "--", name))
        within = any(
            stat.S_IMODE(parent.stat().st_mode) == 0o700 for parent in path.parents if two_units.root in parent.parents
        )
        hidden = stat.S_IMODE(path.stat().st_mode) == 0o600 or within
        if path.name != ".gitignore" and (private == committed or (private and not hidden)):
            wrong.append((name, committed, hidden))
    assert untold == []
    assert wrong == []


OLD = """
    variable "name" {
      type    = string
      default = "prod"
    }

    resource "terraform_data" "network" {
      input = var.name
    }

    resource "terraform_data" "subnet" {
      count = 2
      input = "${var.name}-${count.index}"
    }

    output "id" {
      value = terraform_data.network.id
    }
"""


def test_a_root_module_is_moved_as_the_page_says(desk: Desk) -> None:
    """Its state comes along, and a plan has nothing to do."""
    page = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
    desk.write({"old/main.tf": OLD, "modules/network/main.tf": OLD})
    for words in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *words, "-no-color"], cwd=desk.root / "old", check=True, capture_output=True)
    spec = re.search(r"^```python\n(# stacks/prod/stack\.py\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert spec
    desk.write({"stacks/prod/stack.py": spec[1]})
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    ours = f'infra-orch() {{ "{sys.executable}" -m infra_orch "$@"; }}'
    argv = ["bash", "-euo", "pipefail", "-c", f"{ours}\n{script}"]
    done = subprocess.run(argv, cwd=desk.root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.search(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown
    assert shown[1] in done.stdout
