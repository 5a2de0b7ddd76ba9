"""AWS credentials of a profile, of a role, or of a program: fetched now, and kept nowhere here.

What a program prints is described at docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra_orch.errors import UnavailableError, UserError
from infra_orch.process import capture
from infra_orch.spec.credentials import CommandIdentity, ProfileIdentity, RoleIdentity, WebIdentity

COMMAND_SECONDS = 60.0
TOKEN_VARIABLE = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a variable's name
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 20, 3
_LONGEST_PROFILE_CHAIN = 10
# STS is asked in the region of the run; where there is none, in one that every account of the ARN's partition has.
_REGIONS = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
# What botocore goes on to where the profile itself has no credentials: those of the machine, which nobody asked for.
_OF_THE_MACHINE = ("iam-role", "container-role")
_WHO_HINT = "aws sts get-caller-identity says who asks; the role's trust policy has to let them in"


class CredentialsError(UserError):
    """Credentials cannot be had."""


@dataclass(frozen=True)
class Keys:
    """Credentials, and when they expire (None: never, or nobody knows)."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False, default=None)
    expires: datetime | None = None


def keys_of_profile(identity: ProfileIdentity) -> Keys:
    """Return the credentials of a profile of AWS's configuration files. Raises CredentialsError where it has none."""
    # These take half a second to import.
    import botocore.session  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound  # noqa: PLC0415

    name = identity.name
    session = botocore.session.Session(profile=name)
    try:
        profiles = session.full_config.get("profiles", {})
        _refuse_questions(name, profiles)
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", _region(profiles.get(name, {}).get("role_arn", "")))
        found = session.get_credentials()
        if found is None or found.method in _OF_THE_MACHINE:
            raise CredentialsError(f'the profile "{name}" has no credentials', hint=f"aws configure --profile {name}")
        frozen = found.get_frozen_credentials()
    except ProfileNotFound as error:
        files = os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
        known = ", ".join(session.available_profiles) or "none"
        raise CredentialsError(f'there is no profile "{name}" in {files}', hint=f"profiles there: {known}") from error
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        hint = f"aws sso login --profile {name}" if "sso" in type(error).__name__.lower() else ""
        raise CredentialsError(f'the profile "{name}" gives no credentials: {_words(error)}', hint=hint) from error
    expires = getattr(found, "_expiry_time", None)
    return Keys(str(frozen.access_key), str(frozen.secret_key), frozen.token, expires)


def keys_of_role(identity: RoleIdentity, session_name: str, by: Keys | None) -> Keys:
    """Assume a role with the credentials *by*, or those of the environment. Raises CredentialsError where it cannot."""
    wanted = {
        "RoleArn": identity.arn,
        "RoleSessionName": identity.session_name or session_name,
        "ExternalId": identity.external_id,
        "DurationSeconds": identity.duration,
        "SourceIdentity": identity.source_identity,
    }
    with _explained(identity.arn):
        answer = _sts(identity.arn, by).assume_role(**_given(wanted))
        return _keys(answer["Credentials"])


def keys_of_web_identity(identity: WebIdentity, session_name: str) -> Keys:
    """Assume a role with the token in a file, which is read now. Raises CredentialsError where it cannot."""
    file = identity.token_file or os.environ.get(TOKEN_VARIABLE)
    if not file:
        hint = 'Credentials.web_identity("…", token_file="/…") names the file'
        raise CredentialsError(f"{identity.arn} needs a token, and {TOKEN_VARIABLE} is not set", hint=hint)
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no token"
        raise CredentialsError(f"the token for {identity.arn} cannot be read: {file}: {why}") from error
    wanted = {
        "RoleArn": identity.arn,
        "RoleSessionName": identity.session_name or session_name,
        "WebIdentityToken": token,
        "DurationSeconds": identity.duration,
    }
    with _explained(identity.arn, secret=token):
        answer = _sts(identity.arn, None, signs=False).assume_role_with_web_identity(**_given(wanted))
        return _keys(answer["Credentials"])


def keys_of_command(identity: CommandIdentity, folder: Path) -> Keys:
    """Return the credentials that a program prints; it is run in *folder*. Raises CredentialsError where it does not.

    What it prints is never shown: where it is no JSON, it may be a secret all the same.
    """
    title = f'the command "{identity.argv[0]}" of credentials'
    try:
        code, out, err = capture(identity.argv, cwd=folder, env=os.environ, timeout=COMMAND_SECONDS)
    except UnavailableError as error:
        raise CredentialsError(f"{title}: {error.summary}") from error
    if code:
        said = err.decode("utf-8", errors="replace").strip().splitlines()
        why = f": {said[-1]}" if said and b"SecretAccessKey" not in err else ""
        raise CredentialsError(f"{title} ended with code {code}{why}")
    return _printed(title, out)


def _printed(title: str, out: bytes) -> Keys:
    hint = 'what is wanted: {"Version": 1, "AccessKeyId": …, "SecretAccessKey": …, "SessionToken": …, "Expiration": …}'
    try:
        answer = json.loads(out)
    except (ValueError, RecursionError) as error:
        raise CredentialsError(f"{title} printed {'no JSON' if out.strip() else 'nothing'}", hint=hint) from error
    if not isinstance(answer, dict) or answer.get("Version") != 1:
        raise CredentialsError(f"{title} printed JSON that is not of version 1", hint=hint)
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
        value = answer.get(name, None if name == "SessionToken" else "")
        if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
            raise CredentialsError(f"{title} printed no {name}", hint=hint)
    try:
        keys = _keys(answer)
    except (ValueError, TypeError, KeyError) as error:
        raise CredentialsError(f"{title} printed an Expiration that is no time", hint=hint) from error
    if keys.expires and keys.expires <= datetime.now(UTC):
        at = keys.expires.isoformat(timespec="seconds")
        raise CredentialsError(f"{title} printed credentials that expired at {at}", hint="log in again")
    return keys


def _keys(answer: Mapping[str, Any]) -> Keys:
    expires = answer.get("Expiration")
    if expires is not None and not isinstance(expires, datetime):
        expires = datetime.fromisoformat(expires)
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("SessionToken"), expires)


def _sts(arn: str, by: Keys | None, *, signs: bool = True) -> Any:
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    session = boto3.session.Session(
        aws_access_key_id=by.access_key if by else None,
        aws_secret_access_key=by.secret_key if by else None,
        aws_session_token=by.token if by else None,
    )
    region = session.region_name or _region(arn)
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS},
        signature_version=None if signs else UNSIGNED,
    )
    return session.client("sts", region_name=region, config=config)


def _region(arn: str) -> str:
    """Where STS is asked for the role *arn* when no configuration says it."""
    partition = arn.split(":")[1] if ":" in arn else ""
    return os.environ.get("AWS_REGION") or _REGIONS.get(partition, "us-east-1")


@contextmanager
def _explained(arn: str, *, secret: str = "") -> Iterator[None]:
    """Turn what STS and its client raise while *arn* is assumed into one sentence."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        words = _words(error).replace(secret, "…") if secret else _words(error)
        if code in ("AccessDenied", "AccessDeniedException"):
            raise CredentialsError(f"access denied: {arn} may not be assumed: {words}", hint=_WHO_HINT) from error
        if code.startswith("ExpiredToken"):
            what = "the token" if secret else "the credentials"
            raise CredentialsError(f"{arn} cannot be assumed: {what} for it expired", hint="log in again") from error
        raise CredentialsError(f"{arn} cannot be assumed: {words}") from error
    except NoCredentialsError as error:
        hint = "log in, or say who assumes it: Credentials.role(…, source=Credentials.profile(…))"
        raise CredentialsError(f"{arn} cannot be assumed: the environment has no credentials", hint=hint) from error
    except (BotoCoreError, ValueError, KeyError) as error:
        raise CredentialsError(f"{arn} cannot be assumed: {_words(error)}") from error


def _refuse_questions(name: str, profiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a profile that somebody would be asked a code for: units are worked on at once, and by machines."""
    at: str | None = name
    for _ in range(_LONGEST_PROFILE_CHAIN):
        profile = profiles.get(at or "", {})
        if profile.get("mfa_serial"):
            hint = "log in beforehand with a tool that keeps the session, and name that: Credentials.command([…])"
            raise CredentialsError(f'the profile "{name}" asks for an MFA code, and nobody can be asked', hint=hint)
        at = profile.get("source_profile")


def _given(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value is not None}


def _words(error: Exception) -> str:
    """What an error of AWS's or its client's says, on one line."""
    response = getattr(error, "response", None)
    said = response.get("Error", {}).get("Message") if isinstance(response, dict) else None
    return " ".join(str(said or error).split())
