"""What the tests of the engine share: a clean environment, and a provider network mirror on localhost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_mirror import NetworkMirror, package, serve

from infra_orch.engine.engine import Engine, find_engine


@pytest.fixture
def base_env(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own and nothing that a developer's machine may hold."""
    (tmp_path / "home").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_DIRS": "/nowhere",
        "CHECKPOINT_DISABLE": "1",
    }


@pytest.fixture
def terraform() -> Engine:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH")
    return find_engine("terraform")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[NetworkMirror]:
    """A mirror with two versions of acme/tiny and one of acme/small."""
    versions = {
        "registry.terraform.io/acme/tiny": {version: package("tiny", version) for version in ("1.0.0", "1.1.0")},
        "registry.terraform.io/acme/small": {"3.0.0": package("small", "3.0.0")},
    }
    with serve(tmp_path, versions) as mirror:
        yield mirror
