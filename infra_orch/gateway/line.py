"""A connection to a gateway, from outside: a line of JSON each way. What can be said is in serve.py."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from typing import Any

_ANSWER_SECONDS = 180.0
"""A package is hashed and a provider started meanwhile, on machines that may be busy."""


class GatewayError(Exception):
    """The gateway does not answer, or cannot be started."""


class Line:
    """A connection to the gateway. Raises GatewayError where there is nobody, or no answer."""

    def __init__(self, address: str, seconds: float = _ANSWER_SECONDS) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(seconds)
            self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise GatewayError(f"the gateway is not there: {error}") from error
        self._answers = self._socket.makefile("rb")

    def send(self, value: Mapping[str, Any]) -> None:
        """Say something that is not answered."""
        try:
            self._socket.sendall(json.dumps(value).encode() + b"\n")
        except OSError as error:
            raise GatewayError(f"the gateway is gone: {error}") from error

    def ask(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Say something, and wait for the answer."""
        self.send(value)
        try:
            answer = json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            raise GatewayError("the gateway gave no answer") from error
        if not isinstance(answer, dict):
            raise GatewayError("the gateway gave an answer that is none")
        return answer

    def close(self) -> None:
        """End the connection."""
        self._answers.close()
        self._socket.close()


def ask(address: str, what: Mapping[str, Any], *, seconds: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """Ask the gateway at *address* one thing. Raises GatewayError where it does not answer within *seconds*."""
    with contextlib.closing(Line(address, seconds)) as line:
        return line.ask(what)


def hold(address: str) -> Line:
    """Have a gateway stay. Raises GatewayError where it is about to end."""
    line = Line(address)
    try:
        line.ask({"do": "hold"})
    except GatewayError:
        line.close()
        raise
    return line
