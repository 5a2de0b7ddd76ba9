"""Whether a stack's backend gives every unit a state of its own, and holds nothing that cannot be written there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from infra_orch.errors import Problem, nearest
from infra_orch.spec.provider import Backend
from infra_orch.spec.providers import literal_secrets
from infra_orch.spec.sound import is_identifier, unsound
from infra_orch.spec.stack import Stack
from infra_orch.spec.values import Input, walk

# Source: Terraform's and OpenTofu's documentation of backends. `inmem` forgets a state when the command ends.
_TYPES = frozenset(
    ["azurerm", "consul", "cos", "gcs", "http", "kubernetes", "local", "oci", "oss", "pg", "remote", "s3"]
)
_PLACES = ("stack", "unit")
_PLACE = re.compile(r"\{([^{}]*)\}")
_S3_TEXTS = {"bucket": "acme-states", "region": "eu-west-1", "key": "{stack}/{unit}.tfstate"}
_S3_KEY = "a key of S3 neither begins nor ends with a slash"


def backend_problems(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the backend of *stack*."""
    found = list(_content_problems(stack))
    yield from found
    if not found:
        yield from _shared_states(stack)


def _content_problems(stack: Stack) -> Iterator[Problem]:
    backend = stack.backend
    yield from _type_problems(backend)
    if backend.type == "local" and backend.configuration:
        yield from _place_problems(backend)
    for name, value in backend.configuration.items():
        yield from _argument_problems(backend, name, value)
    for name in literal_secrets(backend.configuration):
        hint = "give it to Terraform by the environment, as its documentation of the backend says"
        yield Problem(f'{name} of backend "{backend.type}" would be committed with rendered files', backend.where, hint)
    if backend.type == "s3":
        yield from _s3_problems(backend)


def _s3_problems(backend: Backend) -> Iterator[Problem]:
    for name, example in _S3_TEXTS.items():
        value = backend.configuration.get(name, example)
        if value is None or isinstance(value, (bool, int, float, list, tuple, Mapping)):
            hint = f'such as {name}="{example}"; a variable that is not set is None'
            yield Problem(f'{name}={value!r} of backend "s3" is no text', backend.where, hint)
        elif isinstance(value, str) and not value and name != "key":
            yield Problem(f'{name}="" of backend "s3" is empty', backend.where, f'such as {name}="{example}"')
    key = backend.configuration.get("key")
    if isinstance(key, str) and (key.startswith("/") or key.endswith("/") or not key):
        yield Problem(f'key="{key}" of backend "s3": {_S3_KEY}', backend.where)


def _type_problems(backend: Backend) -> Iterator[Problem]:
    if backend.type not in _TYPES:
        hint = nearest(backend.type, _TYPES) or f"one of: {', '.join(sorted(_TYPES))}"
        if backend.type == "cloud":
            hint = 'Backend("remote", organization="…", workspaces=block(name="{stack}-{unit}")) is HCP Terraform'
        yield Problem(f'"{backend.type}" is not a type of backend', backend.where, hint)


def _argument_problems(backend: Backend, name: str, value: Input) -> Iterator[Problem]:
    title = f'argument {name} of backend "{backend.type}"'
    reasons = list(unsound(value))
    for why in reasons:
        yield Problem(f"{title}: {why}", backend.where)
    if not reasons and any(True for _ in walk(value)):
        hint = "Terraform reads it before anything else; credentials go into the environment"
        yield Problem(f"{title} can hold no references, expressions or env()", backend.where, hint)
    if not is_identifier(name):
        yield Problem(f'"{name}" of backend "{backend.type}" is not the name of an argument', backend.where)
    for place in () if reasons else _unknown_places(value):
        hint = nearest(place, _PLACES) or "{stack} and {unit} are replaced"
        yield Problem(f'{title}: "{{{place}}}" stands for nothing', backend.where, hint)


def _place_problems(backend: Backend) -> Iterator[Problem]:
    """A relative path would be looked for in a work folder, which may be deleted."""
    path = backend.configuration.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        given = "lacks a path" if path is None else f"has path={path!r}"
        hint = 'LocalBackend() keeps states beside the stack; path="/…/{stack}/{unit}.tfstate" keeps them elsewhere'
        yield Problem(f'backend "local" {given}, where an absolute one is wanted', backend.where, hint)


def _shared_states(stack: Stack) -> Iterator[Problem]:
    backend = stack.backend
    if backend.type == "local" and not backend.configuration:
        return
    states: dict[str, str] = {}
    for unit in stack.units:
        settled = repr(sorted(backend.for_unit(stack.name, unit.name).items(), key=lambda item: item[0]))
        first = states.setdefault(settled, unit.name)
        if first != unit.name:
            hint = "put {unit} into the backend's key, prefix, path or workspace name"
            yield Problem(f'units "{first}" and "{unit.name}" would share one state', backend.where, hint)
            return


def _unknown_places(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from (place for place in _PLACE.findall(value) if place not in _PLACES)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _unknown_places(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _unknown_places(item)
