"""Whose credentials Terraform works with, as a spec declares it: named here, fetched when a run needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from infra_orch.errors import Where
from infra_orch.spec.arguments import many, one, optional_text, text
from infra_orch.spec.caller import where_called

_ONE_OF_OURS = "Credentials.role(…), .profile(…), .web_identity(…), .command(…) or .environment()"


@dataclass(frozen=True)
class ProfileIdentity:
    """A profile of AWS's configuration files."""

    name: str


@dataclass(frozen=True)
class RoleIdentity:
    """A role to assume, with the credentials of *source*, or of the environment (None)."""

    arn: str
    session_name: str | None = None
    external_id: str | None = None
    duration: int | None = None
    source_identity: str | None = None
    source: Identity | None = None


@dataclass(frozen=True)
class WebIdentity:
    """A role to assume with a token in a file; without one, in the file that AWS_WEB_IDENTITY_TOKEN_FILE names."""

    arn: str
    token_file: str | None = None
    session_name: str | None = None
    duration: int | None = None


@dataclass(frozen=True)
class CommandIdentity:
    """A program, run without a shell, that prints credentials as AWS's `credential_process` does."""

    argv: tuple[str, ...]


Identity: TypeAlias = ProfileIdentity | RoleIdentity | WebIdentity | CommandIdentity


@dataclass(frozen=True)
class Identities:
    """Whose credentials plan, and whose apply; None is those of the environment."""

    plan: Identity | None
    apply: Identity | None

    def commands(self) -> Iterator[CommandIdentity]:
        """The programs among them, those that others build on included."""
        for whose in (self.plan, self.apply):
            deepest = whose
            while isinstance(deepest, RoleIdentity):
                deepest = deepest.source
            if isinstance(deepest, CommandIdentity):
                yield deepest


@dataclass(frozen=True, init=False, eq=False)
class Credentials:
    """Whose AWS credentials Terraform works with. They are given to `Stack(…)` for all its units, or to one unit.

    Made by the methods below; `Credentials(plan=…, apply=…)` puts two together.

    plan: those that read states and plan.
    apply: those that apply, destroy and change states.

    Raises TypeError for an argument of the wrong kind, as everything here does.

    Example:
        credentials = Credentials(
            plan=Credentials.profile("acme-read"),
            apply=Credentials.role("arn:aws:iam::123456789012:role/deploy"),
        )
    """

    identities: Identities
    where: Where

    def __init__(self, *, plan: Credentials, apply: Credentials) -> None:
        one("plan=", plan, Credentials, _ONE_OF_OURS)
        one("apply=", apply, Credentials, _ONE_OF_OURS)
        self._settle(Identities(plan.identities.plan, apply.identities.apply))

    @classmethod
    def environment(cls) -> Credentials:
        """The credentials of the environment that infra-orch runs in, as without any of this.

        Example:
            own = stack.unit("own", module="network", credentials=Credentials.environment())
        """
        return cls._of(None, None)

    @classmethod
    def profile(cls, name: str) -> Credentials:
        """Those of a profile in AWS's configuration files: keys, SSO, a role, whatever it says.

        name: the profile's. One that asks for an MFA code is refused.

        Example:
            reader = Credentials.profile("acme-read")
        """
        identity = ProfileIdentity(text("the profile's name", name))
        return cls._of(identity, identity)

    @classmethod
    def role(
        cls,
        arn: str,
        *,
        session_name: str | None = None,
        external_id: str | None = None,
        duration: int | None = None,
        source_identity: str | None = None,
        source: Credentials | None = None,
    ) -> Credentials:
        """Those of a role that is assumed.

        arn: the role's.
        session_name: stands in AWS's logs; None: the id of the run.
        external_id: what the role's trust policy asks for.
        duration: in seconds; None: an hour.
        source_identity: stands in AWS's logs, too.
        source: whose credentials assume it; None: those of the environment.

        Example:
            deployer = Credentials.role(
                "arn:aws:iam::123456789012:role/deploy",
                external_id="acme",
                source=Credentials.profile("acme-ci"),
            )
        """

        def assumed(on: Identity | None) -> Identity:
            return RoleIdentity(
                arn=text("the role's ARN", arn),
                session_name=optional_text("session_name=", session_name),
                external_id=optional_text("external_id=", external_id),
                duration=_seconds(duration),
                source_identity=optional_text("source_identity=", source_identity),
                source=on,
            )

        below = Identities(None, None)
        if source is not None:
            below = one("source=", source, Credentials, _ONE_OF_OURS).identities
        return cls._of(assumed(below.plan), assumed(below.apply))

    @classmethod
    def web_identity(
        cls,
        arn: str,
        *,
        token_file: str | None = None,
        session_name: str | None = None,
        duration: int | None = None,
    ) -> Credentials:
        """Those of a role, assumed with a token (OIDC) in a file; it is read anew each time.

        arn: the role's.
        token_file: the file; None: the one that the variable `AWS_WEB_IDENTITY_TOKEN_FILE` names.
        session_name: stands in AWS's logs; None: the id of the run.
        duration: in seconds; None: an hour.

        Example:
            from_ci = Credentials.web_identity("arn:aws:iam::123456789012:role/ci", token_file="/run/token")
        """
        identity = WebIdentity(
            arn=text("the role's ARN", arn),
            token_file=optional_text("token_file=", token_file),
            session_name=optional_text("session_name=", session_name),
            duration=_seconds(duration),
        )
        return cls._of(identity, identity)

    @classmethod
    def command(cls, argv: list[str] | tuple[str, ...]) -> Credentials:
        """Those that a program prints, as AWS's `credential_process` does.

        argv: the program and its arguments. It runs without a shell, in the stack's folder, for a minute at most.

        Example:
            from_vault = Credentials.command(["./bin/credentials", "--account", "prod"])
        """
        identity = CommandIdentity(many("the command", argv, str, "strings, the program first"))
        return cls._of(identity, identity)

    @classmethod
    def _of(cls, plan: Identity | None, apply: Identity | None) -> Credentials:
        made = object.__new__(cls)
        made._settle(Identities(plan, apply))
        return made

    def _settle(self, identities: Identities) -> None:
        object.__setattr__(self, "identities", identities)
        object.__setattr__(self, "where", where_called())


def _seconds(value: object) -> int | None:
    return None if value is None else one("duration=", value, int, "a whole number of seconds")
