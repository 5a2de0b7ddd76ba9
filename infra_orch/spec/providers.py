"""Which provider configurations a unit's root module needs, and what is wrong with the choice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from infra_orch.errors import Problem, nearest
from infra_orch.module.declaration import Module
from infra_orch.project import NAME
from infra_orch.spec.provider import Provider
from infra_orch.spec.sound import is_identifier, literals, unsound
from infra_orch.spec.stack import Stack, Unit

_ADDRESS = re.compile(rf"{NAME.pattern}(?:\.{NAME.pattern})?")
# [HOSTNAME/][NAMESPACE/]TYPE. Source: Terraform's documentation of provider requirements.
_SOURCE = re.compile(r"(?:(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9][a-z0-9_-]*/)?[a-z0-9][a-z0-9_-]*", re.IGNORECASE)
_ONE_VERSION = r"\s*(?:=|!=|>=|<=|>|<|~>)?\s*v?\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?\s*"
_VERSION = re.compile(f"{_ONE_VERSION}(?:,{_ONE_VERSION})*")
VERSION_HINT = 'a constraint as Terraform writes it: "~> 5.0", or ">= 5.1, < 6.0"'
_SECRET = re.compile(r"(?:^|_)(?:password|passwd|secret|secret_key|access_key|token|private_key|api_key)$")
PASSWORD_IN_URL = re.compile(r"[a-z0-9+]://[^\s/:@]*:[^\s/@]+@")
_HASHICORP = "registry.terraform.io/"


def required_providers(providers: tuple[Provider, ...], module: Module | None) -> dict[str, str]:
    """Return the version constraint ("" for none) by source address of every provider that is known to be needed.

    A provider without a source is HashiCorp's, as Terraform has it.
    """
    required: dict[str, str] = {}
    if module is not None:
        for name in module.providers:
            required[module.required_providers.get(name) or f"hashicorp/{name}"] = ""
    for provider in providers:
        source = provider.source or f"hashicorp/{provider.name}"
        required[source] = provider.version or required.get(source, "")
    return dict(sorted(required.items()))


def is_version(text: str) -> bool:
    """Whether *text* is a version constraint as Terraform writes it."""
    return bool(_VERSION.fullmatch(text))


def literal_secrets(configuration: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of arguments that are called like a secret and hold its text, those of nested blocks too.

    A password in a URL counts, whatever the argument is called. Tags and labels are for everybody to read.
    """
    for name, value in configuration.items():
        if isinstance(value, str):
            plain = not any(unsound(value)) and any(literals(value))
            if plain and (_SECRET.search(name) or PASSWORD_IN_URL.search(value)):
                yield name
        elif name not in ("tags", "labels") and not any(unsound(value)):
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, Mapping):
                    yield from (f"{name}.{inner}" for inner in literal_secrets(item))


def declared_provider_problems(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the provider configurations of *stack*, whoever uses them."""
    addresses: dict[str, Provider] = {}
    first_of: dict[tuple[str, str], str] = {}
    for provider in stack.providers:
        for part in (provider.name, *filter(None, (provider.alias,))):
            if not NAME.fullmatch(part):
                yield Problem(f'"{part}" cannot be the name of a provider, or an alias', provider.where)
        if addresses.setdefault(provider.address, provider) is not provider:
            message = f'the stack has two provider configurations "{provider.address}"'
            yield Problem(message, provider.where, "give one an alias=")
        for field in ("source", "version"):
            mine = getattr(provider, field)
            other = first_of.setdefault((provider.name, field), mine) if mine else mine
            if mine != other:
                message = f'provider "{provider.name}" has two {field}s: "{other}" and "{mine}"'
                yield Problem(message, provider.where, "all configurations of a provider are of one version")
        yield from _origin_problems(provider)
        yield from _argument_problems(provider)


def unit_provider_problems(stack: Stack, unit: Unit, module: Module | None) -> Iterator[Problem]:
    """Yield what is wrong with the choice that *unit* makes among the stack's providers."""
    addresses = {provider.address: provider for provider in stack.providers}
    for key, address in unit.providers.items():
        provider = addresses.get(address)
        if not _ADDRESS.fullmatch(key):
            yield Problem(f'providers= of unit "{unit.name}": "{key}" is no provider of a module', unit.where)
        elif provider is None:
            message = f'unit "{unit.name}" chooses the provider "{address}", which the stack does not declare'
            yield Problem(message, unit.where, nearest(address, addresses) or _declared(addresses))
        elif not _is_the_same(key.partition(".")[0], provider, module):
            message = f'unit "{unit.name}" gives "{address}" to the module\'s "{key}": two different providers'
            yield Problem(message, unit.where)
        elif module is not None and "." in key and key not in module.configuration_aliases:
            aliases = module.configuration_aliases
            hint = nearest(key, aliases) or f"its configuration_aliases: {', '.join(sorted(aliases)) or 'none'}"
            yield Problem(f'module "{unit.module}" has no provider "{key}" (unit "{unit.name}")', unit.where, hint)
    if module is not None:
        yield from _module_problems(stack, unit, module)


def _module_problems(stack: Stack, unit: Unit, module: Module) -> Iterator[Problem]:
    for alias in sorted(module.configuration_aliases - set(unit.providers)):
        message = f'module "{unit.module}" wants a provider "{alias}" from unit "{unit.name}"'
        yield Problem(message, unit.where, f'providers={{"{alias}": …}} gives it one')
    for name in sorted(module.providers):
        declared = [provider for provider in stack.providers if provider.name == name]
        default = next((provider for provider in declared if not provider.alias), None)
        if any(key.partition(".")[0] == name for key in unit.providers):
            continue
        if declared and default is None:
            message = f'unit "{unit.name}" needs a provider "{name}", and the stack has it under aliases only'
            yield Problem(message, unit.where, f'choose one: providers={{"{name}": "{declared[0].address}"}}')
        elif default is not None and not _is_the_same(name, default, module):
            wanted, given = module.required_providers[name], default.source or f"hashicorp/{name}"
            message = f'module "{unit.module}" wants "{wanted}" as its "{name}", and the stack\'s is "{given}"'
            yield Problem(message, unit.where, f'Provider("{name}", source="{wanted}") at {default.where.line}')


def _origin_problems(provider: Provider) -> Iterator[Problem]:
    title = f'provider "{provider.address}"'
    if provider.source is not None and not _SOURCE.fullmatch(provider.source):
        hint = "[HOST/]NAMESPACE/NAME, like hashicorp/aws"
        yield Problem(f'source="{provider.source}" of {title} is no address of a provider', provider.where, hint)
    if provider.version is not None and not is_version(provider.version):
        message = f'version="{provider.version}" of {title} is no version constraint'
        yield Problem(message, provider.where, VERSION_HINT)


def _argument_problems(provider: Provider) -> Iterator[Problem]:
    title = f'provider "{provider.address}"'
    for name, value in provider.configuration.items():
        if not is_identifier(name):
            yield Problem(f'"{name}" of {title} is not the name of an argument', provider.where)
        for why in unsound(value):
            yield Problem(f"argument {name} of {title}: {why}", provider.where)
    for name in literal_secrets(provider.configuration):
        hint = f'{name.rpartition(".")[2]}=env("…") reads it when Terraform runs'
        yield Problem(f"{name} of {title} would be committed with the rendered files", provider.where, hint)


def _is_the_same(name: str, provider: Provider, module: Module | None) -> bool:
    """Whether what a module calls *name* is *provider*; their source addresses tell."""
    if module is None or not module.required_providers.get(name):
        return module is None or name == provider.name
    return _full(module.required_providers[name], name) == _full(provider.source, provider.name)


def _full(source: str | None, name: str) -> str:
    text = (source or name).lower().removeprefix(_HASHICORP)
    return text if "/" in text else f"hashicorp/{text}"


def _declared(addresses: Mapping[str, Provider]) -> str:
    return f"declared: {', '.join(sorted(addresses)) or 'none'}"
