"""What a value that is not there yet leaves in a string: a token, from which the renderer makes an interpolation.

A token that a string operation has cut or changed is found: its word mixes upper and lower case, a checksum covers the
rest, and the word alone, left where json.dumps or the like has escaped the NUL characters around it, gives it away.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

_MARK = "\x00"
_WORD = "Infra-Orch-Value-Of"
_REMAINS = re.compile("infra.{0,3}orch.{0,3}value.{0,3}of", re.IGNORECASE)
_SHORTEST = len("infraorchvalueof")
"""What _REMAINS finds is no shorter."""
_TOKEN = re.compile(f"{_MARK}{_WORD}:([0-9a-f]{{8}}):([^{_MARK}]*){_MARK}")


class TamperedReferenceError(ValueError):
    """A string holds a piece of a reference: a string operation changed it after it was put there."""


class NulCharacterError(ValueError):
    """A string holds a NUL character, which no Terraform value may hold, and which marks references here."""


def token(payload: list[object]) -> str:
    """Return the token that carries *payload*, a list as JSON has it, through a string."""
    text = json.dumps(payload)
    return f"{_MARK}{_WORD}:{_checksum(text)}:{text}{_MARK}"


def split(text: str) -> list[str | list[Any]]:
    """Split a string into its plain parts, as strings, and the payloads of the tokens in it, as lists.

    Raises TamperedReferenceError where a token was cut or changed, NulCharacterError for a NUL that belongs to none.
    """
    if _MARK not in text and (len(text) < _SHORTEST or not _REMAINS.search(text)):
        return [text] if text else []
    found: list[str | list[Any]] = []
    end = 0
    for match in _TOKEN.finditer(text):
        found += _plain(text[end : match.start()])
        checksum, payload = match.groups()
        if checksum != _checksum(payload):
            raise TamperedReferenceError(match[0])
        found.append(json.loads(payload))
        end = match.end()
    return [*found, *_plain(text[end:])]


def shortened(text: str) -> str:
    """Return *text* for a message, with `…` in the place of each token."""
    return _TOKEN.sub("…", text)


def _plain(text: str) -> list[str]:
    """A part of a string with no whole token in it, as a list of one or none."""
    if _REMAINS.search(text):
        raise TamperedReferenceError(text)
    if _MARK in text:
        raise NulCharacterError(text)
    return [text] if text else []


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
