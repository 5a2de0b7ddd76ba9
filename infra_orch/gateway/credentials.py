"""What credentials a provider process was started with: a digest of everything that they can come from, in files.

Variables are in the process's environment, which is part of its key anyway. Files may change beneath it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra_orch.engine.mirror import home
from infra_orch.gateway.wire import strings

_LARGEST = 1 << 20
"""No credentials are in a larger file."""

_USUAL = (
    ".aws/config",
    ".aws/credentials",
    ".aws/sso/cache/*.json",
    ".aws/cli/cache/*.json",
    ".config/gcloud/application_default_credentials.json",
    ".config/gcloud/active_config",
    ".config/gcloud/configurations/*",
    ".azure/*.json",
    ".kube/config",
)
"""Below the home folder: what AWS, Google, Azure and Kubernetes providers read unasked."""


def credentials_digest(environment: Mapping[str, str], configuration: Any, cwd: Path) -> str:
    """A digest of name, content and time of every file that credentials may be read from.

    These are the usual ones, and each file that a variable or the provider's *configuration* names, as it is found from
    the folder *cwd* where the provider runs.
    """
    own = home(environment) or Path("/nonexistent")
    digest = hashlib.sha256()
    for path in sorted(set(_files(environment, configuration, own, cwd))):
        try:
            known = path.stat()
            if path.is_file() and known.st_size <= _LARGEST:
                digest.update(f"{path}\n{known.st_mtime_ns}\n{known.st_size}\n".encode(errors="surrogateescape"))
                digest.update(path.read_bytes())
        except OSError:
            digest.update(f"{path} cannot be read\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(environment: Mapping[str, str], configuration: Any, own: Path, cwd: Path) -> Iterator[Path]:
    for pattern in _USUAL:
        yield from own.glob(pattern)
    for text in (*environment.values(), *strings(configuration)):
        if text.startswith("~/"):
            text = str(own / text[2:])  # noqa: PLW2901 - the same place, written out
        if text and len(text) < 4096 and "\n" not in text and "\0" not in text:
            yield cwd / text
