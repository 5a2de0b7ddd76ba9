"""A boto3 session for the emulated AWS, which nothing of the user's can lead elsewhere, or keep from being made."""

from __future__ import annotations

import os
from typing import Any

ACCESS_KEY = "infra-orch-sandbox-key"
SECRET_KEY = "infra-orch-sandbox-secret"  # noqa: S105 the emulator takes any; it opens nothing


def emulated_session(region: str | None) -> Any:
    """Return a boto3 session with the emulator's keys, that reads no variable, profile or configuration file."""
    import boto3  # noqa: PLC0415 - takes longer to import than all of the rest
    from botocore.session import Session  # noqa: PLC0415

    # As botocore declares them: where each is read from in files and in the environment, its default, a conversion.
    unread = {name: (None, None, default, None) for name, (_, _, default, _) in Session.SESSION_VARIABLES.items()}
    nowhere = (None, None, os.devnull, None)
    return boto3.session.Session(
        botocore_session=Session(session_vars={**unread, "config_file": nowhere, "credentials_file": nowhere}),
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=region,
    )
