"""The fingerprint of a unit: digests of all that its plan depends on, apart from the world itself."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from infra_orch.fingerprint.sources import ModuleSources, Sources, merged
from infra_orch.module.facts import Declared
from infra_orch.module.files import LOCK_FILE
from infra_orch.render.credentials import identities_json
from infra_orch.render.index import RenderedUnit, digest
from infra_orch.shape import misfit

LOCK = "dependency lock file"
UPSTREAM = "upstream values"
SECRETS = "secret values"
ENGINE = "engine"
CREDENTIALS = "credentials"
_SHAPE = {"digest": str, "parts": {str: str}, "unseen": [str]}

Change = Literal["same", "changed", "new", "gone", "unknown"]


@dataclass(frozen=True)
class Fingerprint:
    """What a plan depends on: by name, a digest or a version. *unseen*: what else it may, and nobody has looked at;
    *loose*: remote modules, whose files nobody has looked into.

    It holds content only, no times and no paths of a machine. Secrets are digested with a key that stays on the
    machine: from a record in git nobody can try what they were.
    """

    parts: Mapping[str, str]
    unseen: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why equal fingerprints may stand for different things."""
        return self.unseen + self.loose

    @property
    def digest(self) -> str:
        """One SHA-256 over it all."""
        return digest(json.dumps(dict(self.parts), sort_keys=True, ensure_ascii=False))

    def as_json(self) -> dict[str, Any]:
        """As records and documents have it."""
        return {"digest": self.digest, "parts": dict(sorted(self.parts.items())), "unseen": list(self.doubts)}

    @classmethod
    def from_json(cls, value: Any) -> Fingerprint | None:
        """Read it back; None where there is none, or something else is in its place."""
        if value is None or misfit(value, _SHAPE):
            return None
        return cls(dict(value["parts"]), tuple(value["unseen"]))


@dataclass(frozen=True)
class Given:
    """What a plan is given besides files: the *engine* (`terraform 1.11.4`), the text of *upstream* values, and secret
    ones by the names of their variables; these are digested with *key*.
    """

    engine: str
    upstream: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: bytes = field(default=b"", repr=False)


def fingerprint_of(unit: RenderedUnit, files: Mapping[str, str], sources: Sources, given: Given) -> Fingerprint:
    """Return the fingerprint of *unit*, rendered to *files* ({name: text}, the dependency lock file among them).

    Raises OSError where a file of its modules cannot be read.
    """
    digests = {name: digest(text) for name, text in files.items() if name != LOCK_FILE}
    return fingerprint_from(unit, digests, files.get(LOCK_FILE, ""), content_of(unit, files, sources), given)


def fingerprint_from(
    unit: RenderedUnit, digests: Mapping[str, str], lock: str, said: ModuleSources, given: Given
) -> Fingerprint:
    """Return the fingerprint of *unit* from what is known of it: *digests* of its rendered files by name, the text of
    its dependency *lock* file, and what content_of() *said*.
    """
    parts = {f"rendered {name}": found for name, found in digests.items()}
    parts |= {f"file {path}": found for path, found in said.files.items()}
    parts |= {f"module {source}": version or "as its source says" for source, version in said.remote.items()}
    if unit.credentials:
        parts[CREDENTIALS] = digest(json.dumps(identities_json(unit.credentials), sort_keys=True))
    parts |= {LOCK: digest(lock), ENGINE: given.engine}
    if given.upstream:
        parts[UPSTREAM] = digest(given.upstream)
    if given.secrets:
        parts[SECRETS] = _keyed(given.key, json.dumps(dict(given.secrets), sort_keys=True))
    return Fingerprint(parts, said.unseen, said.loose)


def content_of(unit: RenderedUnit, files: Mapping[str, str], sources: Sources) -> ModuleSources:
    """What the modules of *unit* are made of, and what is said of others in its rendered *files*."""
    return merged(sources.of_module(unit.module), said_in(unit, files, sources))


def said_in(
    unit: RenderedUnit,
    files: Mapping[str, str],
    sources: Sources,
    calls: Mapping[str, Sequence[Declared]] | None = None,
) -> ModuleSources:
    """What is said of modules and files in the rendered *files* of *unit*; *calls* are those of modules, by file, where
    they are known without parsing these.
    """
    own = (
        sources.of_text(
            name, text, f"{unit.name}/{name}", module=False, calls=None if calls is None else calls.get(name, ())
        )
        for name, text in files.items()
        if name.endswith((".tf", ".tf.json"))
    )
    return merged(*own)


def compare(now: Fingerprint, before: Fingerprint) -> dict[str, Change]:
    """Return what became of each part of a fingerprint since *before*; unknown: it was digested on another machine."""
    found: dict[str, Change] = {}
    for name in sorted({*now.parts, *before.parts}):
        if name not in before.parts:
            found[name] = "new"
        elif name not in now.parts:
            found[name] = "gone"
        elif now.parts[name] == before.parts[name]:
            found[name] = "same"
        else:
            found[name] = "unknown" if name == SECRETS and _other_key(now, before) else "changed"
    return found


def _other_key(now: Fingerprint, before: Fingerprint) -> bool:
    return now.parts[SECRETS].partition(":")[0] != before.parts[SECRETS].partition(":")[0]


def _keyed(key: bytes, text: str) -> str:
    """A digest that says which key it was made with, and tells nobody without it anything."""
    name = hashlib.sha256(b"name\0" + key).hexdigest()[:8]
    return f"{name}:{hmac.new(key, text.encode(errors='surrogateescape'), 'sha256').hexdigest()}"
