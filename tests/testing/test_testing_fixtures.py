"""The pytest plugin's fixtures, used as the author of a project would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from author_of_tests import Author

from infra_orch.testing.copying import copy_project

pytest_plugins = ["pytester"]

WHOLE = """
    import os

    from infra_orch.testing import SENSITIVE, UNKNOWN

    TERRAFORM_DATA = "terraform_data.service"


    def test_the_stack_is_what_the_spec_says(stack):
        assert (stack.name, stack.order, stack.tasks) == ("shop", ("database", "web", "check"), ("check",))
        web = stack.units["web"]
        assert web.inputs == {"name": "web-of-${database.outputs.name}", "uses": ["${database.outputs.id}"]}
        assert (web.tags, web.protect, stack.units["database"].protect) == (("front",), False, True)
        assert stack.comes_after("check") == {"database", "web"}


    def test_a_plan_tells_what_is_known_and_what_is_not(planned):
        assert planned.summary == "Plan: 4 to add, 0 to change, 0 to destroy."
        web = planned.resource(TERRAFORM_DATA, unit="web")
        assert (web.address, web.action) == ("module.web.terraform_data.service", "create")
        assert web["input"] == {"name": "web-of-database", "uses": [UNKNOWN]}
        assert web.is_unknown("id") and web["triggers_replace"] is None
        assert planned.outputs["web"] == {"name": "web-of-database", "id": UNKNOWN, "password": SENSITIVE}
        assert [one.unit for one in planned.resources(type="terraform_data", unit="web")] == ["web", "web"]
        planned.assert_no_resource("terraform_data.nothing")


    def test_what_is_sensitive_is_shown_to_who_asks_for_it_alone(planned, applied):
        for there in (planned, applied):
            secret = there.resource('terraform_data.secret["a"]', unit="web")
            assert secret.is_sensitive("input") and secret.reveal("input") == "correct-horse"
            there.assert_resource('terraform_data.secret["a"]', unit="web", input="correct-horse")
        assert applied.outputs["web"]["password"] is SENSITIVE
        assert applied.reveal("web", "password") == "correct-horse"
        assert "correct-horse" not in f"{planned!r} {applied!r}"


    def test_it_is_there_and_stays_as_it_is(applied):
        used = applied.outputs["database"]["id"]
        applied.assert_resource(TERRAFORM_DATA, unit="web", output={"name": "web-of-database", "uses": [used]})
        assert applied.tasks == {"check": {"of": "database"}}
        applied.assert_no_changes()


    def test_a_task_is_run_once_more(applied):
        assert applied.run_task("check") == {"of": "database"}


    def test_a_change_is_told_and_nothing_comes_of_it(applied):
        changed = applied.plan_again({"web": {"name": "other"}})
        assert changed.summary == "Plan: 0 to add, 1 to change, 0 to destroy."
        found = changed.assert_resource(TERRAFORM_DATA, unit="web", action="update")
        assert (found.before["input"]["name"], found["input"]["name"]) == ("web-of-database", "other")
        applied.assert_no_changes()
"""


def test_a_stack_is_loaded_planned_and_applied_and_the_project_stays_as_it_was(shop: Author) -> None:
    shop.write({"tests/test_shop.py": WHOLE})
    commit = shop.desk.commit()
    shop.pytest().assert_outcomes(passed=6)
    assert (shop.desk.git("rev-parse", "HEAD"), shop.desk.git("status", "--porcelain", "--ignored")) == (commit, "")


def test_failed_assertions_speak_as_terraform_does(shop: Author) -> None:
    shop.write(
        {
            "tests/test_shop.py": """
                def test_nearest(planned):
                    planned.resource("terraform_data.servce", unit="web")

                def test_instances(planned):
                    planned.resource("terraform_data.secret", unit="web")

                def test_several(planned):
                    planned.resource("terraform_data.service")

                def test_attribute(planned):
                    planned.assert_resource("terraform_data.service", unit="web", action="update", id="x", inptu=1)

                def test_unknown(planned):
                    assert planned.outputs["web"]["id"] == "x"

                def test_changes(planned):
                    planned.assert_no_changes()

                def test_there(planned):
                    planned.assert_no_resource("terraform_data.secret", unit="web")

                def test_unit(planned):
                    planned.outputs["wbe"]
            """
        }
    )
    done = shop.pytest()
    done.assert_outcomes(failed=8)
    done.stdout.fnmatch_lines(
        [
            'E *there is no terraform_data.servce in web; did you mean "terraform_data.service"?',
            'E *terraform_data.secret has instances in web: terraform_data.secret[[]"a"[]]; name one of them',
            "E *terraform_data.service is in several units (database, web): say which, with unit=",
            "E *module.web.terraform_data.service will be created, and not as expected:",
            "E *action: expected update, and it will be created",
            'E *id: expected "x", and it is (known after apply)',
            'E *inptu: there is no such attribute; did you mean "input"?',
            "E *nobody knows this before an apply: the fixture `applied` has it",
            "E *expected no changes. Plan: 4 to add, 0 to change, 0 to destroy.",
            "E *module.database.terraform_data.* will be created",
            'E *module.web.terraform_data.secret[[]"a"[]] will be created',
            'E *there is no unit "wbe"; did you mean "web"?',
        ]
    )
    # What it shows of code is the test's own.
    assert "infra_orch/testing" not in done.stdout.str()


def test_what_is_wrong_with_a_spec_is_one_message_with_its_line(shop: Author) -> None:
    spec = shop.root / "stacks/shop/stack.py"
    spec.write_text(spec.read_text().replace('inputs={"name": "database"}', 'inputs={"nmae": "database"}'))
    shop.write({"tests/test_shop.py": "def test_it(stack):\n    pass\n"})
    done = shop.pytest()
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["error: stacks/shop/stack.py:4: *nmae*", '*→ did you mean "name"?'])
    assert not [word for word in ("Traceback", "During handling", "def ") if word in done.stdout.str()]


def test_of_several_stacks_the_file_says_which(shop: Author) -> None:
    shop.write(
        {
            "stacks/team/other/stack.py": 'from infra_orch import Stack\n\nstack = Stack("other")\n',
            "tests/test_which.py": "def test_it(stack):\n    pass\n",
            "tests/test_other.py": """
                import pytest

                pytestmark = pytest.mark.stack("team/other")

                def test_it(stack):
                    assert stack.name == "other"
            """,
            "tests/test_missing.py": """
                import pytest

                pytestmark = pytest.mark.stack("shpo")

                def test_it(stack):
                    pass
            """,
        }
    )
    done = shop.pytest()
    done.assert_outcomes(passed=1, errors=2)
    done.stdout.fnmatch_lines(
        [
            'error: there is no stack "shpo": stacks/shpo/stack.py is missing',
            '*→ did you mean "shop"?',
            "error: there are 2 stacks, and the test does not say which it is about",
            '*→ pytestmark = pytest.mark.stack("NAME"), of shop, team/other',
        ]
    )


def test_a_mark_at_one_test_would_go_unheard_and_is_refused(shop: Author) -> None:
    shop.write(
        {
            "tests/test_shop.py": """
                import pytest

                @pytest.mark.stack("shop")
                def test_it(stack):
                    pass
            """
        }
    )
    done = shop.pytest()
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: *test_it: a stack is of a whole file: pytestmark = pytest.mark.stack(NAME)"])


def test_the_copy_of_a_project_that_may_not_be_written_may_be(shop: Author, tmp_path: Path) -> None:
    inner = shop.desk.root / "stacks/shop"
    inner.chmod(0o555)
    try:
        copy_project(shop.desk.root, tmp_path / "copy", ())
    finally:
        inner.chmod(0o755)
    assert (tmp_path / "copy/stacks/shop").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("said", ['"shop", destory=False', '"shop", "more"', "3", '""', '"shop", destroy="no"'])
def test_a_mark_that_says_what_none_can_is_one_message(shop: Author, said: str) -> None:
    shop.write(
        {
            "test_it.py": f"""
            import pytest

            pytestmark = pytest.mark.stack({said})


            def test_it(stack):
                pass
            """
        }
    )
    done = shop.pytest()
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["error: pytest.mark.stack(*) says what no such mark can"])
    done.stdout.no_fnmatch_line("*Traceback*")


def test_a_module_is_tested_by_a_stack_of_the_test_without_stacks_and_without_git(
    pytester: pytest.Pytester, author: Author
) -> None:
    author.write(
        {
            "modules/tested/main.tf": 'resource "terraform_data" "this" {\n  input = var.name\n}\n\nvariable "name" {}\n',
            "modules/tested/tests/helper/main.tf": 'output "name" {\n  value = "helped"\n}\n',
            "modules/tested/tests/test_tested.py": """
                import pytest

                from infra_orch import Stack


                @pytest.fixture(scope="module")
                def stack():
                    stack = Stack("tested")
                    helper = stack.unit("helper", module="./helper")
                    stack.unit("it", module="tested", inputs={"name": helper.outputs.name})
                    return stack


                def test_it_is_named(applied, rendered):
                    applied.assert_resource("terraform_data.this", unit="it", output="helped")
                    assert 'from stacks/tested/stack.py, unit "it"' in rendered["it/main.tf"]


                def test_an_input_is_refused_with_the_line_of_the_test(applied):
                    with pytest.raises(Exception, match='"naem"'):
                        applied.plan_again({"it": {"naem": 1}})
            """,
            "modules/tested/tests/test_wrong.py": """
                import pytest

                from infra_orch import Stack


                @pytest.fixture(scope="module")
                def stack():
                    stack = Stack("wrong")
                    stack.unit("it", module="tested")
                    return stack


                def test_it(planned):
                    pass
            """,
        }
    )
    for name in (".git", "stacks"):
        subprocess.run(["rm", "-r", str(author.root / name)], check=True)
    done = author.pytest()
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["error: modules/tested/tests/test_wrong.py:9: *"])


def test_what_terraform_refuses_fails_the_tests_and_not_those_of_the_next_file(shop: Author) -> None:
    shop.write(
        {
            "modules/failing/main.tf": """
                resource "terraform_data" "made" {}

                resource "terraform_data" "this" {
                  depends_on = [terraform_data.made]

                  provisioner "local-exec" {
                    command = "echo no room left; exit 1"
                  }
                }
            """,
            "stacks/failing/stack.py": """
                from infra_orch import Stack

                stack = Stack("failing")
                failing = stack.unit("failing", module="failing")
                stack.unit("after", module="service", inputs={"name": "x"}, after=[failing])
            """,
            "tests/test_a_failing.py": """
                import pytest

                pytestmark = pytest.mark.stack("failing")

                def test_planned(planned):
                    pass

                def test_applied(applied):
                    pass
            """,
            "tests/test_b_again.py": """
                import pytest

                pytestmark = pytest.mark.stack("failing")

                def test_planned(planned):
                    assert planned.counts["create"] == 4
            """,
        }
    )
    done = shop.pytest()
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["error: the apply of failing failed", "failing: *", "*exit status 1*"])


def test_stacks_that_a_stack_refers_to_are_there_when_it_is_applied(shop: Author) -> None:
    shop.write(
        {
            "stacks/app/stack.py": """
                from infra_orch import Stack

                stack = Stack("app")
                web = Stack.reference("shop").unit("web")
                stack.unit("app", module="service", inputs={"name": "app", "uses": [web.outputs.id]})
            """,
            "tests/test_app.py": """
                import pytest

                from infra_orch.testing import UNKNOWN

                pytestmark = pytest.mark.stack("app")

                def test_before_nothing_is_known(planned):
                    assert planned.resource("terraform_data.service")["input"]["uses"] == [UNKNOWN]

                def test_it_is_given_what_there_is(applied):
                    (used,) = applied.resource("terraform_data.service")["output"]["uses"]
                    assert len(used) == 36
                    applied.assert_no_changes()
            """,
        }
    )
    shop.pytest().assert_outcomes(passed=2)


def test_what_cannot_be_planned_yet_and_what_policies_deny_is_told(shop: Author) -> None:
    shop.write(
        {
            "modules/counted/main.tf": """
                variable "of" {
                  type = string
                }

                resource "terraform_data" "one" {
                  for_each = toset([var.of])
                }
            """,
            "policies/names.py": """
                from infra_orch import policy

                @policy("deny")
                def no_database(plan):
                    return [change for change in plan.changes if plan.unit == "database"]
            """,
            "stacks/shop/stack.py": SHOP_WITH_A_COUNT,
            "tests/test_shop.py": """
                def test_planned(planned):
                    assert planned.units["counted"].status == "deferred"
                    assert planned.waiting == {"counted": ("web.id",)}
                    assert planned.units["database"].status == "refused"
                    assert "no_database" in planned.units["database"].denials[0]

                def test_looked_for(planned):
                    planned.resource("terraform_data.one", unit="counted")

                def test_applied(applied):
                    pass
            """,
        }
    )
    done = shop.pytest()
    done.assert_outcomes(passed=1, failed=1, errors=1)
    done.stdout.fnmatch_lines(
        [
            "error: the apply of shop failed",
            "database: *",
            "E *counted: it cannot be planned before web.id is known; the fixture `applied` has what becomes of it",
        ]
    )


SHOP_WITH_A_COUNT = """
    from infra_orch import Stack

    stack = Stack("shop")
    stack.unit("database", module="service", inputs={"name": "database"})
    web = stack.unit("web", module="service", inputs={"name": "web"})
    stack.unit("counted", module="counted", inputs={"of": web.outputs.id})
"""


def test_a_run_that_uses_no_fixture_of_the_plugin_imports_nothing_of_what_they_need(author: Author) -> None:
    author.write(
        {
            "test_plain.py": """
                import sys

                def test_nothing_heavy_is_there():
                    heavy = {"infra_orch.commands", "boto3", "botocore", "rich", "hcl2", "jinja2", "moto", "h2"}
                    assert "infra_orch.testing.plugin" in sys.modules
                    assert not heavy & sys.modules.keys()
            """
        }
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "infra_orch.testing.plugin", "test_plain.py"]
    done = subprocess.run(argv, cwd=author.root, capture_output=True, text=True, check=False)
    if "already registered" in done.stderr:  # it is installed, and pytest knows of it
        argv[4:6] = []
        done = subprocess.run(argv, cwd=author.root, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
