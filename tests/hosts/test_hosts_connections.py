"""A token goes to a server whose certificate is trusted, and to no other."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_host import Asked, FakeHost, serving
from host_clients import Clock, github_of

from infra_orch.hosts.answer import HostError


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for this machine, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a host of ours")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "host.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


class Bare(FakeHost):
    def do(self, asked: Asked) -> tuple[int, dict[str, object]]:
        user = {"id": 1, "login": "ada"}
        pull = {"number": 7, "state": "open", "user": user, "head": {"sha": "a"}, "base": {"ref": "main"}}
        return 200, {**pull, "merge_commit_sha": None, "merged_at": None}


def test_only_a_certificate_that_is_trusted_is_spoken_to(
    certificate: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Bare()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(host, context) as url:
        with pytest.raises(HostError, match="its certificate is not trusted"):
            github_of(url, clock).pull_request(7)
        assert (host.asked, clock.waits) == ([], []), "nothing was sent, and nothing tried again"
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
            with monkeypatch.context() as patch:
                patch.setenv(name, str(certificate))
                assert github_of(url, clock).pull_request(7).number == 7
