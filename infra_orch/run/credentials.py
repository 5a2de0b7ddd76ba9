"""The credentials of a run: whose each unit works with, fetched once, and given to its Terraform alone.

They are in memory and in the environment of a process, and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra_orch.engine.aws_credentials import (
    CredentialsError,
    Keys,
    keys_of_command,
    keys_of_profile,
    keys_of_role,
    keys_of_web_identity,
)
from infra_orch.errors import InterruptedRun
from infra_orch.redact import Redactor
from infra_orch.render.index import RenderedUnit
from infra_orch.spec.credentials import CommandIdentity, Identities, Identity, ProfileIdentity, RoleIdentity

REFRESH_BEFORE = timedelta(minutes=5)
"""With less than this left no command is started: Terraform cannot be given others once it runs."""

COMMAND_HINT = (
    "a commit can name any program there; where that is meant: INFRA_ORCH_ALLOW_CREDENTIAL_COMMANDS=1, or "
    "allow.credential_commands = true in the settings"
)

_OF_OTHERS = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_EXPIRATION"),
        *("AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    }
)
"""Variables by which Terraform would find credentials of somebody else."""


@dataclass
class _Slot:
    """What is known of one identity. Whoever holds the lock may fetch; the others wait and take what came of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: Keys | None = None
    failure: CredentialsError | None = None


class Wallet:
    """Whose credentials each unit of a run works with. Safe to use from many threads.

    *session_name* is what roles are assumed as. *folder* is where commands run; *runs_commands*: whether they may.
    *asks* is False in the sandbox, where nobody is asked for anything. *stopping*: whether the run is.
    """

    def __init__(
        self,
        session_name: str,
        folder: Path,
        redactor: Redactor,
        *,
        asks: bool = True,
        runs_commands: bool = True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._session_name = session_name
        self._folder = folder
        self._redactor = redactor
        self._asks = asks
        self._runs_commands = runs_commands
        self._stopping = stopping
        self._known: dict[str, Identities | None] = {}
        self._of_tasks: Identities | None = None
        self._slots: dict[Identity, _Slot] = {}
        self._guard = threading.Lock()

    def learn(self, unit: RenderedUnit) -> None:
        """Learn whose credentials a unit works with."""
        self._known[unit.name] = unit.credentials

    def learn_tasks(self, identities: Identities | None) -> None:
        """Learn whose credentials the stack's tasks work with."""
        self._of_tasks = identities

    def for_unit(self, name: str, environment: Mapping[str, str], *, changes: bool) -> Mapping[str, str]:
        """Return *environment* with the credentials of a unit in the place of all others.

        *changes*: for a command that changes the world or the state, and not one that reads or plans.
        Raises CredentialsError where they cannot be had, InterruptedRun where the run is stopping.
        """
        whose = self._known.get(name) or Identities(None, None)
        return self._put(whose.apply if changes else whose.plan, environment)

    def keys_to_read(self, name: str) -> Keys | None:
        """Return the credentials of a unit's own that read its state; None: those of the environment.

        Raises as keys() does.
        """
        whose = self._known.get(name) or Identities(None, None)
        return self.keys(whose.plan) if whose.plan and self._asks else None

    def for_tasks(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Return *environment* with the credentials of the stack's tasks. Raises as for_unit() does."""
        return self._put(self._of_tasks.apply if self._of_tasks else None, environment)

    def keys(self, identity: Identity) -> Keys:
        """Return the credentials of *identity*, fetched where they are not at hand or soon expire.

        Raises CredentialsError where they cannot be had: at once for each who asks, once that is known.
        """
        with self._guard:
            slot = self._slots.setdefault(identity, _Slot())
        with slot.lock:
            if slot.failure:
                raise CredentialsError(slot.failure.summary, hint=slot.failure.hint)
            if slot.keys is None or _expires_soon(slot.keys):
                if self._stopping():
                    raise InterruptedRun("no credentials were asked for: the run is stopping")
                try:
                    slot.keys = self._fetched(identity)
                except CredentialsError as error:
                    if slot.keys is None:  # what could be had before may be had again
                        slot.failure = error
                    raise
            return slot.keys

    def _put(self, identity: Identity | None, environment: Mapping[str, str]) -> Mapping[str, str]:
        if identity is None or not self._asks:
            return environment
        keys = self.keys(identity)
        others = {name: value for name, value in environment.items() if name not in _OF_OTHERS}
        own = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
        return {**others, **own, **({"AWS_SESSION_TOKEN": keys.token} if keys.token else {})}

    def _fetched(self, identity: Identity) -> Keys:
        if isinstance(identity, CommandIdentity) and not self._runs_commands:
            raise CredentialsError(f'the command "{identity.argv[0]}" of credentials is refused', hint=COMMAND_HINT)
        try:
            keys = self._fetch(identity)
        except CredentialsError as error:
            # A program's own words may hold what it was given.
            raise CredentialsError(self._redactor.text(error.summary), hint=error.hint) from error
        # The key's id is no secret by itself, but nobody has to know it either.
        for secret in (keys.access_key, keys.secret_key, keys.token):
            self._redactor.add(secret)
        return keys

    def _fetch(self, identity: Identity) -> Keys:
        if isinstance(identity, ProfileIdentity):
            return keys_of_profile(identity)
        if isinstance(identity, CommandIdentity):
            return keys_of_command(identity, self._folder)
        if isinstance(identity, RoleIdentity):
            by = self.keys(identity.source) if identity.source else None
            return keys_of_role(identity, self._session_name, by)
        return keys_of_web_identity(identity, self._session_name)


def _expires_soon(keys: Keys) -> bool:
    return keys.expires is not None and keys.expires - datetime.now(UTC) < REFRESH_BEFORE
