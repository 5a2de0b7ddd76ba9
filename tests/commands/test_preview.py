"""`preview --base REF`: what a change would do, as a comment that tells it first what matters."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Begin, Desk

MODULE = """
    variable "text" {
      type = string
    }

    variable "id" {
      type    = string
      default = "one"
    }

    resource "terraform_data" "it" {
      input            = var.text
      triggers_replace = var.id
    }

    output "text" {
      value = terraform_data.it.output
    }
    """
NETWORK = """
    from infra_orch import Stack

    stack = Stack("network")
    stack.unit("vpc", module="it", inputs={"text": "v1"})
    stack.unit("dns", module="it", inputs={"text": "d"})
    """
APP = """
    from infra_orch import Stack

    stack = Stack("app")
    web = stack.unit("web", module="it", inputs={"text": Stack.reference("network").unit("vpc").outputs.text})
    stack.unit("old", module="it", inputs={"text": "o"})
    """


@pytest.fixture
def branch(begin: Begin) -> Desk:
    """Two applied stacks, and a change of both that is committed."""
    return begin(changed)


def changed(desk: Desk) -> None:
    desk.write({"modules/it/main.tf": MODULE, "stacks/network/stack.py": NETWORK, "stacks/app/stack.py": APP})
    desk.commit()
    assert desk.run("apply", "--all", "--auto-approve").code == 0
    desk.git("tag", "main-then")
    app = APP.replace('stack.unit("old", module="it", inputs={"text": "o"})', "").rstrip()
    new = '    stack.unit("new", module="it", inputs={"text": "```\\\\n# forged @octocat"}, after=[web])\n'
    desk.write(
        {
            "stacks/network/stack.py": NETWORK.replace('"text": "v1"', '"text": "v2"').replace(
                '"text": "d"', '"text": "d", "id": "two"'
            ),
            "stacks/app/stack.py": f"{app}\n{new}",
        }
    )
    assert desk.run("render", "--all").code == 0
    desk.commit()


WHOLE = """\
### infra-orch: 1 to destroy, 1 to replace, 1 to create, 2 to update · 5 units in 2 stacks

#### Destroyed or replaced: 2 resources

```diff
- app/old: module.old.terraform_data.it is destroyed
- network/dns: module.dns.terraform_data.it is replaced
-     triggers_replace = "one" → "two"  # forces replacement
```

<details><summary><code>app/old</code>: 1 to destroy · the unit is destroyed</summary>

```diff
- module.old.terraform_data.it
  outputs that change: text
```

</details>

<details><summary><code>network/dns</code>: 1 to replace</summary>

```diff
- module.dns.terraform_data.it  (replaced)
-     id = "UUID" → (known after apply)
-     output = "d" → (known after apply)
-     triggers_replace = "one" → "two"  # forces replacement
  outputs that change: text
```

</details>

<details><summary><code>app/web</code>: 1 to update · not known yet: network/vpc.text</summary>

```diff
! module.web.terraform_data.it
!     input = "v1" → (known after apply)
!     output = "v1" → (known after apply)
  outputs that change: text
```

</details>

<details><summary><code>network/vpc</code>: 1 to update</summary>

```diff
! module.vpc.terraform_data.it
!     input = "v1" → "v2"
!     output = "v1" → (known after apply)
  outputs that change: text
```

</details>

<details><summary><code>app/new</code>: 1 to create</summary>

````diff
+ module.new.terraform_data.it
+     input = "```\\\\n# forged @octocat"
+     triggers_replace = "one"
+     id, output = (known after apply)
  outputs that change: text
````

</details>

run `RUN` and 1 more · commit `COMMIT` compared with `main-then` · [full report](<https://ci.example.com/1>)

<!-- infra-orch preview: default -->
"""


def masked(text: str) -> str:
    """What is another one each time, by its kind."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID", text)
    return re.sub(r"commit `[0-9a-f]{12}`", "commit `COMMIT`", re.sub(r"run `[0-9TZa-f-]+`", "run `RUN`", text))


def test_a_change_of_several_stacks_is_one_comment(branch: Desk) -> None:
    done = branch.run("preview", "--base", "main-then", "--prune", "--report-url", "https://ci.example.com/1")
    assert done.code == 0, done.err
    assert masked(done.out) == WHOLE
    assert "network/dns" in done.err, "how it went is told beside it"


def test_what_left_the_spec_and_stays_is_named(branch: Desk) -> None:
    done = branch.run("preview", "--base", "main-then", "--detailed-exitcode")
    assert done.code == 2
    assert "1 deleted, not destroyed" in done.out.split("\n")[0]
    assert "**1 deleted by this change, and left as it is**: `app/old`. With `--prune`" in done.out
    assert "left the spec" not in done.out, "it is told once"


def test_a_change_that_does_nothing_but_delete_is_not_said_to_change_nothing(branch: Desk) -> None:
    branch.git("checkout", "--quiet", "main-then")
    branch.git("rm", "--quiet", "-r", "stacks/app")
    branch.commit("No app any more")
    done = branch.run("preview", "--base", "main-then")
    assert done.out.startswith("### infra-orch: 1 deleted, not destroyed\n")
    assert "`the stack app`" in done.out


def test_it_is_written_where_that_is_asked_for_and_is_a_document_for_programs(branch: Desk) -> None:
    done = branch.run("preview", "app", "--base", "main-then", "--out", "comment.md", "--group", "app")
    assert (done.code, done.out) == (0, "")
    assert "wrote comment.md" in done.err
    assert (branch.root / "comment.md").read_text().endswith("<!-- infra-orch preview: app -->\n")
    document = json.loads(branch.run("preview", "--base", "main-then", "--format", "json").out)
    assert sorted(document["stacks"]) == ["app", "network"]


def test_a_ci_shows_it_as_tests_and_at_the_rendered_files(branch: Desk) -> None:
    done = branch.run("preview", "--base", "main-then", "--prune", "--format", "junit")
    assert done.code == 0, done.err
    suites = {suite.get("name"): suite for suite in ET.fromstring(done.out)}
    assert {name: suite.get("tests") for name, suite in suites.items()} == {"app": "3", "network": "2"}
    said = {f"{case.get('classname')}/{case.get('name')}": case.findtext("system-out") for case in suites["app"]}
    assert said["app/old"] == "1 to destroy · the unit is destroyed\n- module.old.terraform_data.it"
    done = branch.run("preview", "--base", "main-then", "--prune", "--format", "sarif")
    (run,) = json.loads(done.out)["runs"]
    assert {(one["ruleId"], one["level"]) for one in run["results"]} == {
        ("destroyed", "warning"),
        ("replaced", "warning"),
    }
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]]
    assert sorted(places) == ["stacks/app/rendered/old/main.tf", "stacks/network/rendered/dns/main.tf"]


def test_a_page_has_the_units_of_all_stacks(branch: Desk) -> None:
    done = branch.run("preview", "--base", "main-then", "--prune", "--format", "html", "--out", "report.html")
    assert done.code == 0, done.err
    page = (branch.root / "report.html").read_text()
    found = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [unit["name"] for unit in found["units"]] == ["app/old", "app/web", "app/new", "network/dns", "network/vpc"]
    assert page.count('<path class="line"') == 2, "app/new after app/web, and that after network/vpc"
    assert "<!DOCTYPE html>" in branch.run("preview", "--base", "HEAD", "--format", "html").out


def test_where_nothing_is_affected_that_is_the_comment(branch: Desk) -> None:
    done = branch.run("preview", "--base", "HEAD")
    assert (done.code, done.out.splitlines()[0]) == (0, "### infra-orch: no changes")
    document = json.loads(branch.run("preview", "--base", "HEAD", "--format", "json").out)
    assert (document["status"], document["stacks"]) == ("unchanged", {})


def test_a_plan_that_fails_is_told_and_the_exit_code_says_so(branch: Desk) -> None:
    branch.write({"modules/it/main.tf": MODULE.replace("var.id\n", 'file("${path.module}/none")\n')})
    done = branch.run("preview", "--base", "main-then")
    assert done.code == 1
    assert done.out.startswith("### infra-orch: 2 failed, 2 blocked, 1 deleted, not destroyed\n")
    assert "#### `network/dns` failed" in done.out
    assert "Invalid value for" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a preview compares with a commit, which is missing"),
        (("--base", "none"), 'there is no commit "none" here'),
        (("--base", "HEAD", "--format", "pdf"), 'there is no --format "pdf"'),
        (("--base", "HEAD", "--group", "-->"), '--group "-->" is no name'),
        (("--base", "HEAD", "--report-url", "javascript:alert(1)"), "is no address"),
        (("--base", "HEAD", "--limit", "10"), "--limit 10 is too short"),
    ],
)
def test_what_cannot_be_is_refused_with_what_mends_it(two_units: Desk, words: tuple[str, ...], message: str) -> None:
    done = two_units.run("preview", *words)
    assert (done.code, message in done.err) == (64, True), done.err
    assert "→" in done.err
