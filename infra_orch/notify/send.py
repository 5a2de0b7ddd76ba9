"""Send messages through apprise, which knows some hundred services, without holding anybody up.

An address holds a secret: it is read from a variable when it is sent to, and no complaint says more of it than what
kind of service it is. What apprise logs quotes addresses, so it goes nowhere.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["info", "success", "warning", "failure"]

PATIENCE = 10.0
"""Seconds that all messages of a moment may take together, before the run goes on without knowing."""
INSTALL = "pip install 'infra-orch[notify]'"
_LONGEST_TITLE = 200
_LONGEST_TEXT = 3000
_SCHEME = re.compile(r"([a-z][a-z0-9+]{0,19})://", re.IGNORECASE)


@dataclass(frozen=True)
class Message:
    """*title* and *text*, for whoever the address in the *variable* belongs to."""

    variable: str
    title: str
    text: str
    kind: Kind = "info"


@dataclass(frozen=True)
class Sending:
    """Messages that are under way, each in a thread of its own, so that one that hangs holds up no other."""

    under_way: Sequence[tuple[Message, threading.Thread]]
    _complaints: list[str] = field(default_factory=list)

    def complaints(self, patience: float = PATIENCE) -> list[str]:
        """Wait until they are sent, for *patience* seconds at most. Returns what was not sent, and why, each once."""
        until = time.monotonic() + patience
        late = []
        for message, thread in self.under_way:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                late.append(f"{message.variable} was not told in time")
        return list(dict.fromkeys([*self._complaints, *late]))


def begin(messages: Sequence[Message], environment: Mapping[str, str]) -> Sending:
    """Begin to send messages to the addresses that variables of *environment* have. Never raises."""
    complaints: list[str] = []

    def send(message: Message) -> None:
        complaint = deliver(message, environment)
        if complaint:
            complaints.append(complaint)

    # Daemons: one that never ends must not keep the process from ending.
    threads = [threading.Thread(target=send, args=(message,), daemon=True) for message in messages]
    for thread in threads:
        thread.start()
    return Sending(tuple(zip(messages, threads, strict=True)), complaints)


def deliver(message: Message, environment: Mapping[str, str]) -> str:
    """Send a message. Returns why it was not sent; empty where it was, or where its variable is empty on purpose.

    Never raises.
    """
    address = environment.get(message.variable)
    if address is None:
        return f"the variable {message.variable} is not set, so nobody is told by it"
    if not address.strip():
        return ""
    try:
        return _deliver(message, address)
    except ImportError:
        return f"notifications need apprise: {INSTALL}"
    except Exception as error:  # noqa: BLE001 - whatever goes wrong there, no run fails for it
        # What the error says may quote the address.
        return f"{message.variable} ({_service(address)}) could not be told: {type(error).__name__}"


def _deliver(message: Message, address: str) -> str:
    import apprise  # noqa: PLC0415 - an extra, and half as long to import as all of ours

    _silence(apprise.LOGGER_NAME if hasattr(apprise, "LOGGER_NAME") else "apprise")
    asset: Any = apprise.AppriseAsset(
        app_id="infra-orch",
        app_desc="infra-orch",
        # Nothing is kept in files, and no keys are made.
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        pem_autogen=False,
        pgp_autogen=False,
    )
    told = apprise.Apprise(asset=asset)
    if not told.add(address.split()):
        return f"{message.variable} ({_service(address)}) is no address that apprise knows"
    title = _bounded(message.title, _LONGEST_TITLE).replace("\n", " ")
    sent = [_tell(service, title, _bounded(message.text, _LONGEST_TEXT), apprise, message.kind) for service in told]
    return "" if all(sent) else f"{message.variable} ({_service(address)}) could not be told"


def _tell(service: Any, title: str, text: str, apprise: Any, kind: Kind) -> bool:
    """Send to one service, as text: what looks like markup there is none.

    Apprise itself would do it in a pool of threads, for which Python waits when the process ends.
    """
    service.notify_format = apprise.NotifyFormat.TEXT
    return bool(service.notify(title=title, body=text, notify_type=apprise.NotifyType(kind)))


def _service(address: str) -> str:
    """What kind of service an address is of: `slack`. Nothing else of it is ever shown."""
    schemes = dict.fromkeys(found[1].lower() for found in map(_SCHEME.match, address.split()) if found)
    return ", ".join(schemes) or "no address"


def _silence(name: str) -> None:
    logger = logging.getLogger(name)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _bounded(text: str, most: int) -> str:
    """*text* without what controls terminals and the like, and not endless."""
    said = "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)
    return said if len(said) <= most else f"{said[: most - 1]}…"
