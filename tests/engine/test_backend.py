"""The backend of a root module, and the state that is there, which Terraform itself reads the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from infra_orch.engine.backend import Backend, read_backend, read_stored

BACKEND = """
terraform {
  backend "s3" {
    bucket       = "acme-state"
    key          = "prod/web.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
    endpoints    = { s3 = "http://127.0.0.1:1" }
  }
}
"""


def test_the_arguments_are_read_nested_ones_too_and_kept(tmp_path: Path) -> None:
    first = read_backend(BACKEND, tmp_path)
    assert first.type == "s3"
    assert first.arguments == {
        "bucket": "acme-state",
        "key": "prod/web.tfstate",
        "region": "eu-west-1",
        "use_lockfile": True,
        "endpoints": {"s3": "http://127.0.0.1:1"},
    }
    assert read_backend(BACKEND, tmp_path) == first


@pytest.mark.parametrize("text", ["", "terraform {", "resource {}", "terraform {}"])
def test_a_file_without_a_backend_has_none(text: str) -> None:
    assert read_backend(text, None) == Backend("", {})


def test_the_state_in_a_file_is_what_terraform_finds_there(tmp_path: Path) -> None:
    text = 'terraform {\n  backend "local" {\n    path = "../state/web.tfstate"\n  }\n}\n'
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "backend.tf").write_text(text)
    (folder / "main.tf").write_text('resource "terraform_data" "it" {\n  input = "x"\n}\n')
    backend = read_backend(text, None)
    assert read_stored(backend, folder, lambda: None) == b""
    for words in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *words], cwd=folder, check=True, capture_output=True)
    pulled = subprocess.run(["terraform", "state", "pull"], cwd=folder, check=True, capture_output=True).stdout
    assert json.loads(read_stored(backend, folder, lambda: None) or b"") == json.loads(pulled)


@pytest.mark.parametrize(
    "backend",
    [
        Backend("local", {"path": "it", "workspace_dir": "there"}),
        Backend("local", {"path": "."}),
        Backend("local", {}),
        Backend("http", {"address": "http://127.0.0.1:1"}),
        Backend("", {}),
    ],
)
def test_a_state_that_terraform_might_find_elsewhere_is_left_to_it(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "it").write_text("{}")
    assert read_stored(backend, tmp_path, lambda: None) is None
