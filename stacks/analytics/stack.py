"""Analytics: raw orders, curated ones, and a catalogue by which these are queried."""

from __future__ import annotations

import re
from typing import Any

from curate import VERSION, curated, readable
from examples import EXAMPLES

from infra_orch import Provider, Stack, TaskContext

# The state is kept in files beside this one, so that a first apply needs no bucket. A team keeps it in S3:
# backend=S3Backend(bucket="acme-terraform-state", region="eu-west-1"), imported from infra_orch.
stack = Stack(
    "analytics",
    providers=[
        Provider(
            "aws",
            source="hashicorp/aws",
            version="~> 5.0",
            region="eu-west-1",
            default_tags={"tags": {"stack": "analytics", "managed-by": "infra-orch"}},
        ),
    ],
)

# What comes in, as it came: orders/day=2026-11-28/till-1.csv, or .jsonl. It cannot be made again: as long as it holds
# anything, it is not destroyed.
raw = stack.unit("raw", module="object_store", inputs={"name": "analytics-raw"})

# What is made of it, which can be made again: a destroy takes the objects along.
curated_store = stack.unit(
    "curated",
    module="object_store",
    inputs={"name": "analytics-curated", "noncurrent_days": 7, "force_destroy": True},
)
results = stack.unit(
    "results",
    module="object_store",
    inputs={
        "name": "analytics-results",
        "noncurrent_days": 1,
        "expire_prefixes": {"athena/": 30},
        "force_destroy": True,
    },
)

catalogue = stack.unit(
    "catalogue",
    module="catalogue",
    inputs={
        "name": "analytics",
        "description": "Orders, curated from what the shops and tills send",
        "results_bucket": results.outputs.name,
        "results_prefix": "athena/",
        "tables": {
            "orders": {
                "description": "One line an order; each order once in its file",
                "bucket": curated_store.outputs.name,
                "prefix": "orders/",
                "format": "json",
                "columns": [
                    {"name": "order_id", "type": "string"},
                    {"name": "customer", "type": "string"},
                    {"name": "amount_cents", "type": "bigint"},
                    {"name": "currency", "type": "string"},
                    {"name": "placed_at", "type": "timestamp"},
                ],
                "partitions": [{"name": "day", "type": "date"}],
            },
            "rejected": {
                "description": "Rows that could not be taken over: their line, the reason, and the row as it was",
                "bucket": curated_store.outputs.name,
                "prefix": "rejected/",
                "format": "json",
                "columns": [
                    {"name": "line", "type": "bigint"},
                    {"name": "reason", "type": "string"},
                    {"name": "raw", "type": "string"},
                ],
                "partitions": [{"name": "day", "type": "date"}],
            },
        },
    },
)

TABLES = ("orders", "rejected")
LARGEST = 64 * 1024 * 1024
_DAY = re.compile(r"orders/(day=\d{4}-\d{2}-\d{2})/[^/]+")
_SOURCE = "source"
"""Of a curated object's metadata: which content it was made of, and by which version of the rules."""


class AnalyticsError(AssertionError):
    """Something is not as the stack promises."""


def _check(fact: bool, otherwise: str) -> None:  # noqa: FBT001  the fact is what the function is about
    if not fact:
        raise AnalyticsError(otherwise)


@stack.task(after=[raw], timeout=60.0)
def put_examples(context: TaskContext) -> list[str]:
    """Put a few raw orders into the sandbox's bucket, so that there is something to curate. Real accounts get none."""
    if not context.sandbox:
        context.log.info("this is a real account: nothing is put into it")
        return []
    s3, bucket = context.client("s3"), context.outputs["raw"]["name"]
    for key, text in EXAMPLES.items():
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
    return sorted(EXAMPLES)


@stack.task(on="destroy", before=[raw], timeout=60.0)
def take_examples_back(context: TaskContext) -> int:
    """Take the examples out of the sandbox's bucket before that is destroyed. Real accounts had none."""
    if not context.sandbox:
        return 0
    s3, bucket = context.client("s3"), context.outputs["raw"]["name"]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="orders/")
    versions = [one for page in pages for one in page.get("Versions", []) if one["Key"] in EXAMPLES]
    for one in versions:
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    return len(versions)


@stack.task(after=[put_examples, curated_store], retries=1, retry_delay=5.0, timeout=900.0)
def curate(context: TaskContext) -> dict[str, int]:
    """Curate every raw object that is new or has changed since, and count; return the counts.

    One that fails keeps none of the others from being curated. AnalyticsError names those, after all were tried.
    """
    s3, bucket = context.client("s3"), context.outputs["raw"]["name"]
    counts = dict.fromkeys(("objects", "left out", "up to date", "curated", "rows", "orders", "rejected"), 0)
    failed: list[str] = []
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="orders/")
    for one in (one for page in pages for one in page.get("Contents", [])):
        counts["objects"] += 1
        key = one["Key"]
        if not (_DAY.fullmatch(key) and readable(key)) or one["Size"] > LARGEST:
            context.log.warning("left out: %s, %d bytes", key, one["Size"])
            counts["left out"] += 1
            continue
        try:
            done = _curate_object(context, s3, key, one["ETag"])
        except (AnalyticsError, UnicodeDecodeError) as error:
            failed.append(f"s3://{bucket}/{key}: {error}")
            continue
        counts["curated" if done else "up to date"] += 1
        for name, number in done.items():
            counts[name] += number
    context.log.info("%s", counts)
    _check(not failed, f"{len(failed)} of {counts['objects']} objects are not curated: {'; '.join(failed)}")
    return counts


def _curate_object(context: TaskContext, s3: Any, key: str, etag: str) -> dict[str, int]:
    """Curate the raw object *key* unless it is up to date. Returns how many rows became what: nothing where it is."""
    source, target = context.outputs["raw"]["name"], context.outputs["curated"]["name"]
    origin, name = f"{etag.strip(chr(34))} {VERSION}", key.removeprefix("orders/")
    if _metadata(s3, target, f"orders/{name}.json").get(_SOURCE) == origin:
        return {}
    # With its ETag: what is read is what was listed, also where somebody writes it anew meanwhile.
    made = curated(key, s3.get_object(Bucket=source, Key=key, IfMatch=etag)["Body"].read().decode())
    metadata = {_SOURCE: origin}
    # The orders last: where this is stopped in between, the next run finds them out of date and writes both again.
    for table, lines in (("rejected", made.rejected), ("orders", made.orders)):
        body = "".join(f"{line}\n" for line in lines).encode()
        s3.put_object(Bucket=target, Key=f"{table}/{name}.json", Body=body, Metadata=metadata)
    kept = [_lines(s3, target, f"{table}/{name}.json") for table in TABLES]
    _check(sum(kept) == made.rows, f"of {made.rows} rows {sum(kept)} were kept")
    return {"rows": made.rows, "orders": kept[0], "rejected": kept[1]}


def _metadata(s3: Any, bucket: str, key: str) -> dict[str, str]:
    """The metadata of an object; none where it is not there."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    if not found or found[0]["Key"] != key:
        return {}
    metadata: dict[str, str] = s3.head_object(Bucket=bucket, Key=key)["Metadata"]
    return metadata


def _lines(s3: Any, bucket: str, key: str) -> int:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body.count(b"\n")


@stack.task(after=[curate, catalogue], retries=1, retry_delay=5.0, timeout=300.0)
def catalogue_knows_the_data(context: TaskContext) -> dict[str, list[str]]:
    """Tell the catalogue of days that it does not know yet, and ask it where the tables lie; return days by table.

    AnalyticsError where a table or a day points elsewhere, or the workgroup lets a query have its own way.
    """
    glue, s3 = context.client("glue"), context.client("s3")
    promised, bucket = context.outputs["catalogue"], context.outputs["curated"]["name"]
    database, days = promised["database"], {}
    for table in TABLES:
        found = glue.get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]
        _check(found["Location"] == f"s3://{bucket}/{table}/", f"{database}.{table} lies in {found['Location']}")
        there = _days(s3, bucket, table)
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
        known = {one["Values"][0]: one["StorageDescriptor"] for page in pages for one in page["Partitions"]}
        for day in sorted(there - known.keys()):
            known[day] = {**found, "Location": f"{found['Location']}day={day}/"}
            partition = {"Values": [day], "StorageDescriptor": known[day]}
            glue.create_partition(DatabaseName=database, TableName=table, PartitionInput=partition)
        for day, place in known.items():
            where = place["Location"]
            _check(where == f"{found['Location']}day={day}/", f"{database}.{table} of {day} lies in {where}")
        days[table] = sorted(known)
    _check_workgroup(context)
    return days


def _days(s3: Any, bucket: str, table: str) -> set[str]:
    """The days of which there are objects."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{table}/day=", Delimiter="/")
    return {one["Prefix"].split("day=")[1].rstrip("/") for page in pages for one in page.get("CommonPrefixes", [])}


def _check_workgroup(context: TaskContext) -> None:
    promised = context.outputs["catalogue"]
    name = promised["workgroup"]
    settings = context.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
    _check(settings["EnforceWorkGroupConfiguration"], f"{name} lets a query choose where its results go")
    where = settings["ResultConfiguration"]
    _check(where["OutputLocation"] == promised["results_location"], f"{name} writes to {where['OutputLocation']}")
    _check(bool(where.get("EncryptionConfiguration")), f"{name} does not encrypt results")
