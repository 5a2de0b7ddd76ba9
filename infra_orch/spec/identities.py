"""What is wrong with the credentials that a spec names; nothing is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_orch.errors import Problem
from infra_orch.spec.credentials import CommandIdentity, Identity, ProfileIdentity, RoleIdentity, WebIdentity
from infra_orch.spec.sound import unplain
from infra_orch.spec.stack import Stack

# Limits of AWS's. Source: the API reference of STS, AssumeRole and AssumeRoleWithWebIdentity.
SHORTEST_SECONDS, LONGEST_SECONDS = 900, 43_200
LONGEST_CHAINED_SECONDS = 3_600
_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_NAME_HINT = "2 to 64 letters, digits, and characters of _+=,.@-"
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_EXTERNAL_ID_HINT = "2 to 1224 letters, digits, and characters of _+=,.@:/-"
_ARN_HINT = "like arn:aws:iam::123456789012:role/deploy"


def credentials_problems(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the credentials of *stack* and of its units."""
    declared = (stack.credentials, *(unit.credentials for unit in stack.units))
    for credentials in dict.fromkeys(filter(None, declared)):
        for identity in dict.fromkeys((credentials.identities.plan, credentials.identities.apply)):
            for message, hint in identity_problems(identity):
                yield Problem(message, credentials.where, hint)


def identity_problems(identity: Identity | None) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with *identity*, and what would mend it."""
    if isinstance(identity, ProfileIdentity):
        if why := unplain(identity.name):
            yield f'the profile "{_shown(identity.name)}" of credentials: {why}', ""
    elif isinstance(identity, CommandIdentity):
        yield from _command_problems(identity)
    elif isinstance(identity, RoleIdentity):
        yield from _role_problems(identity.arn, identity.session_name, identity.duration)
        yield from _text_problems("external_id", identity.external_id, _EXTERNAL_ID, _EXTERNAL_ID_HINT)
        yield from _text_problems("source_identity", identity.source_identity, _NAME, _NAME_HINT)
        chained = isinstance(identity.source, (RoleIdentity, WebIdentity))
        if chained and (identity.duration or 0) > LONGEST_CHAINED_SECONDS:
            message = f"duration={identity.duration} of credentials is more than the hour that AWS gives a role which"
            yield f"{message} another role assumes", f"duration={LONGEST_CHAINED_SECONDS}, or leave it out"
        yield from identity_problems(identity.source)
    elif isinstance(identity, WebIdentity):
        yield from _role_problems(identity.arn, identity.session_name, identity.duration)
        file = identity.token_file
        if file is not None and (why := unplain(file)):
            yield f'token_file="{_shown(file)}" of credentials: {why}', ""
        elif file is not None and not file.startswith("/"):
            hint = "or leave it out: then it is what AWS_WEB_IDENTITY_TOKEN_FILE says"
            yield f'token_file="{file}" of credentials is no absolute path', hint


def _role_problems(arn: str, session_name: str | None, duration: int | None) -> Iterator[tuple[str, str]]:
    if not _ARN.fullmatch(arn):
        yield f'"{_shown(arn)}" is not the ARN of a role', _ARN_HINT
    yield from _text_problems("session_name", session_name, _NAME, _NAME_HINT)
    if duration is not None and not SHORTEST_SECONDS <= duration <= LONGEST_SECONDS:
        limits = f"AWS gives credentials for {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds"
        yield f"duration={duration} of credentials is out of bounds", limits


def _command_problems(identity: CommandIdentity) -> Iterator[tuple[str, str]]:
    example = 'Credentials.command(["aws-vault", "exec", "prod", "--json"])'
    if not identity.argv or not identity.argv[0].strip():
        yield "the command of credentials is empty", example
        return
    for part in identity.argv:
        if part and (why := unplain(part)):
            yield f'"{_shown(part)}" in the command of credentials: {why}', ""


def _text_problems(name: str, value: str | None, pattern: re.Pattern[str], hint: str) -> Iterator[tuple[str, str]]:
    if value is not None and not pattern.fullmatch(value):
        yield f'{name}="{_shown(value)}" of credentials is not what AWS takes', hint


def _shown(value: str) -> str:
    return value if value.isprintable() else value.encode("unicode_escape").decode()
