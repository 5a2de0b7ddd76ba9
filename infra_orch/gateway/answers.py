"""What providers answer whatever the configuration: in memory, on disk, or from the provider itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from infra_orch.gateway.calls import UNIMPLEMENTED, Answer, Request
from infra_orch.gateway.package import Package
from infra_orch.gateway.schemas import Kept, SchemaCache
from infra_orch.gateway.wire import Schema, WireError, framed, has_error, message

SCHEMA = frozenset({"GetSchema", "GetProviderSchema"})


class Schemas:
    """What providers answer whatever the configuration: in memory, on disk, or from the provider itself."""

    def __init__(self, disk: SchemaCache) -> None:
        self._disk = disk
        self._kept: dict[tuple[str, str], Kept] = {}
        self._parsed: dict[tuple[str, int], Schema] = {}

    def protocol(self, package: Package) -> int | None:
        """The protocol that a provider speaks, where its schema is known; None where it has to be asked."""
        for method in sorted(SCHEMA):
            if kept := self._known(package, method):
                return kept.protocol
        return None

    async def answer(self, package: Package, request: Request, ask: Callable[[], Awaitable[Answer]]) -> Kept | Answer:
        """What the provider says to a call whose answer can be kept; one that cannot be after all, as it is."""
        known = self._known(package, request.name)
        if known is None:
            answer = await ask()
            known = _kept(request, answer)
            if known is None:
                return answer
            self._kept[package.h1, request.name] = known
            self._disk.write(package, request.name, known)
        return known

    def schema(self, package: Package, kept: Kept) -> Schema:
        """A schema, taken apart once for all commands."""
        key = (package.h1, kept.protocol)
        if key not in self._parsed:
            self._parsed[key] = Schema(kept.body)
        return self._parsed[key]

    def whole(self, kept: Kept) -> Answer:
        """The provider's answer as it was."""
        return Answer.failure(kept.status, kept.text) if kept.status else Answer.of(framed(kept.body))

    def _known(self, package: Package, method: str) -> Kept | None:
        key = (package.h1, method)
        if key not in self._kept and (found := self._disk.read(package, method)):
            self._kept[key] = found
        return self._kept.get(key)


def _kept(request: Request, answer: Answer) -> Kept | None:
    """An answer as it is kept; None: it is not to be kept."""
    protocol = request.method[len("/tfplugin") :][:1]
    status, text = answer.status
    if not protocol.isdigit() or status not in (0, UNIMPLEMENTED):
        return None
    if status:  # the provider does not know the call, and never will
        return Kept(int(protocol), status, text)
    body = message(answer.body)
    try:
        if body is None or (request.name in SCHEMA and (not body or has_error(request.name, body))):
            return None
    except WireError:
        return None
    return Kept(int(protocol), status, text, body)
