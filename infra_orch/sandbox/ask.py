"""One question to the emulator over HTTP, past every proxy."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from infra_orch.errors import UnavailableError


def ask(url: str, path: str, *, method: str = "GET", timeout: float = 5.0) -> tuple[int, bytes]:
    """Return status and body of *path* at the emulator's *url* (`http://127.0.0.1:PORT`); *timeout* is in seconds.

    Raises UnavailableError where nothing answers there.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"the emulator at {url} does not answer: {error}") from error
    finally:
        connection.close()
