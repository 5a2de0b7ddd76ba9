"""Take secrets out of text, at one place, before it reaches a log, a terminal, a record, a report or git.

By value: what Terraform marks sensitive, `env()` values, the credentials of the environment. By shape: keys, tokens,
PEM blocks, passwords in URLs. By name: an attribute called like a secret. Settings add patterns.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterable, Mapping
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
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # JSON web tokens
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
)
# Only the secret part goes: `postgres://app:(sensitive)@db/orders` still says which database it was.
_PARTS = (r"(?<=://)([^\s/:@\"']*):([^\s/@\"']+)(?=@)",)
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
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f'setting redact: "{pattern}" is not a regular expression: {error}') from error
            own.append(f"(?:{pattern})")
        self._shapes = re.compile("|".join((*_SHAPES, *own)), re.DOTALL)
        self._parts = re.compile("|".join(_PARTS))
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
        return self._parts.sub(rf"\1:{MASK}", self._shapes.sub(MASK, text))

    def value(self, value: Any, name: str = "") -> Any:
        """Return a JSON-like value with secrets masked: in strings, and whole where *name* or a key names a secret."""
        if isinstance(value, str):
            return MASK if value and secret_name(name) else self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item, name) for item in value]
        return value


def secret_name(name: str) -> bool:
    """Whether something called *name* is most likely a secret, marked or not."""
    return bool(_SECRET_NAME.search(name))


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
