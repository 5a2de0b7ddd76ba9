"""HTTP to a host's API: JSON, pages, retries with back-off, limits respected, and a token that is never shown.

urllib3's own retries know nothing of the limits of GitHub and GitLab and wait by a clock that a test cannot hold. So it
is asked how long to wait, and the waiting is done here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Retry

from infra_orch._version import __version__
from infra_orch.errors import UsageError
from infra_orch.hosts.answer import Ambiguous, Answer, HostError, limited, message_of, next_page, retry_after
from infra_orch.hosts.connections import connections
from infra_orch.redact import MASK, Redactor
from infra_orch.shape import misfit

_SLEEP = time.sleep
_TRIES = 6
_BACKOFF = 0.5
_PASSING = (409, 500, 502, 503, 504)
"""Statuses that another try may be spared: the server is ill, or somebody else holds what is to be changed."""
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 30.0
_MOST_BYTES = 32 * 1024 * 1024
_MOST_PAGES = 1000
_REDIRECTS = 3
_SAID = 300
_TOKEN = re.compile(r"[\x21-\x7e]+")
_HINTS = {
    401: "the token is wrong, or is not valid any more",
    403: "the token may not do that",
    404: "it is not there, or the token may not see it",
}


@dataclass
class Http:
    """The API of one host.

    *name* is what the host is called in messages, *base* the API's address, *header* the name of the one that holds the
    token, after *scheme*. *patience* is how many seconds may be spent on tries that came to nothing, and on waiting, in
    all. *pause*, *clock* and *now* are time.
    """

    name: str
    base: str
    token: str = field(repr=False)
    header: str = "Authorization"
    scheme: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: float = 120.0
    pause: Callable[[float], None] = field(default_factory=lambda: _SLEEP)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _spent: float = field(default=0.0, init=False)
    _pool: urllib3.PoolManager | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.base = self.base.rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
            raise UsageError(f"the address of {self.name}'s API is none: {self._clean(self.base)}", hint="https://…")
        # Python quotes a header that cannot be sent, in the exception.
        if not _TOKEN.fullmatch(self.token):
            raise UsageError(
                f"the token for {self.name} holds what no token does: a space, a line break or a control character",
                hint="see how the variable is set; its value is not shown here",
            )

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        once: bool = False,
        quiet: tuple[int, ...] = (),
    ) -> Answer:
        """Send a request and return the answer, trying again where that makes sense and *patience* lasts.

        *path* is below *base*, or a whole address of the same server. *once*: to do it twice would do harm, so where it
        may have been done, Ambiguous is raised. Answers with a status in *quiet* are returned, too.
        Raises HostError for every other answer that is none of success.
        """
        url = self._address(path)
        for number in range(1, _TRIES + 1):
            began = self.clock()
            answer, error = self._try(method, url, body)
            if answer and (answer.status < 300 or (answer.status in quiet and limited(answer, self.now()) is None)):
                return answer
            wait = self._wait(number, answer, error, method)
            if wait is None or number == _TRIES:
                raise self._error(method, path, answer, error)
            self._spent += self.clock() - began
            if self._spent + wait > self.patience:
                raise self._error(method, path, answer, error, given_up=True)
            self._spent += wait
            self.pause(wait)
            if once and self._may_be_done(answer, error):
                # After the wait, so that what is done late is there to be found.
                raise Ambiguous(self._why(method, path, answer, error), status=answer.status if answer else 0)
        raise AssertionError  # the last try raises

    def pages(self, path: str) -> Iterator[Any]:
        """Yield the items of a list, page by page, as the header `Link` leads from one to the next.

        Raises HostError as ask() does, where a page is no list, and where there are more than anybody has.
        """
        following = path
        for _ in range(_MOST_PAGES):
            answer = self.ask("GET", following)
            if not isinstance(answer.body, list):
                raise HostError(f"{self.name} answered with no list to GET {self._shown(path)}")
            yield from answer.body
            following = next_page(answer.headers.get("link", ""))
            if not following:
                return
        raise HostError(f"{self.name} has no end of pages for GET {self._shown(path)}")

    def get(self, path: str, shape: Any) -> Mapping[str, Any]:
        """Return what GET answers, which has that *shape* (see shape.misfit). Raises as ask() and fitting() do."""
        return self.fitting(self.ask("GET", path).body, shape)

    def items(self, path: str, shape: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the items of a list, each of that *shape*. Raises as pages() and fitting() do."""
        return (self.fitting(item, shape) for item in self.pages(path))

    def fitting(self, value: Any, shape: Any) -> Mapping[str, Any]:
        """Return *value*, which has that *shape*. Raises HostError where it has not."""
        if wrong := misfit(value, shape):
            raise HostError(f"{self.name} answered with something else than its documentation says: {wrong}")
        return dict(value)

    def _address(self, path: str) -> str:
        url = path if "://" in path else f"{self.base}{path}"
        if _origin(url) != _origin(self.base):
            # The token is for one server.
            raise HostError(f"{self.name} leads to another server, {_origin(url)[1]}, which is not asked")
        return url

    def _try(self, method: str, url: str, body: Mapping[str, Any] | None) -> tuple[Answer | None, Exception | None]:
        try:
            for _ in range(_REDIRECTS + 1):
                answer = self._send(method, url, body)
                target = answer.headers.get("location", "")
                if answer.status not in (301, 302, 307, 308) or not target:
                    return answer, None
                if method != "GET" and answer.status in (301, 302):
                    return answer, None  # what it is to be repeated as is not settled
                url = self._address(urljoin(url, target))
        except (HTTPError, TimeoutError, OSError, ValueError) as error:
            return None, error
        raise HostError(f"{self.name} leads in a circle")

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> Answer:
        headers = {
            "User-Agent": f"infra-orch/{__version__}",
            "Accept": "application/json",
            **self.headers,
            self.header: f"{self.scheme}{self.token}",
        }
        data = None
        if body is not None:
            # Whatever is to be said, the token is not.
            data = json.dumps(body).replace(self.token, MASK).encode()
            headers["Content-Type"] = "application/json"
        response = self._connections().request(
            method, url, body=data, headers=headers, retries=False, redirect=False, preload_content=False
        )
        try:
            raw = self._read(response)
        finally:
            response.release_conn()
        found = {name.lower(): value for name, value in response.headers.items()}
        if not raw.strip():
            return Answer(response.status, found, None)
        try:
            return Answer(response.status, found, json.loads(raw))
        except ValueError:
            if response.status < 300:
                raise ValueError("its answer is no JSON") from None
            return Answer(response.status, found, raw.decode(errors="replace"))

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """All of an answer, which may neither be endless nor come drop by drop."""
        end, raw = self.clock() + _READ_SECONDS, b""
        for part in response.stream(65_536):
            raw += part
            if len(raw) > _MOST_BYTES:
                raise ValueError("its answer has no end")
            if self.clock() > end:
                raise TimeoutError(f"its answer was not whole after {_READ_SECONDS:.0f} s")
        return raw

    def _connections(self) -> urllib3.PoolManager:
        if self._pool is None:
            self._pool = connections(self.base, _CONNECT_SECONDS, _READ_SECONDS)
        return self._pool

    def _wait(self, number: int, answer: Answer | None, error: Exception | None, method: str) -> float | None:
        """How long to wait before the next try; None: another would come to the same."""
        if answer is None:
            return None if _is_final(error) else self._backoff(number, method)
        limit = limited(answer, self.now())
        if limit is not None:
            return limit
        if answer.status in _PASSING:
            return max(self._backoff(number, method), retry_after(answer, self.now()) or 0.0)
        return None

    def _backoff(self, number: int, method: str) -> float:
        retry = Retry(total=2 * _TRIES, backoff_factor=_BACKOFF, backoff_jitter=_BACKOFF, redirect=False)
        for _ in range(number + 1):  # the first is without any wait, for a connection that was idle too long
            retry = retry.increment(method, self.base, error=OSError())
        return retry.get_backoff_time()

    def _may_be_done(self, answer: Answer | None, error: Exception | None) -> bool:
        """Whether a request that failed may have done what it was for."""
        if answer is None:
            return not isinstance(error, (ConnectTimeoutError, NewConnectionError, ProxyError, SSLError))
        return answer.status >= 500

    def _error(
        self, method: str, path: str, answer: Answer | None, error: Exception | None, *, given_up: bool = False
    ) -> HostError:
        status = answer.status if answer else 0
        hint = _HINTS.get(status, "")
        if answer and (limit := limited(answer, self.now())) is not None:
            again = time.strftime("%H:%M UTC", time.gmtime(min(self.now() + limit, 2**32)))
            return HostError(
                f"{self.name} limits how much may be asked, and may be asked again at {again}",
                hint="the same command then; fewer runs at once, or a token of its own",
                status=status,
            )
        if answer and status == 403:
            needed = answer.headers.get("x-accepted-github-permissions", "")
            hint = f"the token needs {self._clean(needed)}" if needed else hint
        if given_up:
            hint = f"given up after {self._spent:.0f} s; {hint or 'see whether the host is well'}"
        said = self._clean(message_of(answer.body)) if answer else ""
        return HostError(self._why(method, path, answer, error), hint=hint, status=status, said=said)

    def _why(self, method: str, path: str, answer: Answer | None, error: Exception | None) -> str:
        what = f"{method} {self._shown(path)}"
        if answer is None:
            return f"{self.name} ({_origin(self.base)[1]}) did not answer {what}: {self._clean(_words(error))}"
        said = self._clean(message_of(answer.body))
        return f"{self.name} answered {answer.status} to {what}{f': {said}' if said else ''}"

    def _shown(self, path: str) -> str:
        return self._clean(urlsplit(path).path if "://" in path else path.partition("?")[0])

    def _clean(self, text: str) -> str:
        """Text of others in one line, not endless, and without the token, which some servers give back."""
        redactor = Redactor()
        redactor.add(self.token)
        text = redactor.text(" ".join(text.replace(self.token, MASK).split()))
        return text if len(text) <= _SAID else f"{text[:_SAID]}…"


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return "", ""
    return parts.scheme, f"{parts.hostname}:{port}"


def _is_final(error: Exception | None) -> bool:
    """Whether another try would come to the same: a certificate that is not trusted stays so."""
    return isinstance(error, (SSLError, LocationParseError, ProxyError))


def _words(error: Exception | None) -> str:
    """What went wrong, without the objects that urllib3 names."""
    if isinstance(error, NameResolutionError):
        return "its name is not known"
    if isinstance(error, NewConnectionError):
        return "nobody answers there"
    if isinstance(error, (ConnectTimeoutError, ReadTimeoutError)):
        return "it took too long"
    if isinstance(error, SSLError):
        return f"its certificate is not trusted ({error.args[0] if error.args else error}); SSL_CERT_FILE adds one"
    return str(error) or type(error).__name__
