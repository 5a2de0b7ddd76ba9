"""The emulator's requests take turns: moto itself is not made for two at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra_orch.sandbox import application
from infra_orch.sandbox.application import Application


def ask(asked: Application) -> bytes:
    return b"".join(asked({"PATH_INFO": "/"}, lambda *_: None))


def emulating(answer: Callable[[], bytes]) -> Application:
    """The application, with *answer* in the place of moto."""

    def moto(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [answer()]

    made = Application({})
    made._moto = moto
    return made


def test_no_request_is_answered_while_another_is():
    at_work: list[int] = []
    most = []

    def answer() -> bytes:
        at_work.append(1)
        time.sleep(0.005)
        most.append(len(at_work))
        at_work.pop()
        return b"done"

    asked = emulating(answer)
    with ThreadPoolExecutor(8) as askers:
        assert set(askers.map(lambda _: ask(asked), range(40))) == {b"done"}
    assert max(most) == 1


def test_a_request_that_waits_for_another_one_is_answered(monkeypatch: pytest.MonkeyPatch):
    """As where a topic's subscriber asks for something before it has answered."""
    monkeypatch.setattr(application, "_TURN_SECONDS", 0.05)
    asked = emulating(lambda: b"inner")
    with ThreadPoolExecutor(1) as subscriber:
        outer = emulating(lambda: subscriber.submit(ask, asked).result(10))
        outer._turn = asked._turn
        assert ask(outer) == b"inner"


def test_a_defect_does_not_keep_the_turn():
    def fail() -> bytes:
        raise RuntimeError("dictionary changed size during iteration")

    asked = emulating(fail)
    assert b"failed in the emulator" in ask(asked)
    asked._moto = emulating(lambda: b"done")._moto
    began = time.monotonic()
    assert ask(asked) == b"done"
    assert time.monotonic() - began < application._TURN_SECONDS
