"""Whether Terraform would find the AWS provider from here, and where; asked before a demo that needs it."""
# ruff: noqa: INP001  this folder is a program, not a package

from __future__ import annotations

import os
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from infra_orch.engine.cli_config import CliConfig, cli_config
from infra_orch.engine.engine import Engine
from infra_orch.engine.mirror import find_mirrors, packages_in

MAJOR = "5."
"""What stacks/prod asks for: `~> 5.0`."""
TIMEOUT_SECONDS = 5.0


def find_aws_provider(engine: Engine) -> str | None:
    """Say in words where the AWS provider would come from; None where neither a mirror nor the registry has it.

    Mirrors are looked for as every command does: the CLI configuration, INFRA_ORCH_PROVIDER_MIRROR, Terraform's implied
    folders, and folders under /opt. The registry gets TIMEOUT_SECONDS to answer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = cli_config(os.environ, find_mirrors(os.environ), folder, folder / "cli", engine=engine.name)
        if config.methods is None:
            return f"as {config.origin} says"
        return _in_a_mirror(config, engine) or _from_outside(config)


def _address(config: CliConfig) -> str:
    return f"{config.default_host}/hashicorp/aws"


def _in_a_mirror(config: CliConfig, engine: Engine) -> str | None:
    for folder in config.local_mirrors():
        for address, version, platform in sorted(packages_in(folder), reverse=True):
            if address == _address(config) and platform == engine.platform and version.startswith(MAJOR):
                return f"{version} from {folder}"
    return None


def _from_outside(config: CliConfig) -> str | None:
    if not config.is_downloaded(_address(config)):
        return None
    kinds = {method.kind for method in config.methods or () if method.serves(_address(config), config.default_host)}
    if "network_mirror" in kinds:
        return "from the network mirror of the CLI configuration"
    host = config.default_host
    return f"from {host}" if _answers(f"https://{host}/.well-known/terraform.json") else None


def _answers(url: str) -> bool:
    """Whether the registry's service discovery is there, and names the service for providers."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  https, as given above
            return b"providers.v1" in answer.read(65536)
    except urllib.error.URLError as error:
        # This Python has no certificates (those of python.org for macOS), which is no fault of the registry's.
        return isinstance(error.reason, ssl.SSLCertVerificationError) and sys.platform == "darwin"
    except (OSError, ValueError):
        return False
