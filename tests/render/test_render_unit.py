"""The root modules of units: what Terraform accepts, what fmt leaves alone, the same for the same spec."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from infra_orch.errors import SpecError


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    return subprocess.run(["terraform", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_terraform_fmt_has_nothing_to_change_in_whole_files(everything) -> None:
    assert everything.run("render", "prod").code == 0
    done = terraform(everything.root / "stacks/prod/rendered", "fmt", "-check", "-diff", "-recursive")
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_the_same_spec_makes_the_same_bytes(everything, render) -> None:
    first = render(everything, "prod").files
    assert render(everything, "prod").files == first


def test_every_file_says_where_it_comes_from(everything, render) -> None:
    files = render(everything, "prod").files
    texts = [text for path, text in files.items() if path.endswith(".tf")]
    assert all(text.startswith("# Rendered by infra-orch from stacks/prod/stack.py, unit ") for text in texts)
    assert all("`infra-orch render prod`" in text for text in texts)


def test_no_value_of_the_environment_is_rendered(everything, render, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_SECRET", "hunter2-hunter2")
    files = render(everything, "prod").files
    assert "hunter2" not in "".join(files.values())
    assert 'variable "env_WEB_SECRET" {\n  type      = string\n  sensitive = true\n' in files["web/variables.tf"]


def test_a_unit_chooses_the_provider_that_its_module_gets(everything, render) -> None:
    files = render(everything, "prod").files
    assert "  providers = {\n    aws = aws.us\n  }\n" in files["remote/main.tf"]
    assert 'version = "~> 5.0"' in files["remote/providers.tf"], "an alias is of the version that the provider has"
    assert "eu-west-1" not in files["remote/providers.tf"]


def test_a_module_that_gets_an_alias_gets_the_provider_without_one_too(desk, render) -> None:
    wants = 'source = "hashicorp/aws"\n      configuration_aliases = [aws.replica, aws.main]'
    desk.write(
        {
            "modules/two/main.tf": f"""
                terraform {{
                  required_providers {{
                    aws = {{
                      {wants}
                    }}
                  }}
                }}

                data "aws_region" "it" {{
                }}
            """,
            "stacks/dev/stack.py": """
                from infra_orch import Provider, Stack

                stack = Stack("dev", providers=[Provider("aws"), Provider("aws", alias="us")])
                stack.unit("x", module="two", providers={"aws.replica": "aws.us", "aws.main": "aws"})
            """,
        }
    )
    handed_on = "  providers = {\n    aws         = aws\n    aws.main    = aws\n    aws.replica = aws.us\n  }\n"
    assert handed_on in render(desk, "dev").files["x/main.tf"]


def test_what_is_sensitive_in_the_module_is_so_in_its_root(everything, render) -> None:
    files = render(everything, "prod").files
    assert 'output "password" {\n  value     = module.web.password\n  sensitive = true\n}' in files["web/outputs.tf"]
    assert 'output "key" {\n  value     = module.remote.key\n  sensitive = true\n}' in files["remote/outputs.tf"]


def test_a_renamed_unit_moves_its_resources_and_remembers_its_state(everything, render) -> None:
    rendering = render(everything, "prod")
    assert "moved {\n  from = module.www\n  to   = module.web\n}\n" in rendering.files["web/main.tf"]
    assert '"prod/www.tfstate"' in rendering.stack.units["web"].former_backend


def test_terraform_accepts_a_unit_under_every_name_that_it_may_have(desk) -> None:
    names = ["for", "null", "in", "each", "local", "a-b", "A" * 64]
    desk.write(
        {
            "modules/m/main.tf": 'variable "up" {\n  default = null\n}\n\noutput "in" {\n  value = "x"\n}\n',
            "stacks/dev/stack.py": f"""
            from infra_orch import Stack
            stack = Stack("dev")
            for name in {names!r}:
                unit = stack.unit(name, module="m", inputs={{"up": stack.units[-1].outputs}} if stack.units else {{}})
        """,
        }
    )
    assert desk.run("render", "dev").code == 0
    done = desk.run("plan", "dev", "--json")
    assert done.code == 0, done.err
    assert {unit["status"] for unit in json.loads(done.out)["units"].values()} == {"planned"}


def test_the_state_of_a_stack_that_moved_has_the_same_key(desk, render) -> None:
    desk.write(
        {
            "modules/m/main.tf": "locals {\n}\n",
            "stacks/dev/stack.py": 'from infra_orch import *\nstack = Stack("dev", backend=Backend("gcs", prefix="{stack}/{unit}"))\nstack.unit("x", module="m")\n',
        }
    )
    before = render(desk, "dev").files["x/backend.tf"]
    (desk.root / "stacks/team").mkdir()
    (desk.root / "stacks/dev").rename(desk.root / "stacks/team/dev")
    after = render(desk, "team/dev").files["x/backend.tf"]
    assert [line for line in after.splitlines() if not line.startswith("#")] == [
        line for line in before.splitlines() if not line.startswith("#")
    ]


def test_a_stack_in_a_nested_folder_is_planned_and_keeps_its_state_beside_it(desk) -> None:
    desk.write(
        {
            "modules/m/main.tf": 'resource "terraform_data" "this" {\n}\n',
            "stacks/team/a/dev/stack.py": 'from infra_orch import *\nstack = Stack("dev")\nstack.unit("x", module="m")\n',
        }
    )
    done = desk.run("apply", "team/a/dev", "--auto-approve", "--no-commit")
    assert done.code == 0, done.err
    assert (desk.root / "stacks/team/a/dev/state/x.tfstate").is_file()


@pytest.mark.parametrize("name", ["main.tf.j2", "main.tf"])
def test_a_template_of_the_stacks_own_stands_in_for_the_shipped_one(everything, render, name: str) -> None:
    everything.write(
        {
            f"stacks/prod/templates/{name}": """
        {{ header }}
        # {{ stack.name }} {{ unit.name }} {{ unit.tags | join(",") }}
        module "{{ unit.name }}" {
        {{ source | body(2) }}
        {% for key, value in inputs.items() %}  {{ key }} = {{ value | hcl }}
        {% endfor %}}
    """
        }
    )
    shipped = render(everything, "prod").files["web/main.tf"]
    assert "# prod web b,a\n" in shipped
    assert "value = {\n" in shipped


def test_a_template_can_include_another_of_the_same_folder(everything, render) -> None:
    everything.write(
        {
            "stacks/prod/templates/outputs.tf.j2": '{{ header }}\n{% include "_note.j2" %}\n',
            "stacks/prod/templates/_note.j2": "# a note\n",
        }
    )
    assert "# a note\n" in render(everything, "prod").files["web/outputs.tf"]


@pytest.mark.parametrize(
    ("file", "text", "message", "line"),
    [
        ("main.tf.j2", "a\n{{ unit.nmae }}\n", "template main.tf.j2: 'dict object' has no attribute 'nmae'", 2),
        ("main.tf.j2", "a\nb\n{% if %}\n", "template main.tf.j2: Expected an expression", 3),
        ("main.tf.j2", "{{ nothing }}", "template main.tf.j2: 'nothing' is undefined", 1),
        ("main.tf.j2", "\n{{ 1 / 0 }}", "template main.tf.j2: ZeroDivisionError: division by zero", 2),
        ("main.tf.j2", "{{ unit.__class__.__mro__ }}", "template main.tf.j2: access to attribute '__class__' of 'dict' object is unsafe.", 1),
        ("main.tf.j2", '{% include "../stack.py" %}', "template main.tf.j2: ../stack.py", 1),
        ("main.tf.j2", "{{ {1, 2} | hcl }}", "template main.tf.j2: ", 1),
        ("mian.tf.j2", "", 'template "mian.tf.j2" is of no file that is rendered', 0),
    ],
)  # fmt: skip
def test_an_error_in_a_template_is_shown_at_its_line(
    everything, render, file: str, text: str, message: str, line: int
) -> None:
    everything.write({"stacks/prod/templates/note": ""})
    (everything.root / "stacks/prod/templates/note").unlink()
    (everything.root / "stacks/prod/templates" / file).write_text(text)
    with pytest.raises(SpecError) as caught:
        render(everything, "prod")
    (problem,) = caught.value.problems
    assert problem.message.startswith(message)
    assert (problem.where.file, problem.where.line) == (f"stacks/prod/templates/{file}", line)
