"""What exists in the emulator, seen from inside its process.

moto's own `/moto-api/data.json` lists every object that was ever made, deleted ones too, so it cannot tell what is
left. This walks what moto's back ends hold *now*, less what each back end held when it was made (default VPCs, images,
managed policies). It counts resources, not their parts (rules of a security group, tags), and cannot see the few kinds
that moto keeps in plain dictionaries rather than in objects of its `BaseModel`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from moto.core.base_backend import AccountSpecificBackend, BackendDict, BaseBackend, backend_lock
from moto.core.common_models import BaseModel

_DEFAULTS = "_infra_orch_defaults"
_CARRIERS = frozenset({"Reservation"})
"""moto keeps the reservation of instances that are gone; what counts is the instances in it."""
_NOT_RESOURCES = frozenset({"AccountSummary", "AssumedRole", "DelegationSet", "MetricDatum"})
"""Data, sessions and shadows of a resource; nothing that a destroy is to remove."""
_ENDED = frozenset(
    {"cancelled", "deleted", "deleting", "delete_complete", "delete_in_progress", "inactive", "pendingdeletion"}
    | {"pending_deletion", "shutting-down", "terminated"}
)
_NAMES = ("arn", "id", "name", "physical_resource_id")
_OWNERS = {"vpc_id": "vpcs", "transit_gateway_id": "transit_gateways"}


def watch() -> None:
    """Remember, for every back end that moto makes from now on, what it holds when it is new."""
    original = AccountSpecificBackend.__getitem__

    def remembering(self: Any, region: str) -> Any:
        with backend_lock:
            backend = original(self, region)
            if _DEFAULTS not in vars(backend):
                # The objects themselves, not their id(): an id comes back once its object is gone.
                vars(backend)[_DEFAULTS] = list(_models(backend, opened=lambda _: True))
            return backend

    AccountSpecificBackend.__getitem__ = remembering  # type: ignore[method-assign]


def census() -> list[dict[str, str]]:
    """Every resource that was made and still exists: `{"service", "account", "region", "kind", "id"}`, sorted."""
    with backend_lock:
        groups = list(BackendDict._instances)  # type: ignore[misc]  # noqa: SLF001 moto has no public list
        backends = [(group.service_name, *entry) for group in groups for entry in group.iter_backends()]
    found = [
        {"service": service, "account": account, "region": region, "kind": _kind(model), "id": _name(model)}
        for service, account, region, backend in backends
        for model in _made(backend)
    ]
    return sorted(found, key=lambda entry: tuple(entry.values()))


def _made(backend: Any) -> Iterator[Any]:
    defaults = {id(model) for model in vars(backend).get(_DEFAULTS, ())}
    for model in _models(backend, opened=lambda model: id(model) in defaults):
        if id(model) not in defaults and _counts(model) and not _orphan(model, vars(backend)):
            yield model


def _models(backend: Any, *, opened: Callable[[Any], bool]) -> Iterator[Any]:
    """The objects that *backend* holds, and the parts of those that *opened* names: a rule lies in the default bus."""
    seen: set[int] = set()
    waiting: deque[Any] = deque(value for name, value in list(vars(backend).items()) if name != _DEFAULTS)
    while waiting:
        item = waiting.popleft()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, BaseModel) and type(item).__name__ not in _CARRIERS:
            yield item
            if not opened(item):
                continue
        waiting.extend(_inside(item))


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, (BaseBackend, BackendDict, AccountSpecificBackend, type)):
        return ()
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, (list, tuple, set, frozenset, deque)):
        return list(item)
    if type(item).__module__.startswith("moto."):
        return list(getattr(item, "__dict__", {}).values())
    return ()


def _counts(model: Any) -> bool:
    """Whether *model* is a resource that still exists: moto keeps many that are deleted, as AWS does for a while."""
    values = vars(model)
    if type(model).__name__ in _NOT_RESOURCES or values.get("deleted_date"):
        return False
    if str(values.get("access_key_id", "")).startswith("ASIA"):
        return False  # the key of a session in a role, which ends by itself
    if type(model).__name__ == "Parameter" and _name(model).rpartition(":parameter")[2].startswith("/aws/"):
        return False  # AWS's public parameters, which moto loads when the first one is asked for
    if any(str(alias).startswith("alias/aws/") for alias in _aliases(values)):
        return False  # a key that AWS makes for a service at its first use, and keeps
    if values.get("snapshot_type") == "automated" or _name(model).rpartition(":")[2].startswith("default."):
        return False  # made by AWS beside a database: it goes with it, or stays for everybody
    states = (value for name, value in values.items() if name.lstrip("_").endswith(("state", "status")))
    return not any(_word(state) in _ENDED for state in states)


def _aliases(values: Mapping[str, Any]) -> Iterable[Any]:
    aliases = values.get("aliases")
    return aliases if isinstance(aliases, Mapping) else ()


def _word(state: Any) -> str:
    for value in (state, getattr(state, "name", None), getattr(state, "code", None)):
        if isinstance(value, str):
            return value.lower()
    return ""


def _orphan(model: Any, backend: Mapping[str, Any]) -> bool:
    """Whether *model* is part of something that is gone: moto leaves network interfaces and default ACLs behind."""
    values = vars(model)
    if isinstance(instance := values.get("instance"), BaseModel) and not _counts(instance):
        return True
    for reference, owners in _OWNERS.items():
        if owners not in backend:
            continue
        owner = values.get(reference) or getattr(values.get("subnet"), reference, None)
        if owner and (owner not in backend[owners] or not _counts(backend[owners][owner])):
            return True
    return False


def _kind(model: Any) -> str:
    return type(model).__name__.removeprefix("Fake")


def _name(model: Any) -> str:
    for attribute in _NAMES:
        try:
            value = getattr(model, attribute, None)
        except Exception:  # noqa: BLE001, S112 a property of moto may fail on an object that is half gone
            continue
        if isinstance(value, str) and value:
            return value
    return "(without a name)"
