"""A file that is no bundle, or not whole, or was tampered with, is told from one that is."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from infra_orch.bundle import archive
from infra_orch.bundle.archive import extract, measure, read_bundle, write_archive
from infra_orch.bundle.manifest import (
    SCHEMA,
    BundledUnit,
    Manifest,
    Origin,
    Selectors,
    from_json,
    member_name,
    to_json,
)
from infra_orch.errors import RefusedError, UsageError, UserError
from infra_orch.run.outcome import Failure, Status
from infra_orch.run.state import StateVersion

PLAN = member_name("web", "tfplan")


@pytest.fixture
def manifest(tmp_path):
    files = {name: tmp_path / name for name in ("tfplan", "tfplan.json")}
    files["tfplan"].write_bytes(os.urandom(3000))
    files["tfplan.json"].write_text("{}" + " " * 100_000)
    web = BundledUnit(
        name="web",
        status=Status.PLANNED,
        destroy=False,
        state=StateVersion("b7a0", 4),
        state_moves=False,
        warnings=("deprecated",),
        failure=None,
        members={name: measure(path) for name, path in files.items()},
    )
    late = replace(web, name="late", status=Status.DEFERRED, failure=Failure("waits for web.id"), members={})
    origin = Origin("20300101T000000Z-abcdef", "2030-01-01", "Ada", None, False, "terraform", "1.11.4", "1.0")
    return Manifest(
        stack="team/dev",
        kind="apply",
        sandbox=False,
        origin=origin,
        selectors=Selectors(units=("web", "late")),
        salt="00",
        files={"stacks/team/dev/stack.py": "0" * 64},
        variables={},
        outside={"network": "1" * 64},
        units={"web": web, "late": late},
    )


@pytest.fixture
def bundle(tmp_path, manifest):
    path = tmp_path / "dev.plan"
    write_archive(path, to_json(manifest), {member_name("web", n): tmp_path / n for n in ("tfplan", "tfplan.json")})
    return path


def rewrite(path: Path, change) -> None:
    """Write a bundle anew, with its members, by name, changed by *change*."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)


def edit_manifest(path: Path, **changes) -> None:
    def change(members):
        members["manifest.json"] = json.dumps({**json.loads(members["manifest.json"]), **changes}).encode()

    rewrite(path, change)


def test_what_is_written_is_what_is_read(bundle, manifest):
    assert read_bundle(bundle).manifest == manifest


def test_two_bundles_have_two_ids(bundle, manifest, tmp_path):
    other = tmp_path / "other.plan"
    write_archive(other, to_json(replace(manifest, salt="01")), {PLAN: tmp_path / "tfplan"})
    first = read_bundle(bundle).id
    rewrite(
        other,
        lambda members: members.update({member_name("web", "tfplan.json"): (tmp_path / "tfplan.json").read_bytes()}),
    )
    assert read_bundle(other).id != first


def test_a_file_of_a_unit_comes_out_as_it_went_in_and_private(bundle, tmp_path):
    extract(read_bundle(bundle), "web", "tfplan", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "tfplan").read_bytes()
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_bundle_that_is_exchanged_after_it_was_read_is_noticed(bundle, tmp_path):
    read = read_bundle(bundle)
    rewrite(bundle, lambda members: members.update({PLAN: b"x" * len(members[PLAN])}))
    with pytest.raises(RefusedError, match="tampered"):
        extract(read, "web", "tfplan", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("length", [0, 1, 100, 3000, -1])
def test_one_that_was_cut_short_is_refused(bundle, length):
    bundle.write_bytes(bundle.read_bytes()[:length])
    with pytest.raises(RefusedError, match="not a plan bundle"):
        read_bundle(bundle)


def test_any_byte_that_was_changed_is_noticed_or_does_not_matter(bundle):
    whole, right = bundle.read_bytes(), read_bundle(bundle)
    for place in range(0, len(whole), 97):
        bundle.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            read = read_bundle(bundle)
        except RefusedError:
            continue
        assert read == right


def test_a_text_is_not_a_bundle(tmp_path):
    (tmp_path / "notes").write_text("not a zip")
    with pytest.raises(RefusedError, match="not a plan bundle"):
        read_bundle(tmp_path / "notes")


def test_another_zip_is_not_a_bundle(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a.txt", "a")
    with pytest.raises(RefusedError, match=r"holds no manifest\.json"):
        read_bundle(tmp_path / "other.zip")


def test_what_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_bundle(tmp_path / "nothing")


def test_a_folder_is_not_a_bundle(tmp_path):
    with pytest.raises(UsageError, match="is not a file"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "units/web/other", "units/other/tfplan", "units/web/"])
def test_what_the_manifest_does_not_name_is_refused_and_goes_nowhere(bundle, name, tmp_path):
    rewrite(bundle, lambda members: members.update({name: b"evil"}))
    with pytest.raises(RefusedError, match="holds what it should not"):
        read_bundle(bundle)
    assert not list(tmp_path.parent.rglob("evil"))


def test_a_member_that_is_missing_is_named(bundle):
    rewrite(bundle, lambda members: members.pop(PLAN))
    with pytest.raises(RefusedError, match=f"lacks: '{PLAN}'"):
        read_bundle(bundle)


def test_a_member_that_is_there_twice_is_refused(bundle):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundle, "a") as file:
        file.writestr(PLAN, b"another")
    with pytest.raises(RefusedError, match="holds twice"):
        read_bundle(bundle)


def test_a_link_in_it_is_refused(bundle):
    with zipfile.ZipFile(bundle) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(bundle, "w") as new:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = ((stat.S_IFLNK if name == PLAN else stat.S_IFREG) | 0o777) << 16
            new.writestr(info, content)
    with pytest.raises(RefusedError, match="is not a file"):
        read_bundle(bundle)


def test_other_content_of_the_same_size_is_refused(bundle):
    rewrite(bundle, lambda members: members.update({PLAN: b"x" * len(members[PLAN])}))
    with pytest.raises(RefusedError, match="is not what it was"):
        read_bundle(bundle)


def test_a_bomb_is_refused_before_it_is_unpacked(bundle, monkeypatch):
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 10_000)
    with pytest.raises(RefusedError, match="is larger than"):
        read_bundle(bundle)


def test_many_bombs_are_refused_before_they_are_unpacked(bundle, monkeypatch):
    monkeypatch.setattr(archive, "TOTAL_LIMIT", 10_000)
    with pytest.raises(RefusedError, match="unpacks to more than"):
        read_bundle(bundle)


def test_a_manifest_as_large_as_a_bomb_is_refused_before_it_is_unpacked(bundle, monkeypatch):
    monkeypatch.setattr(archive, "MANIFEST_LIMIT", 100)
    with pytest.raises(RefusedError, match="larger than"):
        read_bundle(bundle)


def test_one_of_a_newer_infra_orch_says_so(bundle):
    edit_manifest(bundle, schema=SCHEMA + 1)
    with pytest.raises(RefusedError, match="newer infra-orch") as refused:
        read_bundle(bundle)
    assert refused.value.hint == "upgrade it"


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": None},
        {"schema": "1"},
        {"kind": "erase"},
        {"stack": 3},
        {"units": []},
        {"units": {"../web": {}}},
        {"files": {"stacks/dev/stack.py": "short"}},
        {"sandbox": 1},
        {"selectors": {}},
    ],
)
def test_a_manifest_that_is_not_one_is_refused(bundle, changes):
    edit_manifest(bundle, **changes)
    with pytest.raises(RefusedError, match="is damaged"):
        read_bundle(bundle)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1}'])
def test_a_manifest_that_is_no_json_of_ours_is_refused(text):
    with pytest.raises(RefusedError, match="is damaged"):
        from_json(text, "dev.plan")


def test_a_planned_unit_without_its_plan_is_refused(bundle, manifest):
    units = json.loads(to_json(manifest))["units"]
    del units["web"]["members"]["tfplan"]
    edit_manifest(bundle, units=units)
    with pytest.raises(RefusedError, match="planned with tfplan"):
        read_bundle(bundle)


def test_a_bundle_that_cannot_be_written_leaves_the_old_one_and_nothing_else(bundle, manifest, tmp_path):
    before, names = bundle.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="cannot be written"):
        write_archive(bundle, to_json(manifest), {PLAN: tmp_path / "gone"})
    assert bundle.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == names
