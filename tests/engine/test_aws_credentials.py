"""Credentials of a profile, a role, a token and a program: what is asked for, and what is said where there are none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from infra_orch.engine.aws_credentials import (
    CredentialsError,
    Keys,
    keys_of_command,
    keys_of_profile,
    keys_of_role,
    keys_of_web_identity,
)
from infra_orch.spec.credentials import CommandIdentity, ProfileIdentity, RoleIdentity, WebIdentity

ARN = "arn:aws:iam::123456789012:role/deploy"
EXPIRES = "2100-01-02T03:04:05Z"


@dataclass
class Sts:
    """An STS that notes what it is asked, and answers with credentials, or with the error that it is told to."""

    asked: list[dict[str, str]] = field(default_factory=list)
    signed_by: list[str] = field(default_factory=list)
    error: tuple[int, str, str] | None = None

    def answer(self, body: str, signature: str) -> tuple[int, str]:
        """Answer a request."""
        request = {name: values[0] for name, values in parse_qs(body).items()}
        self.asked.append(request)
        self.signed_by.append(signature.partition("Credential=")[2].partition("/")[0])
        if self.error:
            status, code, message = self.error
            return (
                status,
                f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>",
            )
        action = request["Action"]
        keys = f"<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey><SessionToken>t0ken</SessionToken><Expiration>{EXPIRES}</Expiration>"
        return (
            200,
            f"<{action}Response><{action}Result><Credentials>{keys}</Credentials></{action}Result></{action}Response>",
        )


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    """An STS at AWS_ENDPOINT_URL, and a user who has credentials in the environment."""
    found = Sts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = found.answer(body, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def aws_files(home: Path) -> Callable[..., None]:
    """Write AWS's configuration files."""

    def write(config: str, credentials: str = "") -> None:
        (home / ".aws").mkdir(exist_ok=True)
        (home / ".aws/config").write_text(config)
        (home / ".aws/credentials").write_text(credentials)

    return write


def test_a_role_is_asked_for_with_all_that_was_said_of_it(sts: Sts) -> None:
    role = RoleIdentity(ARN, "ci-7", "acme:1", 900, "ada")
    keys = keys_of_role(role, "infra-orch-1", None)
    assert keys == Keys("ASIA", "s3cret", "t0ken", datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert "s3cret" not in repr(keys)
    assert "t0ken" not in repr(keys)
    asked = {name: value for name, value in sts.asked[0].items() if name != "Version"}
    assert asked == {
        "Action": "AssumeRole",
        "RoleArn": ARN,
        "RoleSessionName": "ci-7",
        "ExternalId": "acme:1",
        "DurationSeconds": "900",
        "SourceIdentity": "ada",
    }
    assert sts.signed_by == ["AKIAENVIRONMENT"]


def test_a_role_is_assumed_by_others_under_the_name_of_the_run(sts: Sts) -> None:
    keys_of_role(RoleIdentity(ARN), "infra-orch-1", Keys("AKIAOTHER", "x"))
    assert sts.signed_by == ["AKIAOTHER"]
    assert sts.asked[0]["RoleSessionName"] == "infra-orch-1"
    assert "DurationSeconds" not in sts.asked[0]


def test_a_token_is_handed_in_without_a_signature(sts: Sts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("eyJ0b2tlbg\n")
    keys = keys_of_web_identity(WebIdentity(ARN, str(tmp_path / "token")), "infra-orch-1")
    assert keys.token == "t0ken"
    assert sts.asked[0]["WebIdentityToken"] == "eyJ0b2tlbg"
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    keys_of_web_identity(WebIdentity(ARN, session_name="ci"), "infra-orch-1")
    assert sts.asked[1]["RoleSessionName"] == "ci"
    assert sts.signed_by == ["", ""]


def refused(fetch: Callable[[], Keys]) -> CredentialsError:
    with pytest.raises(CredentialsError) as caught:
        fetch()
    return caught.value


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ((403, "AccessDenied", "User x may not"), f"access denied: {ARN} may not be assumed: User x may not"),
        ((403, "ExpiredToken", "x"), f"{ARN} cannot be assumed: the credentials for it expired"),
        (
            (403, "InvalidClientTokenId", "The security token is invalid"),
            f"{ARN} cannot be assumed: The security token",
        ),
        ((400, "ValidationError", "DurationSeconds exceeds\nthe limit"), "DurationSeconds exceeds the limit"),
    ],
)
def test_a_role_that_cannot_be_assumed_is_one_sentence(sts: Sts, error: tuple[int, str, str], told: str) -> None:
    sts.error = error
    assert told in refused(lambda: keys_of_role(RoleIdentity(ARN), "infra-orch-1", None)).summary


def test_without_credentials_nobody_assumes_a_role(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    error = refused(lambda: keys_of_role(RoleIdentity(ARN), "infra-orch-1", None))
    assert error.summary == f"{ARN} cannot be assumed: the environment has no credentials"
    assert "source=" in error.hint


def test_a_token_that_is_refused_is_not_quoted(sts: Sts, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJzZWNyZXQ")
    sts.error = (400, "InvalidIdentityToken", "no provider for eyJzZWNyZXQ")
    error = refused(lambda: keys_of_web_identity(WebIdentity(ARN, str(tmp_path / "token")), "x1"))
    assert error.summary == f"{ARN} cannot be assumed: no provider for …"
    sts.error = (400, "ExpiredTokenException", "x")
    error = refused(lambda: keys_of_web_identity(WebIdentity(ARN, str(tmp_path / "token")), "x1"))
    assert error.summary == f"{ARN} cannot be assumed: the token for it expired"


def test_a_token_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = refused(lambda: keys_of_web_identity(WebIdentity(ARN, str(tmp_path / "gone")), "x1"))
    assert gone.summary == f"the token for {ARN} cannot be read: {tmp_path / 'gone'}: No such file or directory"
    assert (
        "AWS_WEB_IDENTITY_TOKEN_FILE is not set"
        in refused(lambda: keys_of_web_identity(WebIdentity(ARN), "x1")).summary
    )


def test_a_profile_is_itself_whatever_the_environment_has(sts: Sts, aws_files: Callable[..., None]) -> None:
    aws_files(
        f"[profile base]\n[profile admin]\nrole_arn = {ARN}\nsource_profile = base\n",
        "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = of-the-base\n",
    )
    assert keys_of_profile(ProfileIdentity("base")) == Keys("AKIABASE", "of-the-base")
    admin = keys_of_profile(ProfileIdentity("admin"))
    assert admin.secret_key == "s3cret"
    assert admin.expires == datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert sts.signed_by == ["AKIABASE"]


def test_a_profile_that_is_not_there_names_those_that_are(aws_files: Callable[..., None]) -> None:
    aws_files("[profile prod]\nregion = eu-west-1\n")
    error = refused(lambda: keys_of_profile(ProfileIdentity("prd")))
    assert error.summary == 'there is no profile "prd" in ~/.aws/config'
    assert error.hint == "profiles there: prod"


def test_a_profile_without_credentials_gets_none_of_the_machine(
    aws_files: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_files("[profile prod]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert refused(lambda: keys_of_profile(ProfileIdentity("prod"))).summary == 'the profile "prod" has no credentials'


def test_a_profile_that_asks_for_a_code_is_refused(aws_files: Callable[..., None]) -> None:
    mfa = f"[profile outer]\nrole_arn = {ARN}\nsource_profile = inner\n[profile inner]\nrole_arn = {ARN}\n"
    aws_files(f"{mfa}mfa_serial = arn:aws:iam::123456789012:mfa/ada\nsource_profile = inner\n")
    for name in ("outer", "inner"):
        error = refused(lambda name=name: keys_of_profile(ProfileIdentity(name)))
        assert error.summary == f'the profile "{name}" asks for an MFA code, and nobody can be asked'


def test_a_profile_that_is_not_logged_in_says_how(aws_files: Callable[..., None]) -> None:
    aws_files(
        "[profile prod]\nsso_session = acme\nsso_account_id = 123456789012\nsso_role_name = x\n"
        "[sso-session acme]\nsso_region = eu-west-1\nsso_start_url = https://acme.example.com/start\n"
    )
    assert refused(lambda: keys_of_profile(ProfileIdentity("prod"))).hint == "aws sso login --profile prod"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], CommandIdentity]:
    """A program that is a shell script."""

    def write(script: str) -> CommandIdentity:
        path = tmp_path / "creds"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return CommandIdentity(("./creds", "a b"))

    return write


def test_a_program_prints_credentials_without_a_shell_in_between(
    program: Callable[[str], CommandIdentity], tmp_path: Path
) -> None:
    answer = {"Version": 1, "AccessKeyId": "$1", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": EXPIRES}
    identity = program(f'echo "{json.dumps(answer).replace(chr(34), chr(92) + chr(34))}"')
    keys = keys_of_command(identity, tmp_path)
    assert keys == Keys("a b", "s", "t", datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_credentials_that_last_for_ever_need_no_token(
    program: Callable[[str], CommandIdentity], tmp_path: Path
) -> None:
    identity = program("""echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s"}'""")
    assert keys_of_command(identity, tmp_path) == Keys("a", "s")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'not logged in' >&2; exit 3", "ended with code 3: not logged in"),
        ("exit 4", "ended with code 4"),
        ("""echo '{"SecretAccessKey": "hunter2"}' >&2; exit 5""", "ended with code 5"),
        (":", "printed nothing"),
        ("echo hunter2", "printed no JSON"),
        ("echo '[]'", "printed JSON that is not of version 1"),
        ("""echo '{"Version": 2}'""", "printed JSON that is not of version 1"),
        ("""echo '{"Version": 1, "SecretAccessKey": "hunter2"}'""", "printed no AccessKeyId"),
        ("""echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": 7}'""", "printed no SecretAccessKey"),
        ("""echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "hunter2", "Expiration": "soon"}'""",
         "printed an Expiration that is no time"),
        ("""echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "hunter2", "Expiration": 7}'""",
         "printed an Expiration that is no time"),
        ("""echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "Expiration": "2020-01-02T03:04:05Z"}'""",
         "printed credentials that expired at 2020-01-02T03:04:05+00:00"),
    ],
)  # fmt: skip
def test_a_program_that_fails_is_one_sentence_without_what_it_printed(
    program: Callable[[str], CommandIdentity], tmp_path: Path, script: str, told: str
) -> None:
    error = refused(lambda: keys_of_command(program(script), tmp_path))
    assert error.summary == f'the command "./creds" of credentials {told}'
    assert "hunter2" not in error.hint


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refused(lambda: keys_of_command(CommandIdentity(("no-such-program",)), tmp_path))
    assert 'cannot start "no-such-program": No such file or directory' in error.summary
