"""What stacks/analytics and its modules promise, asked of the emulated AWS that it was applied to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from promises import assert_private, lifecycle, versions
from stack_code import Desk, code, run_task

from infra_orch.testing import Applied

pytestmark = [pytest.mark.aws, pytest.mark.stack("analytics"), pytest.mark.usefixtures("aws")]

EXAMPLES = code("analytics", "examples").EXAMPLES
TABLES = ("orders", "rejected")


def rows(applied: Applied, table: str) -> list[dict[str, Any]]:
    """What a query of all rows would read: every object below the place where the catalogue has the table."""
    found = applied.client("glue").get_table(DatabaseName=applied.outputs["catalogue"]["database"], Name=table)
    bucket, _, prefix = found["Table"]["StorageDescriptor"]["Location"].removeprefix("s3://").partition("/")
    s3 = applied.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    texts = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def columns(applied: Applied, table: str) -> dict[str, str]:
    found = applied.client("glue").get_table(DatabaseName=applied.outputs["catalogue"]["database"], Name=table)
    return {one["Name"]: one["Type"] for one in found["Table"]["StorageDescriptor"]["Columns"]}


@pytest.mark.parametrize("unit", ["raw", "curated", "results"])
def test_every_store_is_private(applied: Applied, unit: str) -> None:
    assert_private(applied.client("s3"), applied.outputs[unit]["name"])


def test_results_expire_and_orders_do_not(applied: Applied) -> None:
    expiring = {
        unit: [
            rule["Filter"]["Prefix"]
            for rule in lifecycle(applied.client("s3"), applied.outputs[unit]["name"]).values()
            if "Days" in rule.get("Expiration", {})
        ]
        for unit in ("raw", "curated", "results")
    }
    assert expiring == {"raw": [], "curated": [], "results": ["athena/"]}


def test_every_row_that_came_in_can_be_queried_as_an_order_or_as_a_rejected_row(applied: Applied) -> None:
    assert sorted(one["order_id"] for one in rows(applied, "orders")) == [
        "1001",
        "1002",
        "1003",
        "2001",
        "2003",
        "2004",
    ]
    assert sorted(one["reason"] for one in rows(applied, "rejected")) == [
        "amount 'twelve'",
        "not JSON: Expecting value: line 1 column 1 (char 0)",
        "order_id was there before",
        "without placed_at",
    ]


@pytest.mark.parametrize("table", TABLES)
def test_the_columns_of_a_table_are_those_of_its_rows(applied: Applied, table: str) -> None:
    types = {str: {"string", "timestamp"}, int: {"bigint"}}
    for row in rows(applied, table):
        known = columns(applied, table)
        assert set(row) == set(known)
        assert all(known[name] in types[type(value)] for name, value in row.items())


@pytest.mark.parametrize("table", TABLES)
def test_the_catalogue_knows_every_day(applied: Applied, table: str) -> None:
    database, bucket = applied.outputs["catalogue"]["database"], applied.outputs["curated"]["name"]
    found = applied.client("glue").get_partitions(DatabaseName=database, TableName=table)["Partitions"]
    places = {one["Values"][0]: one["StorageDescriptor"]["Location"] for one in found}
    assert places == {day: f"s3://{bucket}/{table}/day={day}/" for day in ("2026-11-27", "2026-11-28")}


def test_no_query_has_its_own_way(applied: Applied) -> None:
    name, bucket = applied.outputs["catalogue"]["workgroup"], applied.outputs["results"]["name"]
    found = applied.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
    assert found["EnforceWorkGroupConfiguration"] is True
    assert found["BytesScannedCutoffPerQuery"] == 10 * 1024**3
    assert found["ResultConfiguration"]["OutputLocation"] == f"s3://{bucket}/athena/"
    assert found["ResultConfiguration"]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}


def test_what_is_curated_already_is_left_alone(applied: Applied) -> None:
    s3, bucket = applied.client("s3"), applied.outputs["curated"]["name"]
    before = versions(s3, bucket)
    counts = run_task("analytics", "curate", Desk(applied))
    assert (counts["objects"], counts["up to date"], counts["curated"]) == (len(EXAMPLES), len(EXAMPLES), 0)
    assert versions(s3, bucket) == before


def test_only_what_has_changed_is_curated_and_what_nobody_can_read_is_named(applied: Applied) -> None:
    s3, bucket = applied.client("s3"), applied.outputs["raw"]["name"]
    key, added = "orders/day=2026-11-28/shop.jsonl", "orders/day=2026-11-29/till-1.csv"
    order = {"order_id": 2005, "customer": "ada", "amount": 1, "currency": "EUR", "placed_at": "2026-11-28T08:00:00Z"}
    s3.put_object(Bucket=bucket, Key=key, Body=f"{EXAMPLES[key]}{json.dumps(order)}\n".encode())
    s3.put_object(Bucket=bucket, Key=added, Body=b"order_id\n\xff\n")
    try:
        with pytest.raises(AssertionError, match=rf"1 of 4 objects are not curated: s3://{bucket}/{added}: .*utf-8"):
            run_task("analytics", "curate", Desk(applied))
        assert [one["customer"] for one in rows(applied, "orders") if one["order_id"] == "2005"] == ["ada"]
    finally:
        for one in s3.list_object_versions(Bucket=bucket)["Versions"]:
            if one["Key"] == added or (one["Key"] == key and one["IsLatest"]):
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    assert run_task("analytics", "curate", Desk(applied))["curated"] == 1
    assert [one for one in rows(applied, "orders") if one["order_id"] == "2005"] == []


def test_a_table_that_was_moved_by_hand_is_found(applied: Applied) -> None:
    glue, database = applied.client("glue"), applied.outputs["catalogue"]["database"]
    found = glue.get_table(DatabaseName=database, Name="orders")["Table"]
    kept = ("Name", "Description", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    before = {name: found[name] for name in kept}
    elsewhere = {**before, "StorageDescriptor": {**found["StorageDescriptor"], "Location": "s3://elsewhere/orders/"}}
    glue.update_table(DatabaseName=database, TableInput=elsewhere)
    try:
        with pytest.raises(AssertionError, match=rf"{database}\.orders lies in s3://elsewhere/orders/"):
            run_task("analytics", "catalogue_knows_the_data", Desk(applied))
    finally:
        glue.update_table(DatabaseName=database, TableInput=before)


def test_a_real_account_gets_no_examples_and_loses_nothing(applied: Applied) -> None:
    s3, bucket = applied.client("s3"), applied.outputs["raw"]["name"]
    before = versions(s3, bucket)
    assert run_task("analytics", "put_examples", Desk(applied, sandbox=False)) == []
    assert run_task("analytics", "take_examples_back", Desk(applied, sandbox=False)) == 0
    assert versions(s3, bucket) == before


def test_a_second_plan_has_nothing_to_do(applied: Applied) -> None:
    applied.assert_no_changes()
