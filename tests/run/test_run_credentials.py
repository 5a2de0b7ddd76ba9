"""A run's credentials: fetched once, renewed in time, given to one unit alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra_orch.engine.aws_credentials import CredentialsError
from infra_orch.errors import InterruptedRun, Where
from infra_orch.redact import MASK, Redactor
from infra_orch.render.index import RenderedUnit
from infra_orch.run.credentials import Wallet
from infra_orch.spec.credentials import CommandIdentity, Identities, Identity


@dataclass(frozen=True)
class Vault:
    """A program that prints credentials, numbered by its calls; what it is told to print can be changed."""

    folder: Path

    def identity(self, name: str) -> CommandIdentity:
        """Whose credentials are those of *name*."""
        return CommandIdentity(("./vault", name))

    def calls(self, name: str) -> int:
        """How often those of *name* were asked for."""
        path = self.folder / f"calls-{name}"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def lasts(self, left: timedelta) -> None:
        """Have what is printed from now on expire in *left*."""
        expires = (datetime.now(UTC) + left).isoformat()
        answer = {
            "Version": 1,
            "AccessKeyId": "key-NAME",
            "SecretAccessKey": "secret-NAME",
            "SessionToken": "token-NAME",
        }
        (self.folder / "answer").write_text(json.dumps({**answer, "Expiration": expires}))

    def fails(self) -> None:
        """Have it fail from now on."""
        (self.folder / "answer").unlink()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    script = 'echo x >> "calls-$1"\nsleep 0.05\nn=$(wc -l < "calls-$1")\nsed "s/NAME/$1-$n/g" answer || exit 3\n'
    (tmp_path / "vault").write_text(f"#!/bin/sh\n{script}")
    (tmp_path / "vault").chmod(0o755)
    made = Vault(tmp_path)
    made.lasts(timedelta(hours=1))
    return made


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def wallet(vault: Vault, redactor: Redactor) -> Wallet:
    return Wallet("infra-orch-1", vault.folder, redactor)


def unit(name: str, plan: Identity | None, apply: Identity | None) -> RenderedUnit:
    where = Where("stacks/dev/stack.py", 1)
    rest = ({}, (), (), {}, (), False, None, None, {}, {}, where, Identities(plan, apply))
    return RenderedUnit(name, "modules/x", "local", *rest)


def test_a_unit_plans_with_one_and_applies_with_another(vault: Vault, wallet: Wallet) -> None:
    wallet.learn(unit("web", vault.identity("reader"), vault.identity("writer")))
    planning = wallet.for_unit("web", {"PATH": "/bin"}, changes=False)
    assert planning == {
        "PATH": "/bin",
        "AWS_ACCESS_KEY_ID": "key-reader-1",
        "AWS_SECRET_ACCESS_KEY": "secret-reader-1",
        "AWS_SESSION_TOKEN": "token-reader-1",
    }
    assert wallet.for_unit("web", {}, changes=True)["AWS_ACCESS_KEY_ID"] == "key-writer-1"


def test_nothing_of_others_is_left_in_the_environment(vault: Vault, wallet: Wallet) -> None:
    names = (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    )
    theirs = dict.fromkeys(names, "theirs")
    kept = {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://x", "AWS_CA_BUNDLE": "/ca"}
    wallet.learn(unit("web", vault.identity("reader"), None))
    given = wallet.for_unit("web", {**theirs, **kept}, changes=False)
    assert "theirs" not in given.values()
    assert kept.items() <= given.items()


def test_a_unit_without_any_keeps_the_environment_and_nobody_is_asked(vault: Vault, wallet: Wallet) -> None:
    environment = {"AWS_PROFILE": "prod"}
    wallet.learn(unit("web", None, vault.identity("writer")))
    assert wallet.for_unit("web", environment, changes=False) == environment
    assert wallet.for_unit("stranger", environment, changes=True) == environment
    assert wallet.for_tasks(environment) == environment
    assert vault.calls("writer") == 0


def test_tasks_work_with_what_applies(vault: Vault, wallet: Wallet) -> None:
    wallet.learn_tasks(Identities(vault.identity("reader"), vault.identity("writer")))
    assert wallet.for_tasks({})["AWS_ACCESS_KEY_ID"] == "key-writer-1"


def test_many_units_at_once_ask_once_for_each_identity(vault: Vault, wallet: Wallet) -> None:
    start = threading.Barrier(12)
    for number in range(12):
        wallet.learn(unit(f"u{number}", vault.identity(f"who{number % 3}"), None))

    def ask(number: int) -> str:
        start.wait()
        return wallet.for_unit(f"u{number}", {}, changes=False)["AWS_ACCESS_KEY_ID"]

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(12)))
    assert found == [f"key-who{number % 3}-1" for number in range(12)]
    assert [vault.calls(f"who{number}") for number in range(3)] == [1, 1, 1]


def test_what_soon_expires_is_renewed_before_a_command_and_what_does_not_is_kept(vault: Vault, wallet: Wallet) -> None:
    who = vault.identity("reader")
    vault.lasts(timedelta(minutes=4, seconds=50))
    assert wallet.keys(who).access_key == "key-reader-1"
    vault.lasts(timedelta(minutes=5, seconds=30))
    assert wallet.keys(who).access_key == "key-reader-2"
    assert wallet.keys(who).access_key == "key-reader-2"
    assert vault.calls("reader") == 2


def test_a_failure_is_told_to_all_and_asked_for_once(vault: Vault, wallet: Wallet) -> None:
    vault.fails()
    for _ in range(3):
        with pytest.raises(CredentialsError, match=r'the command "./vault" of credentials ended with code 3'):
            wallet.keys(vault.identity("reader"))
    assert vault.calls("reader") == 1


def test_what_could_not_be_renewed_is_asked_for_again(vault: Vault, wallet: Wallet) -> None:
    who = vault.identity("reader")
    vault.lasts(timedelta(minutes=1))
    wallet.keys(who)
    vault.fails()
    with pytest.raises(CredentialsError):
        wallet.keys(who)
    vault.lasts(timedelta(hours=1))
    assert wallet.keys(who).access_key == "key-reader-3"


def test_what_was_fetched_is_known_to_the_redactor(vault: Vault, wallet: Wallet, redactor: Redactor) -> None:
    wallet.keys(vault.identity("reader"))
    assert redactor.text("key-reader-1 secret-reader-1 token-reader-1") == f"{MASK} {MASK} {MASK}"


def test_the_words_of_a_program_that_fails_are_redacted(vault: Vault, wallet: Wallet, redactor: Redactor) -> None:
    redactor.add("hunter2hunter2")
    (vault.folder / "vault").write_text("#!/bin/sh\necho 'hunter2hunter2 is wrong' >&2\nexit 1\n")
    with pytest.raises(CredentialsError) as caught:
        wallet.keys(vault.identity("reader"))
    assert caught.value.summary == f'the command "./vault" of credentials ended with code 1: {MASK} is wrong'


@pytest.mark.parametrize("how", [{"asks": False}, {"runs_commands": False}, {"stopping": lambda: True}])
def test_nobody_is_asked_in_the_sandbox_nor_where_it_is_refused_nor_when_it_stops(
    vault: Vault, redactor: Redactor, how: dict[str, bool | Callable[[], bool]]
) -> None:
    wallet = Wallet("infra-orch-1", vault.folder, redactor, **how)
    wallet.learn(unit("web", vault.identity("reader"), vault.identity("writer")))
    if "asks" in how:
        assert wallet.for_unit("web", {}, changes=True) == {}
    else:
        wrong = CredentialsError if "runs_commands" in how else InterruptedRun
        with pytest.raises(wrong):
            wallet.for_unit("web", {}, changes=True)
    assert vault.calls("reader") == vault.calls("writer") == 0
