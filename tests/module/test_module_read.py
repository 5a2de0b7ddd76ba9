from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra_orch.errors import Problem, SpecError, Where
from infra_orch.module.declaration import Module
from infra_orch.module.read import read_module


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read(folder: Path, cache: Path | None = None) -> Module:
    return read_module(folder, shown_as="modules/network", cache=cache)


def problems(folder: Path) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        read(folder)
    return list(caught.value.problems)


def providers_by_terraform(terraform: Any, folder: Path) -> set[str]:
    """What `terraform providers` says that a module and those nested in it use: the last words of the addresses."""
    assert terraform(folder, "get").returncode == 0
    done = terraform(folder, "providers")
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"provider\[[^\]]*/([^/\]]+)\]", done.stdout)) - {"terraform"}


def test_variables_are_read_with_all_that_they_declare(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "variables.tf": """\
variable "zones" {
  type = map(
    object({
      cidr = string # a comment with a brace {
      /* and ( another */
      size = optional(number, 8)
  }))
  description = "Zones: \\"a\\" \\u00e9 $${literal}"
  nullable    = false
}

variable secret {
  default   = null
  sensitive = true
  ephemeral = "true"
}
"""
        },
    )
    variables = read(tmp_path).variables
    zones, secret = variables["zones"], variables["secret"]
    assert zones.constraint == "map(object({cidr = string, size = optional(number, 8)}))"
    assert zones.description == 'Zones: "a" é ${literal}'
    assert (zones.required, zones.nullable, zones.sensitive, zones.ephemeral) == (True, False, False, False)
    assert zones.where == Where("modules/network/variables.tf", 1)
    assert (secret.required, secret.nullable, secret.sensitive, secret.ephemeral) == (False, True, True, True)
    assert (secret.constraint, secret.description) == (None, "")
    assert secret.where == Where("modules/network/variables.tf", 12)


def test_outputs_are_read_with_their_sensitivity(tmp_path: Path) -> None:
    text = 'output "id" {\n  value = 1\n}\noutput "key" {\n  value = 2\n  sensitive = true\n  description = "Key"\n}\n'
    outputs = read(write(tmp_path, {"main.tf": text})).outputs
    assert [(o.name, o.sensitive, o.description, o.where.line) for o in outputs.values()] == [
        ("id", False, "", 1),
        ("key", True, "Key", 4),
    ]


def test_what_cannot_be_known_counts_as_sensitive(tmp_path: Path) -> None:
    module = read(
        write(tmp_path, {"a.tf": 'variable "a" {\n sensitive = var.x\n nullable = !true\n ephemeral = 1 > 0\n}\n'})
    )
    assert (module.variables["a"].sensitive, module.variables["a"].nullable, module.variables["a"].ephemeral) == (
        True,
        True,
        True,
    )


def test_the_required_variables_are_those_that_terraform_asks_for(tmp_path: Path, terraform: Any) -> None:
    text = 'variable "a" {}\nvariable "b" {\n  default = null\n}\nvariable "é" {\n  type = object({ ü = string })\n}\n'
    write(tmp_path, {"m/a.tf": text, "main.tf": 'module "m" {\n  source = "./m"\n}\n'})
    # Newer ones ask already when they fetch modules, older ones when they validate.
    got = terraform(tmp_path, "get", "-no-color")
    said = got.stderr if got.returncode else terraform(tmp_path, "validate", "-no-color").stderr
    asked = set(re.findall(r'argument "(\w+)" is required', re.sub(r"\s+", " ", said)))
    variables = read(tmp_path / "m").variables
    assert {variable.name for variable in variables.values() if variable.required} == asked
    assert variables["é"].constraint == "object({ü = string})"


def test_a_heredoc_is_a_description(tmp_path: Path) -> None:
    text = 'variable "a" {\n  description = <<-EOT\n    One { brace\n      "two"\n  EOT\n}\nvariable "b" {}\n'
    variables = read(write(tmp_path, {"a.tf": text})).variables
    assert variables["a"].description == 'One { brace\n  "two"\n'
    assert variables["b"].where.line == 7


def test_json_syntax_says_the_same_as_the_native_one(tmp_path: Path) -> None:
    native = """\
variable "a" {
  type        = list(string)
  description = "é"
}
variable "b" {
  default   = 1
  sensitive = true
}
output "o" {
  value = 1
}
terraform {
  required_version = ">= 1.6"
  required_providers {
    random = {
      source                = "hashicorp/random"
      configuration_aliases = [random.second]
    }
  }
}
data "http" "x" {}
resource "google_project" "x" {
  provider = google-beta.eu
}
"""
    document = {
        "//": "a comment",
        "variable": [
            {"a": {"type": "list(string)", "description": "é"}},
            {"b": [{"default": 1, "sensitive": True}]},
        ],
        "output": {"o": {"value": 1}},
        "terraform": {
            "required_version": ">= 1.6",
            "required_providers": {
                "random": {"source": "hashicorp/random", "configuration_aliases": ["random.second"]}
            },
        },
        "data": {"http": {"x": {}}},
        "resource": {"google_project": {"x": {"provider": "google-beta.eu"}}},
    }
    first = read(write(tmp_path / "native", {"main.tf": native}))
    second = read(write(tmp_path / "json", {"main.tf.json": json.dumps(document, indent=2, ensure_ascii=False)}))
    assert _without_places(second) == _without_places(first)
    lines = (tmp_path / "json" / "main.tf.json").read_text().split("\n")
    assert '"b": [' in lines[second.variables["b"].where.line - 1]
    assert '"o": {' in lines[second.outputs["o"].where.line - 1]


def _without_places(module: Module) -> dict[str, Any]:
    shown = json.loads(re.sub(r"Where\(.*?\)", "", json.dumps(vars(module), default=str)))
    shown["providers"], shown["configuration_aliases"] = module.providers, module.configuration_aliases
    del shown["files"]
    return dict(shown)


def test_an_override_file_changes_what_it_names_and_is_no_duplicate(tmp_path: Path) -> None:
    module = read(
        write(
            tmp_path,
            {
                "override.tf": 'variable "b" {\n  default = 1\n}\n',
                "variables.tf": 'variable "a" {\n  type = string\n}\nvariable "b" {\n  type = number\n}\n',
                "z_override.tf": 'variable "a" {\n  sensitive = true\n}\n',
            },
        )
    )
    a, b = module.variables["a"], module.variables["b"]
    assert (a.constraint, a.sensitive, a.required, b.constraint, b.required) == ("string", True, True, "number", False)
    assert b.where == Where("modules/network/variables.tf", 4)
    assert module.files == ("override.tf", "variables.tf", "z_override.tf")


def test_providers_are_those_that_terraform_finds(tmp_path: Path, terraform: Any) -> None:
    write(
        tmp_path,
        {
            "main.tf": """\
terraform {
  required_providers {
    random = { source = "hashicorp/random" }
  }
}
resource "terraform_data" "x" {}
resource "null_resource" "x" {}
resource "google_project" "x" {
  provider = google-beta
}
data "http" "x" {
  url = "https://example.com"
}
check "health" {
  data "external" "x" {
    program = ["true"]
  }
  assert {
    condition     = data.external.x.result != null
    error_message = "no"
  }
}
module "inner" {
  source = "./inner"
}
""",
            "inner/main.tf": 'resource "tls_private_key" "x" {}\nmodule "sibling" {\n  source = "../sibling"\n}\n',
            "sibling/main.tf": 'ephemeral "vault_token" "x" {}\nresource "local_file" "x" {}\n',
        },
    )
    module = read(tmp_path)
    assert module.providers == providers_by_terraform(terraform, tmp_path)
    assert module.complete
    assert module.required_providers == {"random": "hashicorp/random"}


def test_a_nested_modules_provider_goes_by_the_callers_name(tmp_path: Path) -> None:
    call = 'module "m" {\n  source = "./m"\n  providers = {\n    cloud = aws.eu\n    cloud.second = other.x\n  }\n}\n'
    write(tmp_path, {"main.tf": call, "m/main.tf": 'resource "cloud_vm" "x" {}\nresource "random_id" "x" {}\n'})
    assert read(tmp_path).providers == {"aws", "other", "random"}


def test_what_a_caller_must_hand_in_is_read(tmp_path: Path) -> None:
    text = (
        'terraform {\n  required_version = "~> 1.6"\n  required_providers {\n    aws = {\n'
        '      source = "hashicorp/aws"\n      configuration_aliases = [aws.replica, aws.main]\n    }\n'
        '    legacy = "~> 1.0"\n  }\n}\n'
    )
    module = read(write(tmp_path, {"versions.tf": text}))
    assert module.configuration_aliases == {"aws.replica", "aws.main"}
    assert module.required_providers == {"aws": "hashicorp/aws", "legacy": ""}
    assert module.required_version == ("~> 1.6",)


@pytest.mark.parametrize("source", ['"hashicorp/consul/aws"', '"git::https://example.com/x.git"', "var.source"])
def test_a_remote_nested_module_leaves_the_providers_incomplete(tmp_path: Path, source: str) -> None:
    assert not read(write(tmp_path, {"main.tf": f'module "m" {{\n  source = {source}\n}}\n'})).complete


def test_nested_modules_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "main.tf": 'module "a" {\n  source = "./a"\n}\n',
            "a/main.tf": 'resource "tls_x" "x" {}\nmodule "b" {\n  source = "../b"\n}\n',
            "b/main.tf": 'resource "vault_x" "x" {}\nmodule "top" {\n  source = "../"\n}\n',
        },
    )
    assert read(tmp_path).providers == {"tls", "vault"}
    assert read(tmp_path / "b").providers == {"tls", "vault"}


def test_a_chain_of_many_nested_modules_is_followed_to_its_end(tmp_path: Path) -> None:
    for number in range(300):
        write(
            tmp_path / f"m{number}", {"main.tf.json": json.dumps({"module": {"next": {"source": f"../m{number + 1}"}}})}
        )
    write(tmp_path / "m300", {"main.tf.json": '{"resource": {"random_id": {"x": {}}}}'})
    assert read(tmp_path / "m0").providers == {"random"}


def test_nested_modules_are_looked_for_where_a_link_leads(tmp_path: Path, terraform: Any) -> None:
    write(
        tmp_path,
        {
            "shared/network/main.tf": 'module "x" {\n  source = "../sibling"\n}\n',
            "shared/sibling/main.tf": 'resource "random_id" "x" {}\n',
            "root/main.tf": 'module "network" {\n  source = "../modules/network"\n}\n',
        },
    )
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "network").symlink_to("../shared/network")
    assert read(tmp_path / "modules" / "network").providers == providers_by_terraform(terraform, tmp_path / "root")


@pytest.mark.parametrize(
    "source", ["./" + "x" * 300, "./a\\u0000b", "./loop", "./main.tf", "./../../../../../../../../nowhere"]
)
def test_a_nested_module_that_cannot_be_there_is_told(tmp_path: Path, source: str) -> None:
    write(tmp_path, {"main.tf": f'module "m" {{\n  source = "{source}"\n}}\n'})
    (tmp_path / "loop").symlink_to("loop")
    (problem,) = problems(tmp_path)
    assert problem.message.endswith("which is not a folder")
    assert problem.where == Where("modules/network/main.tf", 1)


def test_two_hundred_variables_are_read_with_their_lines(tmp_path: Path) -> None:
    block = 'variable "v{}" {{\n  type = object({{\n    a = string\n  }})\n  description = "Number {{"\n}}\n\n'
    text = "".join(block.format(number) for number in range(200))
    variables = read(write(tmp_path, {"variables.tf": text})).variables
    lines = text.split("\n")
    assert [lines[variable.where.line - 1] for variable in variables.values()] == [
        f'variable "{name}" {{' for name in variables
    ]
    assert len(variables) == 200


def test_a_missing_folder_is_the_callers_to_explain(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "no-such-module")


def test_a_folder_without_terraform_files_is_no_module(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": "", ".hidden.tf": "", "folder.tf/x": ""})
    assert [(problem.message, problem.where) for problem in problems(tmp_path)] == [
        ('"modules/network" holds no Terraform files (*.tf, *.tf.json)', Where("modules/network"))
    ]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ('variable "a" {\n  type = string\n', 'this "{" is never closed', 1),
        ('variable "a" {\n}\n}\n', 'this "}" closes nothing', 3),
        ("locals {\n  a = [1, (2]\n}\n", '"]" where the "(" of line 2 should be closed', 2),
        ('locals {\n  a = "x\n}\n', "this string is never closed", 2),
        ('locals {\n  a = "${f("x)}"\n}\n', "this string is never closed", 2),
        ("locals {\n  a = <<EOT\n  x\n}\n", 'this text is never closed: a line that holds only "EOT" is missing', 2),
        ("# fine\n\n/* no end\n", 'this comment is never closed: "*/" is missing', 3),
        ("locals {\n  a = = 3\n}\n", 'not valid HCL: "= 3" cannot stand here', 2),
        ("locals {\n  a =\n}\n", "not valid HCL: something is missing at the end of this line", 2),
        ("variable a = {\n}\n", 'not valid HCL: "= {" cannot stand here', 1),
        ("locals {\n  a = <<EOT\n{\nEOT\n  b = $\n}\n", 'not valid HCL: "$" cannot stand here', 5),
    ],
)
def test_broken_hcl_is_told_in_words_and_with_its_line(
    tmp_path: Path, terraform: Any, text: str, message: str, line: int
) -> None:
    found = problems(write(tmp_path, {"main.tf": text}))
    assert [(problem.message, problem.where) for problem in found] == [
        (message, Where("modules/network/main.tf", line))
    ]
    assert terraform(tmp_path, "fmt", "-", stdin=text).returncode != 0


def test_broken_json_is_told_with_its_line(tmp_path: Path) -> None:
    found = problems(write(tmp_path, {"a.tf.json": '{\n  "variable": {]\n}', "b.tf.json": '"text"'}))
    assert [problem.where for problem in found] == [
        Where("modules/network/a.tf.json", 2),
        Where("modules/network/b.tf.json", 1),
    ]
    assert found[0].message.startswith("not valid JSON: ")
    assert found[1].message == "a .tf.json file holds one JSON object"


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_bytes(b'# fine\nvariable "a" {\n  description = "caf\xe9"\n}\n')
    (problem,) = problems(tmp_path)
    assert problem.message == "modules/network/main.tf is not UTF-8: byte 0xe9 cannot stand here"
    assert problem.where == Where("modules/network/main.tf", 3)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"main.tf": ""})
    (tmp_path / "dangling.tf").symlink_to(tmp_path / "nowhere")
    (problem,) = problems(tmp_path)
    assert problem.message == "modules/network/dangling.tf cannot be read: No such file or directory"


def test_a_pipe_with_a_modules_name_does_not_hang_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "main.tf")
    (problem,) = problems(tmp_path)
    assert problem.message == "modules/network/main.tf is not a file"


def test_a_variable_that_is_declared_twice_is_told_with_both_places(tmp_path: Path) -> None:
    write(tmp_path, {"a.tf": '\nvariable "x" {}\n', "b.tf": 'variable "y" {}\nvariable "x" {}\n'})
    (problem,) = problems(tmp_path)
    assert problem.message == 'variable "x" is declared twice; the first is at modules/network/a.tf:2'
    assert problem.where == Where("modules/network/b.tf", 2)


def test_a_variable_that_is_declared_twice_in_json_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"a.tf.json": '{"variable": {\n"x": {},\n"x": {}\n}}'})
    assert [problem.where for problem in problems(tmp_path)] == [Where("modules/network/a.tf.json", 3)]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.tf": 'variable "x" {}\nvariable "x" {}\n',
            "b.tf": "locals {\n",
            "c.tf": 'module "m" {\n  source = "./netwrk"\n}\nmodule "n" {\n  source = "./network"\n}\n',
            "network/main.tf": "output {",
        },
    )
    assert [str(problem.where) for problem in problems(tmp_path)] == [
        "modules/network/a.tf:2",
        "modules/network/b.tf:1",
        "modules/network/c.tf:1",
        "modules/network/network/main.tf:1",
    ]
    assert problems(tmp_path)[2].hint == 'did you mean "network"?'


MODULE = {
    "main.tf": 'variable "é" {\n  type = list(string)\n  description = "ü"\n}\nresource "random_id" "x" {}\n',
    "outputs.tf": 'output "o" {\n  value = 1\n}\n',
    "more.tf.json": '{"variable": {"j": {"default": 1}}}',
}


def test_what_was_read_is_not_parsed_again(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "m", MODULE), tmp_path / "cache"
    first = read(folder, cache)
    code = (
        "import sys; from pathlib import Path; from infra_orch.module.read import read_module; "
        "read_module(Path(sys.argv[1]), shown_as='m', cache=Path(sys.argv[2])); print('hcl2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(cache)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert read(folder, cache) == first


def test_one_changed_file_adds_one_entry(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "m", MODULE), tmp_path / "cache"
    read(folder, cache)
    before = set(cache.iterdir())
    write(folder, {"outputs.tf": 'output "other" {\n  value = 1\n}\n'})
    assert list(read(folder, cache).outputs) == ["other"]
    assert len(set(cache.iterdir()) - before) == 1
    assert len(before) == len(MODULE)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"schema": 1}',
        b'{"schema": 999, "value": {}}',
        b'{"schema": 1, "value": {"variables": [{"name": 3}]}}',
        b'{"schema": 1, "value": [1]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_or_newer_entry_is_read_anew(tmp_path: Path, damage: bytes) -> None:
    folder, cache = write(tmp_path / "m", MODULE), tmp_path / "cache"
    first = read(folder, cache)
    good = {entry: entry.read_bytes() for entry in cache.iterdir()}
    for entry in good:
        entry.write_bytes(damage)
    assert read(folder, cache) == first
    assert {entry: entry.read_bytes() for entry in cache.iterdir()} == good


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert "é" in read(write(tmp_path / "m", MODULE), tmp_path / "cache").variables


def test_entries_are_for_their_owner_alone(tmp_path: Path) -> None:
    read(write(tmp_path / "m", MODULE), tmp_path / "cache")
    assert {entry.stat().st_mode & 0o077 for entry in [tmp_path / "cache", *(tmp_path / "cache").iterdir()]} == {0}


def _read_often(folder: Path, cache: Path) -> list[str]:
    return [repr(read(folder, cache)) for _ in range(20)]


def test_parallel_processes_share_one_cache(tmp_path: Path) -> None:
    folder, cache = write(tmp_path / "m", MODULE), tmp_path / "cache"
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        answers = [processes.submit(_read_often, folder, cache) for _ in range(4)]
        assert {shown for answer in answers for shown in answer.result()} == {repr(read(folder))}
    assert [entry.suffix for entry in cache.iterdir()] == [".json"] * len(MODULE)
