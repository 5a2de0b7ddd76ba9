"""What Terraform does through the gateway is what it does without: plans, states, diagnostics, exit codes.

The provider is echo_provider.py, of protocol 6. DIFFERENTIAL=whole does more of them, each to its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from local_http import serving_states
from two_ways import WHOLE, Did, Way, both, differences

from infra_orch.engine.command import DEFAULT_PLAN, PlanOptions
from infra_orch.engine.engine import Engine

HEAD = """
terraform {
  required_providers {
    echo = { source = "example.com/acme/echo" }
  }
}
"""
ONE = HEAD + 'provider "echo" {\n  name  = "one"\n  token = "correct-horse"\n}\n'
TWO = ONE + 'provider "echo" {\n  alias = "two"\n  name  = "two"\n}\n'
BEGUN = ONE + (
    """
resource "echo_thing" "kept" {
  input = "kept"
}
resource "echo_thing" "many" {
  for_each = toset(["a", "b"])
  input    = each.key
}
resource "terraform_data" "note" {
  input = echo_thing.kept.id
}
"""
)

RELIC = ONE + 'resource "echo_relic" "kept" {\n  input = "kept"\n}\n'
UNDELETABLE = (
    ONE
    + """
resource "echo_relic" "this" {
  input = "undeletable"
  lifecycle {
    create_before_destroy = true
  }
}
"""
)


@dataclass(frozen=True)
class Case:
    """A configuration, planned and applied; *begun* is what was applied in its folder before.

    *errors* are what the first command that fails says: a case that ends otherwise does not try what it should.
    *remote*: its state lies elsewhere. *small*: it is for `make test`; then *whole* says whether to its end.
    """

    then: str
    begun: str = ""
    options: PlanOptions = DEFAULT_PLAN
    errors: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    remote: bool = False
    small: bool = True
    whole: bool = WHOLE


CASES = {
    "aliases": Case(
        TWO
        + """
        resource "echo_thing" "same" {
          input = "same"
        }
        resource "echo_thing" "there" {
          provider = echo.two
          input    = "same"
        }
        data "echo_who" "here" {}
        data "echo_who" "there" {
          provider = echo.two
          asked    = echo_thing.there.id
        }
        output "who" {
          value = [data.echo_who.here.name, data.echo_who.there.name, echo_thing.there.configured_with]
        }
        """,
        whole=True,
    ),
    "moved": Case(
        BEGUN.replace('"kept" {', '"renamed" {').replace("thing.kept", "thing.renamed").replace('"a", ', "")
        + """
        moved {
          from = echo_thing.kept
          to   = echo_thing.renamed
        }
        moved {
          from = echo_thing.many["a"]
          to   = echo_thing.single
        }
        resource "echo_thing" "single" {
          input = "a"
        }
        """,
        BEGUN,
    ),
    "removed": Case(
        ONE
        + """
        removed {
          from = echo_thing.kept
          lifecycle {
            destroy = false
          }
        }
        """,
        BEGUN,
    ),
    "import": Case(
        ONE
        + """
        import {
          for_each = toset(["first", "second"])
          to       = echo_thing.found[each.key]
          id       = each.key
        }
        resource "echo_thing" "found" {
          for_each = toset(["first", "second"])
          input    = each.key == "first" ? "imported" : "changed at once"
        }
        """,
    ),
    "for_each": Case(
        BEGUN.replace('["a", "b"]', '["b", "c"]').replace("each.key\n", 'each.key == "b" ? "B" : "c"\n'),
        BEGUN,
        small=False,
    ),
    "refresh-only": Case(
        BEGUN + 'resource "echo_thing" "gone" {\n  input = "lost"\n}\n',
        BEGUN + 'resource "echo_thing" "gone" {\n  input = "lost"\n}\n',
        PlanOptions(refresh_only=True),
    ),
    "target": Case(BEGUN.replace('"a"', '"c"'), BEGUN, PlanOptions(targets=['echo_thing.many["c"]']), small=False),
    "replace": Case(BEGUN, BEGUN, PlanOptions(replace=["echo_thing.kept"])),
    "unknown attribute": Case(
        ONE + 'resource "echo_thing" "this" {\n  inptu = "x"\n}\n', errors=("Unsupported argument",)
    ),
    "unknown type": Case(ONE + 'resource "echo_thign" "this" {}\n', errors=("Invalid resource type",)),
    "invalid provider configuration": Case(
        TWO.replace('"two"\n}', '"invalid"\n}') + 'resource "echo_thing" "this" {\n  provider = echo.two\n}\n',
        errors=("Invalid name",),
    ),
    "provider that cannot be configured": Case(
        TWO.replace('"two"\n}', '"unreachable"\n}')
        + 'resource "echo_thing" "this" {\n  provider = echo.two\n}\nresource "echo_thing" "other" {}\n',
        errors=("Unreachable",),
    ),
    "provider whose configuration is not known before apply": Case(
        HEAD
        + """
        resource "terraform_data" "name" {
          input = "late"
        }
        provider "echo" {
          name = terraform_data.name.output
        }
        resource "echo_thing" "this" {}
        data "echo_who" "this" {
          depends_on = [echo_thing.this]
        }
        """
    ),
    "resource that fails half-way": Case(
        BEGUN
        + """
        resource "echo_thing" "first" {
          input = "warn"
        }
        resource "echo_thing" "second" {
          input = echo_thing.first.id == "" ? "" : "fail"
        }
        resource "echo_thing" "third" {
          input = echo_thing.second.id
        }
        """,
        BEGUN,
        errors=("Failed",),
    ),
    "data source that fails": Case(ONE + 'data "echo_who" "this" {\n  asked = "fail"\n}\n', errors=("Failed",)),
    "function": Case(
        ONE
        + """
        resource "echo_thing" "this" {
          input = provider::echo::shout("hello")
        }
        output "later" {
          value = provider::echo::shout(echo_thing.this.id)
        }
        """
    ),
    "function that fails": Case(
        ONE + 'output "this" {\n  value = provider::echo::shout("fail")\n}\n', errors=("Error in function call",)
    ),
    "orphan": Case(ONE, ONE + 'resource "echo_relic" "this" {}\n', small=False),
    "orphan in a state that lies elsewhere": Case(ONE, ONE + 'resource "echo_relic" "this" {}\n', remote=True),
    "crash": Case(
        BEGUN + 'resource "echo_thing" "this" {\n  input = "crash"\n}\n', BEGUN, errors=("Plugin did not respond",)
    ),
    "orphan of a plan that does not refresh": Case(
        ONE, ONE + 'resource "echo_relic" "this" {}\n', PlanOptions(refresh=False), remote=True, small=False
    ),
    "orphan while another is targeted": Case(
        BEGUN,
        BEGUN + 'resource "echo_relic" "this" {}\n',
        PlanOptions(targets=["echo_thing.kept"], replace=["echo_thing.kept"]),
        remote=True,
        small=False,
    ),
    "orphan of another version while another is targeted": Case(
        RELIC,
        RELIC + 'resource "echo_thing" "this" {}\n',
        PlanOptions(targets=["echo_relic.kept"], replace=["echo_relic.kept"]),
        remote=True,
        small=False,
    ),
    "orphan that was read": Case(ONE, ONE + 'data "echo_who" "this" {}\n', remote=True, small=False),
    "resource that cannot be planned": Case(
        BEGUN.replace('input = "kept"', 'input = "unplannable"'), BEGUN, errors=("Unplannable",), small=False
    ),
    "resource that cannot be deleted": Case(
        ONE,
        ONE + 'resource "echo_thing" "this" {\n  input = "undeletable"\n}\n',
        errors=("Not deleted",),
        small=False,
    ),
    "resource whose predecessor cannot be deleted": Case(
        UNDELETABLE, UNDELETABLE, PlanOptions(replace=["echo_relic.this"]), errors=("Not deleted",), small=False
    ),
    "predecessor in the state of what is in no configuration any more": Case(
        ONE, UNDELETABLE, PlanOptions(replace=["echo_relic.this"]), errors=("Not deleted",), small=False
    ),
    "resource that is another kind": Case(
        ONE + 'resource "echo_thing" "this" {\n  kind = "new"\n}\n',
        ONE + 'resource "echo_thing" "this" {\n  kind = "old"\n}\n',
        small=False,
    ),
    "provider of another name": Case(RELIC.replace('"one"', '"other"'), RELIC, errors=("Mixed up",), small=False),
    "provider without a name": Case(
        HEAD + 'provider "echo" {}\nresource "echo_thing" "this" {}\n',
        errors=("Missing required argument",),
        small=False,
    ),
    "provider that warns": Case(
        TWO.replace('"two"\n}', '"discouraged"\n}') + 'resource "echo_thing" "this" {\n  provider = echo.two\n}\n',
        small=False,
    ),
    "provider that is in no configuration any more": Case(
        ONE,
        TWO + 'resource "echo_thing" "this" {\n  provider = echo.two\n}\n',
        errors=("Provider configuration not present",),
        small=False,
    ),
    "data source that is not there": Case(
        ONE + 'data "echo_whom" "this" {}\n', errors=("Invalid data source",), small=False
    ),
    "function that is not there": Case(
        ONE + 'output "this" {\n  value = provider::echo::whisper("x")\n}\n',
        errors=("Unknown provider function",),
        small=False,
    ),
    "ephemeral resource that is not there": Case(
        ONE + 'ephemeral "echo_thing" "this" {}\n', errors=("Invalid ephemeral resource",), small=False
    ),
    "import of what the provider does not know": Case(
        ONE + 'import {\n  to = echo_relics.this\n  id = "x"\n}\nresource "echo_relics" "this" {}\n',
        errors=("Invalid resource type",),
        small=False,
    ),
    "move from what the provider does not know": Case(
        ONE + 'moved {\n  from = echo_things.this\n  to   = echo_thing.this\n}\nresource "echo_thing" "this" {}\n',
        small=False,
    ),
    "check": Case(
        ONE
        + """
        check "who" {
          data "echo_who" "this" {}
          assert {
            condition     = data.echo_who.this.name == "two"
            error_message = "It is ${data.echo_who.this.name}."
          }
        }
        """,
        small=False,
    ),
    "module that is given its providers": Case(
        TWO
        + """
        module "both" {
          for_each  = toset(["x", "y"])
          source    = "./both"
          name      = each.key
          providers = { echo.near = echo, echo.far = echo.two }
        }
        output "names" {
          value = module.both["x"].names
        }
        """,
        modules={
            "both": """
            terraform {
              required_providers {
                echo = {
                  source                = "example.com/acme/echo"
                  configuration_aliases = [echo.near, echo.far]
                }
              }
            }
            variable "name" {
              type = string
            }
            resource "echo_thing" "near" {
              provider = echo.near
              input    = var.name
            }
            resource "echo_thing" "far" {
              provider = echo.far
              input    = echo_thing.near.id
            }
            output "names" {
              value = [echo_thing.near.configured_with, echo_thing.far.configured_with]
            }
            """
        },
        small=False,
    ),
    "provisioner that fails": Case(
        ONE
        + """
        resource "echo_thing" "this" {
          provisioner "local-exec" {
            command = "exit 1"
          }
        }
        """,
        errors=("local-exec provisioner error",),
        small=False,
    ),
    "many at once": Case(ONE + 'resource "echo_thing" "this" {\n  count = 60\n  input = "slow:0.05"\n}\n', small=False),
    "much at once": Case(
        ONE
        + """
        resource "echo_thing" "this" {
          count = 3
          input = join("", [for number in range(1000) : format("%01000d", number)])
        }
        """,
        small=False,
    ),
    "more than a message may have": Case(
        ONE
        + """
        resource "echo_thing" "this" {
          input = join("", [for number in range(1000) : format("%05000d", number)])
        }
        """,
        errors=("Plugin error",),
        small=False,
    ),
}
"""By name; what one begins with is applied once for all that begin with it."""


def live(case: Case, way: Way, begun: Path | None, state_url: str) -> list[Did]:
    """Plan and apply a case, and what else is done with it, in one way."""
    head = (
        f'terraform {{\n  backend "http" {{\n    address = "{state_url}{way.work}"\n  }}\n}}\n' if case.remote else ""
    )
    folder = way.folder("unit", begun)
    did: list[Did] = []
    if case.begun and not begun:
        folder.write(head + case.begun)
        did += [folder.plan(), folder.apply()]
    folder.write(head + case.then, **case.modules)
    did.append(folder.plan(case.options))
    if did[-1].code == 2:
        did.append(folder.apply())
    if case.whole:
        did += [folder.validate(), folder.plan()]
        did += folder.destroy()
    return did


@pytest.fixture(scope="session")
def beginnings(
    tmp_path_factory: pytest.TempPathFactory, echo_environment: dict[str, str], engines: Mapping[str, Engine]
) -> Callable[[str, str], Path | None]:
    """Folders where something was applied already, by bare Terraform."""
    made: dict[tuple[str, str], Path] = {}

    def find(engine: str, text: str) -> Path | None:
        if not text:
            return None
        if (engine, text) not in made:
            bare = Way(engines[engine], echo_environment, tmp_path_factory.mktemp("begun"))
            folder = bare.folder("unit").write(text)
            assert [folder.plan().code, folder.apply().code] == [2, 0]
            shutil.rmtree(folder.path / ".terraform")
            made[engine, text] = folder.path
        return made[engine, text]

    return find


@pytest.fixture(scope="module")
def states() -> Iterator[str]:
    """The URL of a server that keeps states."""
    with serving_states() as (url, _):
        yield url


Beginnings = Callable[[str, str], Path | None]
Ways = Callable[..., tuple[Way, Way]]


def chosen() -> Iterator[Any]:
    """Engines, and cases to try with them."""
    embedded = ("orphan in a state that lies elsewhere", "unknown type", "provider that cannot be configured")
    for name, case in CASES.items():
        if WHOLE or case.small:
            yield pytest.param("terraform", name)
        if WHOLE or name in embedded:
            yield pytest.param("embedded", name)


@pytest.mark.parametrize(("engine", "name"), list(chosen()))
def test_what_is_done_through_the_gateway_is_what_is_done_without(
    engine: str, name: str, ways: Ways, beginnings: Beginnings, states: str
) -> None:
    case = CASES[name]
    bare, through = ways(engine)
    begun = None if case.remote else beginnings(engine, case.begun)
    done, other = both(*(lambda way=way: live(case, way, begun, states) for way in (bare, through)))
    found = differences(done, other)
    assert not found, found
    assert next((tuple(did.errors) for did in done if did.errors), ()) == case.errors


@pytest.mark.parametrize("engine", ["terraform", *(["embedded"] if WHOLE else [])])
def test_an_apply_that_is_interrupted_ends_as_it_does_without(engine: str, ways: Ways) -> None:
    def act(way: Way) -> list[Did]:
        folder = way.folder("unit").write(
            ONE
            + """
            resource "echo_thing" "first" {
              input = "slow:3"
            }
            resource "echo_thing" "second" {
              input = echo_thing.first.id
            }
            """
        )
        return [folder.plan(), folder.apply(interrupted_at="echo_thing.first: Creating..."), folder.plan()]

    bare, through = ways(engine)
    done, other = both(lambda: act(bare), lambda: act(through))
    found = differences(done, other)
    assert not found, found
    _, applied, again = other
    assert (applied.code, again.code) == (1, 2)
    assert "execution halted" in applied.errors


@pytest.mark.parametrize("planner", ["bare", "through"])
def test_what_was_planned_in_one_way_is_applied_in_the_other(planner: str, ways: Ways, beginnings: Beginnings) -> None:
    bare, through = ways()
    first, second = (bare, through) if planner == "bare" else (through, bare)
    case = CASES["for_each"]
    folder = first.folder("unit", beginnings("terraform", case.begun)).write(case.then)
    folder.plan()
    applied = folder.hand_over(second).apply()
    assert (applied.code, applied.errors) == (0, [])
    assert folder.plan().code == 0


def test_a_provider_may_have_whatever_certificate_terraform_takes(ways: Ways, tmp_path: Path) -> None:
    _, through = ways()
    # Here tf finds no certificate, and makes one as it does for everybody.
    through.environment = {**through.environment, "HOME": str(tmp_path)}
    folder = through.folder("unit").write(ONE + 'data "echo_who" "this" {}\n')
    assert folder.plan().errors == []
