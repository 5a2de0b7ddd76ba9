"""Take secrets out of text, at one place, before it reaches a log, a terminal, a record, a report or git.

By value: what Terraform marks sensitive, `env()` values, the credentials of the environment. By shape: keys, tokens,
PEM blocks, passwords in URLs. By name: an attribute called like a secret. Settings add patterns.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from infra_orch.errors import UsageError

MASK = "(sensitive)"
# Shorter values (`1`, `on`, `prod`) stand everywhere: masking them hides the text and no secret. From _LONG characters
# on, a value is found wherever it stands.
_SHORTEST = 6
_LONG = 12

_CREDENTIAL_VARIABLES = re.compile(r"(?i)(SECRET|TOKEN|PASSWORD|PASSWD|PRIVATE_KEY|API_KEY|ACCESS_KEY|CREDENTIAL)")
_SHAPES = (
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",  # AWS access key ids
    r"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub tokens
    r"github_pat_[A-Za-z0-9_]{50,}",
    r"glpat-[A-Za-z0-9_-]{20,}",  # GitLab tokens
    r"xox[abprs]-[A-Za-z0-9-]{10,}",  # Slack tokens
    r"AIza[0-9A-Za-z_-]{35}",  # Google API keys
    r"ya29\.[0-9A-Za-z_-]{20,}",  # Google access tokens
    r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",  # Stripe keys
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_-]{50,}",
    r"hv[sbr]\.[A-Za-z0-9_-]{20,}",  # HashiCorp Vault tokens
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9]{40,}",  # HCP Terraform tokens
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # JSON web tokens
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
)
_QUERY_NAMES = (
    "access_token|id_token|refresh_token|token|sshkey|sig|signature|api_?key|password|secret|client_secret|x-amz-signature"
    "|x-amz-security-token|x-goog-signature"
)
# Only the secret part goes: `postgres://app:(sensitive)@db/orders` still says which database it was. Go writes `&` as
# `\\u0026` into JSON.
_PARTS = (
    r"(?P<user>://[^\s/:@\"']*:)[^\s/@\"']+(?=@)",
    r"(?P<alone>://)[^\s/:@\"']{20,}(?=@)",
    rf"(?P<query>(?i:(?:[?&]|\\u0026)(?:{_QUERY_NAMES})=))[^\s&\"'\\]+",
    r"(?P<pair>(?i:(?:(?:^|[;\s\"'])(?:account_?key|shared_?access_?key|password)|;\s*pwd)=))[^\s;\"'\\]+",
    r"(?P<header>(?i:authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token)\s+))[^\s\"',;\\]+",
)
# `password` and `db_password_hash` hold a secret; `password_length` and `secret_arn` say something of one.
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_.\-\[\"])(?:password|passwd|passphrase|secret|secret_key|token|private_key|api_key|access_key"
    r"|connection_string|credentials?)(?:_(?:value|string|text|plaintext|data|json|hash|base64|wo))?(?:$|[.\[\]\"])"
)
_WORDS = frozenset(
    re.findall(
        r"\w+",
        "planned unchanged applied failed blocked deferred cancelled skipped refused create created update updated "
        "delete deleted replace replaced import imported destroy destroyed unknown sensitive terraform default",
    )
)
"""What reports are made of. Nobody has one of these for a secret, however much it is marked as one."""


class Redactor:
    """Masks secrets in text. Values can be added while it is in use, from any thread."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """*patterns* are more regular expressions of what is never shown. Raises UsageError for one that is none."""
        own = []
        for pattern in patterns:
            try:
                own.append(re.compile(pattern, re.DOTALL))
            except re.error as error:
                raise UsageError(f'setting redact: "{pattern}" is not a regular expression: {error}') from error
        self._shapes = re.compile("|".join(_SHAPES), re.DOTALL)
        self._own = tuple(own)  # each by itself: flags and groups of one mean nothing to another
        self._parts = re.compile("|".join(_PARTS), re.MULTILINE)
        self._values: frozenset[str] = frozenset()
        self._public = _WORDS
        self._lock = threading.Lock()

    def add(self, value: Any) -> None:
        """Learn a secret: a string, or every string within a list or map. Other values have nothing to be found by."""
        found = frozenset(_forms(value))
        if not found <= self._values:
            with self._lock:
                self._values |= found

    def keep(self, names: Iterable[str]) -> None:
        """Learn what everybody knows, such as the names of units: a secret that is the same is none."""
        with self._lock:
            self._public |= frozenset(names)

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Learn the credentials among environment variables, told by the variables' names."""
        for name, value in environment.items():
            if _CREDENTIAL_VARIABLES.search(name) and not value.startswith("/"):
                self.add(value)

    def text(self, text: str) -> str:
        """Return *text* with every secret in it masked."""
        # To look for each by itself is much faster than to look for all at once, and hardly ever is one there.
        there = sorted(
            (value for value in self._values - self._public if value in text), key=lambda value: (-len(value), value)
        )
        if there:
            text = re.sub("|".join(map(_pattern, there)), MASK, text)
        for shape in (self._shapes, *self._own):
            text = shape.sub(MASK, text)
        return self._parts.sub(_without_secret, text)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a JSON-like value with secrets masked: in strings, and whole where *name* or a key names a secret."""
        # In the document of a run most strings stand a thousand times.
        return _Masked(functools.cache(self.text), functools.cache(secret_name)).of(value, name)


@dataclass(frozen=True)
class _Masked:
    """What is left of a JSON-like value, given what is left of a *text*, and whether one *names* a secret."""

    text: Callable[[str], str]
    names: Callable[[str], bool]

    def of(self, value: Any, name: str) -> Any:
        if isinstance(value, str):
            return MASK if value and self.names(name) else self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.of(item, str(key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(item, name) for item in value]
        return value


def secret_name(name: str) -> bool:
    """Whether something called *name* is most likely a secret, marked or not."""
    return bool(_SECRET_NAME.search(name))


def _without_secret(match: re.Match[str]) -> str:
    kept = next(part for part in match.groups() if part is not None)
    return match[0] if match[0][len(kept) :].startswith(MASK) else kept + MASK


def _pattern(value: str) -> str:
    """What finds a secret in text. A short one that could be a word is found as a word, and not within longer ones."""
    if len(value) < _LONG and value.isalpha():
        return rf"(?<![^\W_]){re.escape(value)}(?![^\W_])"
    return re.escape(value)


def _forms(value: Any) -> Iterable[str]:
    """The ways in which a secret may stand in text: as it is, in JSON, in HCL, in a URL, in base64, line by line."""
    if isinstance(value, str):
        for text in {value, value.strip(), *(line.strip() for line in value.splitlines())}:
            if len(text) >= _SHORTEST:
                escaped = json.dumps(text, ensure_ascii=False)[1:-1]
                yield from {
                    text,
                    escaped,
                    json.dumps(text)[1:-1],
                    # Terraform is written in Go, whose JSON is safe within HTML.
                    re.sub(r"[<>&\u2028\u2029]", lambda char: f"\\u{ord(char[0]):04x}", escaped),
                    re.sub(r"([$%])\{", r"\1\1{", escaped),
                    quote(text, safe=""),
                    b64encode(text.encode(errors="surrogateescape")).decode().rstrip("="),
                }
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _forms(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _forms(item)
