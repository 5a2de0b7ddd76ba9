"""Providers and backends as a spec declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra_orch.errors import Where
from infra_orch.spec.arguments import mapping, optional_text, text
from infra_orch.spec.caller import where_called
from infra_orch.spec.values import Block, Input

# What the AWS provider takes as nested blocks, so that a plain dict will do for them; anything else needs block().
# Source: `terraform providers schema -json` of hashicorp/aws 5.100.0.
_AWS_BLOCKS = ("assume_role", "assume_role_with_web_identity", "default_tags", "endpoints", "ignore_tags")
_BLOCKS: Mapping[str, tuple[str, ...]] = {
    "aws": _AWS_BLOCKS,
    "azurerm": ("features",),
    "google": ("batching",),
    "google-beta": ("batching",),
}


@dataclass(frozen=True, init=False, eq=False)
class Provider:
    """A provider configuration that the stack's units may use.

    name: the local name: `aws`.
    source: for `required_providers`: `hashicorp/aws`.
    version: a constraint for `required_providers`: `~> 5.0`.
    alias: tells several configurations of one provider apart.
    configuration: the provider's own arguments, for those that are called like one of the above.
    arguments: the provider's own arguments. Nested blocks are dicts (for AWS) or `block(...)`; a list of them makes
        several.

    Raises TypeError for an argument of the wrong kind.

    Example:
        virginia = Provider(
            "aws",
            alias="us",
            region="us-east-1",
            assume_role={"role_arn": "arn:aws:iam::123456789012:role/deploy", "external_id": env("EXTERNAL_ID")},
        )
    """

    name: str
    source: str | None
    version: str | None
    alias: str | None
    configuration: Mapping[str, Input]
    where: Where

    def __init__(
        self,
        name: str,
        *,
        source: str | None = None,
        version: str | None = None,
        alias: str | None = None,
        configuration: Mapping[str, Input] | None = None,
        **arguments: Input,
    ) -> None:
        blocks = _BLOCKS.get(name, ())
        merged = {**mapping("configuration=", configuration), **arguments}
        settled = {key: _as_blocks(value) if key in blocks else value for key, value in merged.items()}
        for attribute, value in {
            "name": text("the provider's name", name),
            "source": optional_text("source=", source),
            "version": optional_text("version=", version),
            "alias": optional_text("alias=", alias),
            "configuration": settled,
            "where": where_called(),
        }.items():
            object.__setattr__(self, attribute, value)

    @property
    def address(self) -> str:
        """How Terraform refers to it: `aws`, or `aws.eu` where it has an alias."""
        return f"{self.name}.{self.alias}" if self.alias else self.name


def _as_blocks(value: Input) -> Input:
    if isinstance(value, Mapping):
        return Block(value)
    if isinstance(value, (list, tuple)):
        return [Block(item) if isinstance(item, Mapping) else item for item in value]
    return value


@dataclass(frozen=True, init=False, eq=False)
class Backend:
    """Where the state of each unit is kept: any backend that Terraform has.

    kind: Terraform's type of backend: `gcs`, `azurerm`, `remote` …
    configuration: the backend's own arguments. `{stack}` and `{unit}` in strings are replaced, so that every unit has a
        state of its own.

    Credentials belong in the environment. Raises TypeError for an argument of the wrong kind.

    Example:
        in_gcs = Backend("gcs", bucket="acme-terraform-state", prefix="{stack}/{unit}")
    """

    type: str
    configuration: Mapping[str, Input]
    where: Where

    def __init__(self, kind: str, /, **configuration: Input) -> None:
        object.__setattr__(self, "type", text("the backend's type", kind))
        object.__setattr__(self, "configuration", configuration)
        object.__setattr__(self, "where", where_called())

    def for_unit(self, stack: str, unit: str) -> dict[str, Input]:
        """Return the configuration with `{stack}` and `{unit}` replaced, nested values included."""
        return {key: _fill(value, stack, unit) for key, value in self.configuration.items()}


class LocalBackend(Backend):
    """State in files beside the stack: `stacks/<stack>/state/`, ignored by git, for its owner only. The default.

    Example:
        stack = Stack("dev", backend=LocalBackend())
    """

    def __init__(self) -> None:
        super().__init__("local")


class S3Backend(Backend):
    """State in an S3 bucket, encrypted, and locked by S3's own lock file (Terraform 1.10 and later).

    bucket: the bucket's name. It has to exist.
    region: where the bucket is.
    key: a template with `{stack}` and `{unit}`.
    configuration: every other argument of Terraform's S3 backend. `use_lockfile` and `encrypt` are on unless switched
        off; before Terraform 1.10: `use_lockfile=False, dynamodb_table="…"`.

    Example:
        in_s3 = S3Backend(bucket="acme-terraform-state", region="eu-west-1", key="teams/web/{stack}/{unit}.tfstate")
    """

    def __init__(
        self, *, bucket: str, region: str, key: str = "{stack}/{unit}.tfstate", **configuration: Input
    ) -> None:
        settled: dict[str, Input] = {"use_lockfile": True, "encrypt": True, **configuration}
        super().__init__("s3", bucket=bucket, region=region, key=key, **settled)


def _fill(value: Input, stack: str, unit: str) -> Input:
    if isinstance(value, str):
        return value.replace("{stack}", stack).replace("{unit}", unit)
    if isinstance(value, Block):
        return Block({key: _fill(item, stack, unit) for key, item in value.items()})
    if isinstance(value, Mapping):
        return {key: _fill(item, stack, unit) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fill(item, stack, unit) for item in value]
    return value
