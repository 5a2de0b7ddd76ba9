"""Where the emulator answers questions of ours, and what its folder holds.

The paths lie under `/moto-api`, which moto keeps to itself; anything else might be a bucket's.
"""

from __future__ import annotations

ABOUT_PATH = "/moto-api/infra-orch/about"
CENSUS_PATH = "/moto-api/infra-orch/census"
RESET_PATH = "/moto-api/reset"

STATE_NAME = "emulator.json"
LOCK_NAME = "emulator.lock"
"""Locked by a kept emulator for as long as it lives: the lock tells a living one from a process with a reused id."""
START_LOCK_NAME = "emulator.start.lock"
LOG_NAME = "emulator.log"
