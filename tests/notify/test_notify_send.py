"""Messages reach real webhooks and a real mail server through apprise; what cannot be told is said without a secret."""

from __future__ import annotations

import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from local_http import chatting

from infra_orch.notify.send import Message, begin, deliver

SECRET = "TokenABCDEFGHIJKLMNOP"
MESSAGE = Message("TARGET", "apply of prod: failed", "1 failed\nnetwork: failed", "failure")


def test_a_webhook_is_told_title_text_and_kind() -> None:
    with chatting() as (host, chat):
        assert deliver(MESSAGE, {"TARGET": f"json://{host}/{SECRET}"}) == ""
    (told,) = chat.told
    assert (told["path"], told["title"], told["message"], told["type"]) == (
        f"/{SECRET}", "apply of prod: failed", "1 failed\nnetwork: failed", "failure",
    )  # fmt: skip


def test_a_variable_may_have_several_addresses() -> None:
    with chatting() as (host, chat):
        assert deliver(MESSAGE, {"TARGET": f"json://{host}/a json://{host}/b"}) == ""
    assert sorted(told["path"] for told in chat.told) == ["/a", "/b"]


def test_a_chat_gets_markup_as_text() -> None:
    """Mattermost's webhook, which is Slack's own form, and can be on any host."""
    with chatting() as (host, chat):
        message = Message("TARGET", "title", "a *b* <!channel>")
        assert deliver(message, {"TARGET": f"mmost://{host}/{'k' * 26}"}) == ""
    (told,) = chat.told
    assert "a *b*" in told["text"]


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a letter needs."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                letter = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    letter += part
                self.server.letters.append(letter.decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")


@pytest.fixture
def mail_server() -> Iterator[tuple[int, list[str]]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        server.letters = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server.server_address[1], server.letters  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def test_an_e_mail_is_a_letter(mail_server: tuple[int, list[str]]) -> None:
    port, letters = mail_server
    address = f"mailto://127.0.0.1:{port}?from=infra@example.com&to=ada@example.com&mode=insecure"
    assert deliver(MESSAGE, {"TARGET": address}) == ""
    assert "Subject: apply of prod: failed" in letters[0]
    assert "network: failed" in letters[0]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({}, "the variable TARGET is not set, so nobody is told by it"),
        ({"TARGET": f"json://127.0.0.1:1/{SECRET}"}, "TARGET (json) could not be told"),
        ({"TARGET": f"nonsense://{SECRET}"}, "TARGET (nonsense) is no address that apprise knows"),
        ({"TARGET": SECRET}, "TARGET (no address) is no address that apprise knows"),
        ({"TARGET": ""}, ""),
    ],
)
def test_what_cannot_be_told_is_said_without_the_address(
    environment: dict[str, str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert deliver(MESSAGE, environment) == complaint
    # Nor does anybody else say it.
    assert capfd.readouterr() == ("", "")


def test_a_server_that_refuses_is_a_complaint(capfd: pytest.CaptureFixture[str]) -> None:
    with chatting() as (host, chat):
        chat.status = 500
        assert deliver(MESSAGE, {"TARGET": f"json://{host}/{SECRET}"}) == "TARGET (json) could not be told"
    assert capfd.readouterr() == ("", "")


def test_one_that_hangs_holds_up_neither_the_others_nor_the_run() -> None:
    with chatting(slow=True) as (slow, asked), chatting() as (host, chat):
        sending = begin(
            [Message("SLOW", "t", "x"), Message("FAST", "t", "x")],
            {"SLOW": f"json://{slow}/{SECRET}", "FAST": f"json://{host}/"},
        )
        sending.under_way[1][1].join()
        assert len(chat.told) == 1
        began = time.monotonic()
        assert sending.complaints(patience=0.1) == ["SLOW was not told in time"]
        assert time.monotonic() - began < 2
        asked.released.set()
        sending.under_way[0][1].join()


def test_one_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import os, sys\nfrom infra_orch.notify.send import Message, begin\n"
        "sending = begin([Message('SLOW', 't', 'x')], os.environ)\n"
        "sys.stdin.readline()\n"
        "print(sending.complaints(0.1))\n"
    )
    with chatting(slow=True) as (host, chat):
        environment = {
            "SLOW": f"json://{host}/?rto=50&cto=50",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(sys.path),
        }
        child = subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        until = time.monotonic() + 30
        while not chat.told and time.monotonic() < until:
            time.sleep(0.02)
        began = time.monotonic()
        printed, _ = child.communicate("\n", timeout=40)
        assert printed == "['SLOW was not told in time']\n"
        assert time.monotonic() - began < 10


def test_a_message_is_never_endless_and_moves_no_cursor() -> None:
    with chatting() as (host, chat):
        assert deliver(Message("TARGET", "t\nu\x1b[2J" * 100, "x" * 9999), {"TARGET": f"json://{host}/"}) == ""
    (told,) = chat.told
    assert (len(told["title"]), len(told["message"])) == (200, 3000)
    assert told["title"].startswith("t u\N{REPLACEMENT CHARACTER}[2J")


def test_without_apprise_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    sending = begin([MESSAGE, Message("OTHER", "t", "x")], {"TARGET": "json://x", "OTHER": "json://y"})
    assert sending.complaints() == ["notifications need apprise: pip install 'infra-orch[notify]'"]
