"""What providers always answer, kept on disk."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rough_client import ADDRESS

from infra_orch.gateway.package import Package
from infra_orch.gateway.schemas import Kept, SchemaCache


def package(h1: str = "h1:one") -> Package:
    return Package(ADDRESS, "1.0.0", Path(), Path(), h1)


KEPT = Kept(6, 0, "", b"a schema")


def kept_file(folder: Path) -> Path:
    (found,) = (path for path in folder.rglob("*") if path.is_file())
    return found


@given(st.sampled_from([5, 6]), st.sampled_from([0, 12]), st.text(max_size=100), st.binary(max_size=100))
def test_what_is_kept_is_read_again_as_it_was(protocol: int, status: int, text: str, body: bytes) -> None:
    kept = Kept(protocol, status, text, body)
    with tempfile.TemporaryDirectory() as folder:
        SchemaCache(Path(folder)).write(package(), "GetSchema", kept)
        assert SchemaCache(Path(folder)).read(package(), "GetSchema") == kept
        assert SchemaCache(Path(folder)).read(package(), "GetMetadata") is None
        assert SchemaCache(Path(folder)).read(package("h1:another"), "GetSchema") is None


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-1],
        lambda data: data[:10],
        lambda _: b"",
        lambda data: data.replace(b"a schema", b"a Schema"),
        lambda data: data + b"more",
        lambda data: b"infra-orch schema 0" + data[19:],
        lambda _: b"-----BEGIN CERTIFICATE-----\n" * 10,
    ],
    ids=["cut", "cut short", "empty", "changed", "longer", "of another version", "foreign"],
)
def test_a_file_that_is_not_what_was_written_counts_as_none(tmp_path: Path, harm: Any) -> None:
    cache = SchemaCache(tmp_path / "schemas")
    cache.write(package(), "GetSchema", KEPT)
    path = kept_file(tmp_path / "schemas")
    path.write_bytes(harm(path.read_bytes()))
    assert cache.read(package(), "GetSchema") is None
    cache.write(package(), "GetSchema", KEPT)
    assert cache.read(package(), "GetSchema") == KEPT


def test_schemas_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir(mode=0o755)
    SchemaCache(tmp_path / "schemas").write(package(), "GetSchema", KEPT)
    path = kept_file(tmp_path / "schemas")
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, tmp_path / "schemas")]
    assert modes == [0o600, 0o700, 0o700]


def test_schemas_take_no_more_room_than_they_may_and_the_least_used_go_first(tmp_path: Path) -> None:
    cache = SchemaCache(tmp_path, limit=3500)
    for name in ("one", "two", "three"):
        cache.write(package(name), "GetSchema", Kept(6, 0, "", b"x" * 1000))
        os.utime(max(tmp_path.rglob("GetSchema"), key=lambda path: path.stat().st_mtime_ns), (0, 0))
    cache.read(package("one"), "GetSchema")
    cache.write(package("four"), "GetSchema", Kept(6, 0, "", b"x" * 1000))
    left = {name for name in ("one", "two", "three", "four") if cache.read(package(name), "GetSchema")}
    assert {"one", "four"} < left
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 3500


@pytest.mark.parametrize("place", ["a file", "no folder"])
def test_where_schemas_cannot_be_kept_nothing_is_lost_but_time(tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").write_text("it is something else")
    cache = SchemaCache(tmp_path / "taken" if place == "a file" else tmp_path / "taken" / "schemas")
    cache.write(package(), "GetSchema", KEPT)
    assert cache.read(package(), "GetSchema") is None
    assert (tmp_path / "taken").read_text() == "it is something else"
