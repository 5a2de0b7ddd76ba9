"""What is left in the emulator: asked after a destroy, which should leave nothing."""

from __future__ import annotations

import json

from infra_orch.errors import UnavailableError
from infra_orch.sandbox.ask import ask
from infra_orch.sandbox.paths import CENSUS_PATH


def baseline(url: str) -> frozenset[str]:
    """What exists in the emulator at *url* now, one line each, to be left out of account later.

    A fresh emulator has none: what AWS gives to every account (default VPCs, images, managed policies) never counts.
    """
    return frozenset(_census(url))


def leftovers(url: str, before: frozenset[str] = frozenset()) -> list[str]:
    """What was made in the emulator at *url*, still exists and is not in *before*: `SERVICE REGION KIND ID`, sorted.

    Resources of every account, region and service that was touched. Not seen: parts of resources that exist (rules of a
    default security group, tags), and the few kinds that moto keeps in plain dictionaries. What AWS keeps for a while
    after its deletion (terminated instances, keys and secrets that are scheduled to go) does not count.
    Raises UnavailableError where the emulator does not answer.
    """
    return [line for line in _census(url) if line not in before]


def _census(url: str) -> list[str]:
    status, body = ask(url, CENSUS_PATH, timeout=30.0)
    if status != 200:
        raise UnavailableError(f"the emulator at {url} cannot tell what it holds: status {status}")
    return [f"{entry['service']} {entry['region']} {entry['kind']} {entry['id']}" for entry in json.loads(body)]
