"""Where the bundle of a preview is kept: as a file, in a folder, or below a prefix in S3.

In a folder and in S3 it goes by the content of the commit: what was previewed on a branch is found again by the merge
that brings the same, whatever the commit's id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.errors import UnavailableError, UsageError, UserError
from infra_orch.files import write_atomically

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_MOST = 1 << 30
"""Bytes of a bundle that is taken from S3."""


@dataclass(frozen=True)
class Place:
    """A place for bundles, *text* as the user gave it. *is_file*: it is that of one bundle."""

    text: str
    is_file: bool

    @classmethod
    def of(cls, text: str) -> Place:
        """Read what the user gave: `s3://bucket/prefix`, a folder (one that is there, or ends in a slash), or a file.

        Raises UsageError for an S3 address that is none.
        """
        if text.startswith("s3:") and not _S3.fullmatch(text):
            raise UsageError(f'--bundle "{text}" is no place in S3', hint="s3://bucket/prefix")
        return cls(text, is_file=not text.startswith("s3:") and not text.endswith("/") and not Path(text).is_dir())

    @property
    def is_remote(self) -> bool:
        """Whether a bundle leaves this machine for it."""
        return self.text.startswith("s3:")

    def called(self, name: str) -> str:
        """Return what the bundle *name* is called there."""
        return self.text if self.is_file else f"{self.text.rstrip('/')}/{name}"

    def put(self, bundle: Path, name: str) -> None:
        """Keep *bundle* there as *name*. Raises UserError or UnavailableError where that fails."""
        if self.is_remote:
            _ask(self, "written", lambda s3, at: s3.put_object(**at(name), Body=bundle.read_bytes()))
            return
        target = Path(self.called(name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, bundle.read_bytes(), mode=0o600)
        except OSError as error:
            raise UserError(f"{target} cannot be written: {error.strerror}") from error

    def find(self, names: Sequence[str], into: Path) -> tuple[Path, str] | None:
        """Return the first bundle of *names* that is there, as a file here, and what it is called there; None: none is.

        *into* is where one from S3 is put. Raises UnavailableError where S3 cannot be asked.
        """
        if self.is_file:
            return Path(self.text), self.text
        for name in names:
            if not self.is_remote:
                path = Path(self.called(name))
                if path.is_file():
                    return path, str(path)
            elif (content := _ask(self, "read", lambda s3, at, name=name: _content(s3, at(name)))) is not None:
                write_atomically(into, content, mode=0o600)
                return into, self.called(name)
        return None

    def only(self, end: str) -> Path | None:
        """Return the one bundle in a folder whose name ends so; None where there are several, or none.

        Somebody put it there for this. What it is of is compared before anything of it is done.
        """
        if self.is_file or self.is_remote:
            return None
        # A group's name may end like another's: its own stands after what has no "-".
        found = [path for path in Path(self.text).glob("*") if path.name.partition("-")[2] == end.removeprefix("-")]
        return found[0] if len(found) == 1 else None


def _content(s3: Any, at: dict[str, str]) -> bytes | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        answer = s3.get_object(**at)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            return None
        raise
    if answer["ContentLength"] > _MOST:
        raise UserError(f"{at['Key']} in {at['Bucket']} has more than {_MOST >> 20} MiB")
    return bytes(answer["Body"].read())


def _ask(place: Place, what: str, question: Any) -> Any:
    """Ask S3. Raises UnavailableError, in which *what* says what could not be done."""
    import boto3  # noqa: PLC0415  half a second
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    found = _S3.fullmatch(place.text)
    assert found
    bucket, prefix = found[1], (found[2] or "").strip("/")

    def at(name: str) -> dict[str, str]:
        return {"Bucket": bucket, "Key": f"{prefix}/{name}" if prefix else name}

    try:
        return question(boto3.client("s3", config=Config(connect_timeout=10, read_timeout=60)), at)
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(
            f"{place.text} cannot be {what}: {error}",
            hint="aws sts get-caller-identity says whose credentials these are; "
            "s3:PutObject keeps bundles there, s3:GetObject and s3:ListBucket find them",
        ) from error
