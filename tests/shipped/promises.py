"""What every object store promises, asked of the emulated AWS."""

from __future__ import annotations

import json
from typing import Any


def assert_private(s3: Any, bucket: str) -> None:
    """Fail unless a bucket is encrypted, versioned, closed to the public, without ACLs, and refuses what is in the clear."""
    blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert (len(blocks), set(blocks.values())) == (4, {True})
    (owner,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def lifecycle(s3: Any, bucket: str) -> dict[str, dict[str, Any]]:
    """The rules of a bucket that are in force, by their names."""
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["ID"]: rule for rule in rules if rule["Status"] == "Enabled"}


def versions(s3: Any, bucket: str) -> list[str]:
    """The keys of all versions of all objects of a bucket, those that are hidden by a delete too."""
    found = s3.list_object_versions(Bucket=bucket)
    return [one["Key"] for one in (*found.get("Versions", []), *found.get("DeleteMarkers", []))]
