"""A Terraform provider, of protocol 6, that says in every answer what it was configured with: so it is seen where the
calls of one instance reach another one. It fails, crashes and is slow on demand.

    terraform-provider-echo_v1.0.0      a script that runs this file; see conftest.py

What it is told as `input` (a resource) or `asked` (a data source) is kept, but for these, which it obeys:

    fail                the call fails
    warn                it succeeds, with a warning
    crash               the process ends there and then
    slow:SECONDS        the call takes so long
    not:NAME            it fails if the instance is called so
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from tf.function import CallContext, Function, FunctionSignature, Parameter, Return
from tf.iface import (
    Config,
    CreateContext,
    DataSource,
    DeleteContext,
    ImportContext,
    PlanContext,
    Provider,
    ReadContext,
    ReadDataContext,
    Resource,
    State,
    UpdateContext,
)
from tf.runner import run_provider
from tf.schema import Attribute, Schema
from tf.types import String, Unknown
from tf.utils import Diagnostics

VERSION = "1.0.0"


class Echo(Provider):
    """The provider. *name* is what it was configured with; a process that was not has none."""

    name = ""

    def get_model_prefix(self) -> str:
        return "echo_"

    def full_name(self) -> str:
        return "example.com/acme/echo"

    def get_provider_schema(self, diags: Diagnostics) -> Schema:
        token = Attribute("token", String(), optional=True, sensitive=True)
        return Schema(attributes=[Attribute("name", String(), required=True), token], version=1)

    def validate_config(self, diags: Diagnostics, config: Config) -> None:
        if config["name"] == "invalid":
            diags.add_error("Invalid name", f"{config['name']!r} is no name.", path=["name"])
        if config["name"] == "discouraged":
            diags.add_warning("Discouraged name", f"{config['name']!r} is hardly a name.", path=["name"])

    def configure_provider(self, diags: Diagnostics, config: Config) -> None:
        if self.name:
            diags.add_error("Configured twice", f"The instance {self.name!r} is to become {config['name']!r}.")
        elif config["name"] == "unreachable":
            diags.add_error("Unreachable", f"There is nobody called {config['name']!r}.", path=["name"])
        else:
            self.name = "unknown" if config["name"] is Unknown else config["name"]

    def get_data_sources(self) -> list[type[DataSource]]:
        return [Who]

    def get_resources(self) -> list[type[Resource]]:
        return [Thing, Relic]

    def get_functions(self) -> list[type[Function]]:
        return [Shout]


def obey(said: object, name: str, diags: Diagnostics) -> bool:
    """Do what is asked for. Returns whether the call is to go on."""
    if said == "crash":
        os._exit(3)
    if said == "warn":
        diags.add_warning("Warned", f"{name} was asked to warn.")
    elif said in ("fail", f"not:{name}"):
        diags.add_error("Failed", f"{name} was asked to fail.", path=["input"])
        return False
    elif isinstance(said, str) and said.startswith("slow:"):
        time.sleep(float(said.partition(":")[2]))
    return True


class Thing(Resource):
    """A resource. `configured_with` is the name of the instance that wrote it last, `read_by` of the one that read it."""

    def __init__(self, provider: Echo) -> None:
        self.name = provider.name

    @classmethod
    def get_name(cls) -> str:
        return "thing"

    @classmethod
    def get_schema(cls) -> Schema:
        own = [Attribute(name, String(), computed=True) for name in ("id", "configured_with", "read_by")]
        kind = Attribute("kind", String(), optional=True, requires_replace=True)
        return Schema(attributes=[*own, kind, Attribute("input", String(), optional=True)], version=1)

    def plan(self, ctx: PlanContext, current: State | None, planned: State) -> State:
        if ctx.changed_fields:
            planned["configured_with"] = planned["read_by"] = Unknown
        if "kind" in ctx.changed_fields:
            planned["id"] = Unknown
        if planned["input"] == "unplannable":
            ctx.diagnostics.add_error("Unplannable", f"{self.name} cannot plan this.", path=["input"])
        return planned

    def create(self, ctx: CreateContext, planned: State) -> State | None:
        if not obey(planned["input"], self.name, ctx.diagnostics):
            return None
        made = {"id": str(uuid.uuid4()), "configured_with": self.name, "read_by": self.name}
        return {**planned, **made}

    def read(self, ctx: ReadContext, current: State) -> State | None:
        if current["input"] == "lost":
            return None
        return {**current, "read_by": self.name} if self._mine(ctx, current) else current

    def update(self, ctx: UpdateContext, current: State, planned: State) -> State | None:
        if not self._mine(ctx, current) or not obey(planned["input"], self.name, ctx.diagnostics):
            return current
        return {**planned, "id": current["id"], "configured_with": self.name, "read_by": self.name}

    def delete(self, ctx: DeleteContext, current: State) -> State | None:
        kept = not self._mine(ctx, current) or current["input"] == "undeletable"
        if kept:
            ctx.diagnostics.add_error("Not deleted", f"{self.name} cannot delete this.")
        return current if kept else None

    def import_(self, ctx: ImportContext, id: str) -> State | None:  # noqa: A002 - what it is called there
        return {"id": id, "configured_with": self.name, "read_by": self.name, "kind": None, "input": "imported"}

    def upgrade(self, ctx: Any, version: int, old: State) -> State:
        return old

    def _mine(self, ctx: Any, current: State) -> bool:
        if current["configured_with"] == self.name:
            return True
        ctx.diagnostics.add_error("Mixed up", f"{self.name} got what is {current['configured_with']}'s.")
        return False


class Relic(Thing):
    """Another resource, for configurations to forget. Its schema is of version 0, as that of most resources is."""

    @classmethod
    def get_name(cls) -> str:
        return "relic"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(attributes=super().get_schema().attributes, version=0)


class Who(DataSource):
    """A data source: the name of the instance that was asked."""

    def __init__(self, provider: Echo) -> None:
        self.name = provider.name

    @classmethod
    def get_name(cls) -> str:
        return "who"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            attributes=[Attribute("name", String(), computed=True), Attribute("asked", String(), optional=True)]
        )

    def read(self, ctx: ReadDataContext, config: Config) -> State | None:
        if not obey(config["asked"], self.name, ctx.diagnostics):
            return None
        return {"name": self.name, "asked": config["asked"]}


class Shout(Function):
    """A function, which Terraform asks an instance that has no configuration."""

    def __init__(self, provider: Echo) -> None:
        self.name = provider.name

    @classmethod
    def get_name(cls) -> str:
        return "shout"

    @classmethod
    def get_signature(cls) -> FunctionSignature:
        return FunctionSignature([Parameter("text", String())], Return(String()), summary="Says it louder")

    def call(self, ctx: CallContext, arguments: list[Any]) -> str:
        (text,) = arguments
        if text == "fail":
            raise ValueError("nothing to shout about")
        return f"{text.upper()}!"


if __name__ == "__main__":
    run_provider(Echo())
