"""Connections to a host's API: whom they trust, and through which proxy they go."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3

from infra_orch.errors import UsageError

_TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables that name a file of certificates to trust. The last two are those that most tools of a CI know."""


def connections(base: str, connect: float, read: float) -> urllib3.PoolManager:
    """Return what connects to the server of *base*, with so many seconds to *connect* and to *read*.

    Proxies are those of HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Raises UsageError where a variable names no file of
    certificates, or no proxy.
    """
    timeout = urllib3.Timeout(connect=connect, read=read)
    parts = urlsplit(base)
    context = _context() if parts.scheme == "https" else None
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all", "")
    if not proxy or proxy_bypass(parts.netloc):
        return urllib3.PoolManager(timeout=timeout, ssl_context=context)
    try:
        found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        headers = None
        if found.username:
            headers = urllib3.make_headers(proxy_basic_auth=f"{found.username}:{found.password or ''}")
        address = f"{found.scheme}://{found.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(address, proxy_headers=headers, timeout=timeout, ssl_context=context)
    except (ValueError, urllib3.exceptions.HTTPError):
        # Its address may hold a password.
        raise UsageError("the address of the proxy is none", hint="HTTPS_PROXY=http://proxy.example.com:3128") from None


def _context() -> ssl.SSLContext:
    """The system's trust, and what the variables name on top of it."""
    context = ssl.create_default_context()
    for name in _TRUST:
        file = os.environ.get(name, "")
        if file:
            place = {"capath": file} if Path(file).is_dir() else {"cafile": file}
            try:
                context.load_verify_locations(**place)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f'{name}="{file}" holds no certificates: {error}') from None
    return context
