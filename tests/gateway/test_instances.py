"""A connection is a provider instance: many of them, all with other configurations, through one gateway at once.

DIFFERENTIAL_RUNS=200 does so in as many folders; each draw is printed by its seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from two_ways import ECHO, Way

from infra_orch.engine.engine import Engine
from infra_orch.gateway.client import Gateway
from infra_orch.gateway.start import Ways

RUNS = int(os.environ.get("DIFFERENTIAL_RUNS", "4"))
AT_ONCE = 4
HEAD = 'terraform {\n  required_providers {\n    echo = { source = "example.com/acme/echo" }\n  }\n}\n'


@pytest.fixture(
    params=[
        pytest.param({"shared": (ECHO,)}, id="processes that all folders share"),
        pytest.param(
            {"idle": 1},
            id="a process that is not used is ended at once",
        ),
    ]
)
def busy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    """The one gateway."""
    ways = Ways(tmp_path / "schemas", **{"idle": 1000, "memory": 1 << 20, **request.param})
    with closing(Gateway(ways, tmp_path / "gateway.log")) as gateway:
        yield gateway


def aliases(draw: random.Random) -> dict[str, str]:
    """Names by alias. Some are those of other folders, or of another alias of this one, as they may be."""
    names = [f"name-{number}" for number in range(6)] + [f"only-{draw.randrange(1 << 32)}" for _ in range(2)]
    return {f"a{number}": draw.choice(names) for number in range(draw.randint(2, 5))}


def configuration(names: Mapping[str, str], draw: random.Random) -> str:
    """For each alias a resource, and something that reads with it, now or once another resource is there."""
    text = HEAD
    for alias, name in names.items():
        slow = f'"slow:{draw.randint(0, 20) / 100}"'
        asked = draw.choice([slow, f"echo_thing.{draw.choice(list(names))}.id"])
        text += f"""
        provider "echo" {{
          alias = "{alias}"
          name  = "{name}"
        }}
        resource "echo_thing" "{alias}" {{
          provider = echo.{alias}
          input    = {slow}
        }}
        data "echo_who" "{alias}" {{
          provider = echo.{alias}
          asked    = {asked}
        }}
        """
    return text


def work(way: Way, number: int) -> list[str]:
    """Apply a drawn folder, in a large form also with changes, and destroy it. Returns what was not as it should be."""
    draw = random.Random(number)
    names = aliases(draw)
    folder = way.folder(f"unit-{number}").write(configuration(names, draw))
    wrong = []
    for _ in range(2 if RUNS > 10 else 1):
        planned, applied = folder.plan(), folder.apply()
        wrong += [*planned.errors, *applied.errors, *strangers(applied.document, names)]
        folder.write(configuration(names, draw))
    wrong += [error for did in folder.destroy() for error in did.errors]
    return [f"seed {number}: {what}" for what in wrong]


def strangers(state: Any, names: Mapping[str, str]) -> list[str]:
    """What in a state was written, or read, by another instance than the one of its alias."""
    found = sorted(
        (resource["name"], value)
        for resource in (state or {"resources": []})["resources"]
        for attribute, value in resource["instances"][0]["attributes"].items()
        if attribute in ("name", "configured_with", "read_by")
    )
    wrong = [f"{alias} was answered by {name}" for alias, name in found if names[alias] != name]
    return wrong if len(found) == 3 * len(names) else [*wrong, f"{len(found)} answers to {len(names)} aliases"]


def test_no_instance_is_ever_answered_by_another(
    busy: Gateway, echo_environment: dict[str, str], engines: Mapping[str, Engine], tmp_path: Path
) -> None:
    way = Way(next(iter(engines.values())), echo_environment, tmp_path, busy)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [what for found in pool.map(lambda number: work(way, number), range(RUNS)) for what in found]
    assert wrong == []
    assert busy.used.fallbacks == {}
