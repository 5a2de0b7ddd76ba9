"""What the tests of shipped modules and stacks share: an environment with nothing of the user's, and an AWS provider."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from infra_orch.engine.mirror import find_mirrors, providers_in

AWS = "registry.terraform.io/hashicorp/aws"


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Terraform needs and nothing else, with a provider mirror that holds the AWS provider."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH")
    mirrors = [mirror for mirror in find_mirrors(os.environ) if AWS in providers_in(mirror)]
    if not mirrors:
        pytest.skip(f"no provider mirror with {AWS} on this machine; INFRA_ORCH_PROVIDER_MIRROR names one")
    home = tmp_path_factory.mktemp("home")
    mirror = f'filesystem_mirror {{\n    path    = "{mirrors[0]}"\n    include = ["{AWS}"]\n  }}'
    (home / "terraform.rc").write_text(f"provider_installation {{\n  {mirror}\n}}\n")
    return {
        "PATH": os.environ["PATH"],
        "GOGC": os.environ["GOGC"],
        "HOME": str(home),
        "TF_CLI_CONFIG_FILE": str(home / "terraform.rc"),
        "CHECKPOINT_DISABLE": "1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "eu-west-1",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def aws(bare_environment: dict[str, str]) -> Iterator[None]:
    """An AWS provider is there, and more units are at work than there are cores.

    For nearly a minute the provider waits whether the lifecycle of a bucket that it made stays as it is, and uses no core.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFRA_ORCH_PARALLELISM", "4")
        yield
