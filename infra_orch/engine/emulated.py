"""A boto3 session for the emulated AWS, which nothing of the user's can lead elsewhere, or keep from being made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

ACCESS_KEY = "infra-orch-sandbox-key"
SECRET_KEY = "infra-orch-sandbox-secret"  # noqa: S105 the emulator takes any; it opens nothing

_UNREAD: Mapping[str, tuple[None, None, str | None, None]] = {
    "profile": (None, None, None, None),
    "ca_bundle": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Variables of botocore's as it declares them: where each is read from, its default, and what it is turned into."""


def emulated_session(region: str | None) -> Any:
    """Return a boto3 session with the emulator's keys, that reads no profile and no configuration files."""
    import boto3  # noqa: PLC0415 - takes longer to import than all of the rest
    from botocore.session import Session  # noqa: PLC0415

    return boto3.session.Session(
        botocore_session=Session(session_vars=dict(_UNREAD)),
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=region,
    )
