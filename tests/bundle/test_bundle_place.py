"""Where bundles of previews are kept: a file, a folder, S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_orch.bundle.place import Place
from infra_orch.errors import UsageError


def test_a_file_is_a_file_and_a_folder_is_one_that_is_there_or_ends_in_a_slash(tmp_path: Path):
    assert Place.of(str(tmp_path / "one.bundle")).is_file
    assert not Place.of(str(tmp_path)).is_file
    assert not Place.of(f"{tmp_path}/new/").is_file
    assert Place.of("s3://bucket/prefix").is_remote


@pytest.mark.parametrize("text", ["s3:bucket", "s3://", "s3://Bucket/x", "s3:///x"])
def test_what_is_no_place_in_s3_is_refused(text: str):
    with pytest.raises(UsageError, match="is no place in S3"):
        Place.of(text)


def test_of_several_names_the_first_that_is_there_is_found(tmp_path: Path):
    place = Place.of(f"{tmp_path}/kept/")
    (tmp_path / "made").write_bytes(b"PK")
    place.put(tmp_path / "made", "second")
    assert place.find(["first", "second"], tmp_path / "found") == (tmp_path / "kept/second", f"{tmp_path}/kept/second")
    assert place.find(["first"], tmp_path / "found") is None


def test_a_group_whose_name_ends_like_anothers_is_not_that_one(tmp_path: Path):
    (tmp_path / "0a1b-eu-prod.bundle").write_bytes(b"PK")
    place = Place.of(str(tmp_path))
    assert place.only("-prod.bundle") is None
    assert place.only("-eu-prod.bundle") == tmp_path / "0a1b-eu-prod.bundle"
