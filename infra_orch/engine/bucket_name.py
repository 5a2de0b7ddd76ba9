"""What S3 lets a bucket be called.

The rules are those of docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html. Buckets that were made
before them may have other names, so only of one that is to be made they are asked for.
"""

from __future__ import annotations

import re

from infra_orch.errors import UserError

_EVER = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:aws[a-z-]*:s3[a-z-]*:\S+")
_NEW = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_FIRST = ("xn--", "sthree-", "amzn-s3-demo-")
_LAST = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class BucketNameError(UserError):
    """The name is none that such a bucket can have, or leads to one that cannot be meant."""


def refuse_name(name: str, *, new: bool) -> None:
    """Raise BucketNameError for a *name* that no bucket has, or, of a *new* one, that none gets."""
    if not _EVER.fullmatch(name):
        why = "letters, digits, -, _ and . only" if name else "it is empty"
    elif not new:
        return
    elif not _NEW.fullmatch(name):
        why = "3 to 63 small letters, digits, - and ., with a letter or digit at both ends, and no two . in a row"
    elif _ADDRESS.fullmatch(name):
        why = "it would be taken for an IP address"
    elif taken := next((part for part in _FIRST if name.startswith(part)), ""):
        why = f"S3 keeps names that begin with {taken} for itself"
    elif taken := next((part for part in _LAST if name.endswith(part)), ""):
        why = f"S3 keeps names that end in {taken} for itself"
    else:
        return
    raise BucketNameError(f'no bucket can be called "{name}": {why}', hint="bucket= of the backend says another")
