"""The emulator's web application: moto's, with AWS-shaped answers for what moto cannot do, and two paths of our own.

moto answers a call that it does not know with a web page and status 500. The AWS provider retries that for minutes and
then shows the page. Here it becomes an error in the protocol of the service, with status 501, which no SDK retries.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from infra_orch.sandbox.additions import add_to
from infra_orch.sandbox.census import census
from infra_orch.sandbox.limits import FAILURE_CODE, LIMIT_CODE
from infra_orch.sandbox.paths import ABOUT_PATH, CENSUS_PATH

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
_TURN_SECONDS = 5.0
_REST_XML = frozenset({"s3", "s3-outposts", "route53", "cloudfront"})


class UnknownServiceError(Exception):
    """moto has no back end for the service that was asked for."""


class Application:
    """A WSGI application. *about* is what ABOUT_PATH answers: facts about this process."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._about = dict(about)
        self._moto = DomainDispatcherApplication(_backend_app)
        self._turn = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as WSGI has it (PEP 3333)."""
        path = environ.get("PATH_INFO", "")
        if path == ABOUT_PATH:
            return _answer(start_response, "200 OK", "application/json", json.dumps(self._about))
        if path == CENSUS_PATH:
            with _in_turn(self._turn):
                found = census()
            return _answer(start_response, "200 OK", "application/json", json.dumps(found))
        return self._emulate(environ, start_response)

    def _emulate(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        held: list[tuple[str, list[tuple[str, str]]]] = []

        def hold(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], None]:
            held[:] = [(status, headers)]
            return lambda _: None

        try:
            with _in_turn(self._turn):
                answer = self._moto(environ, hold)
                body = b"".join(answer)
                if callable(close := getattr(answer, "close", None)):
                    close()
        except UnknownServiceError:
            return _refuse(environ, start_response, f"the service {_service(environ)}")
        except NotImplementedError as error:
            return _refuse(environ, start_response, _operation(environ, str(error)))
        except Exception as error:  # noqa: BLE001 a defect of moto must not end the connection without an answer
            traceback.print_exc(file=sys.stderr)
            return _fail(environ, start_response, error)
        status, headers = held[0]
        if status[:3] in {"404", "405"} and body.startswith(b"<!doctype html>"):
            return _refuse(environ, start_response, _operation(environ, ""))
        start_response(status, headers)
        return [body]


@contextlib.contextmanager
def _in_turn(turn: threading.Lock) -> Iterator[None]:
    """Wait until no other request is at work: moto fails where one changes what another is going through.

    Not for ever: a topic's subscriber, which moto waits for, may itself ask the emulator for something.
    """
    taken = turn.acquire(timeout=_TURN_SECONDS)
    try:
        yield
    finally:
        if taken:
            turn.release()


def _backend_app(service: Any) -> Any:
    if service is None:
        raise UnknownServiceError
    add_to(service)
    return create_backend_app(service)


def _refuse(environ: Environ, start_response: StartResponse, what: str) -> Iterable[bytes]:
    message = f"{what} is not emulated"
    return _error(environ, start_response, "501 Not Implemented", LIMIT_CODE, message)


def _fail(environ: Environ, start_response: StartResponse, error: Exception) -> Iterable[bytes]:
    message = f"{_operation(environ, '')} failed in the emulator ({type(error).__name__}: {error})"
    return _error(environ, start_response, "500 Internal Server Error", FAILURE_CODE, message)


def _error(environ: Environ, start_response: StartResponse, status: str, code: str, message: str) -> Iterable[bytes]:
    """An error as the service's protocol has it: JSON, query, EC2's query, or REST with XML.

    https://smithy.io/2.0/aws/protocols/index.html
    """
    service = _service(environ)
    fields = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if _is_query(environ) and service == "ec2":
        text = f"<Response><Errors><Error>{fields}</Error></Errors><RequestID>none</RequestID></Response>"
    elif service.startswith("s3"):
        text = f"<Error>{fields}<RequestId>none</RequestId></Error>"
    elif _is_query(environ) or service in _REST_XML:
        text = f"<ErrorResponse><Error><Type>Sender</Type>{fields}</Error><RequestId>none</RequestId></ErrorResponse>"
    else:
        text = json.dumps({"__type": code, "message": message})
        return _answer(start_response, status, "application/json", text, [("X-Amzn-ErrorType", code)])
    return _answer(start_response, status, "text/xml", text)


def _answer(
    start_response: StartResponse, status: str, kind: str, text: str, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [body]


def _is_query(environ: Environ) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def _service(environ: Environ) -> str:
    """The service in the signature's scope: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`."""
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) == 5 else "aws"


def _operation(environ: Environ, said: str) -> str:
    """The call by name, as `ec2 DescribeIpams`; by method and path where neither request nor moto name it."""
    service = _service(environ)
    target = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    if target:
        return f"{service} {target}"
    before, marker, _ = said.removeprefix("The ").partition(" action has not been implemented")
    if marker:
        return f"{service} {''.join(word.capitalize() for word in before.split('_'))}"
    if said:
        return f"{service}: {said}"
    return f"{service} {environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"
