"""The parts of the provider gateway, each by itself: what it reads of messages, packages, files and folders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rough_client import ADDRESS, copied, happened, initialised, mirrored

from infra_orch.gateway import provider as provider_module
from infra_orch.gateway.credentials import credentials_digest
from infra_orch.gateway.keep import names_of
from infra_orch.gateway.nearby import Surroundings
from infra_orch.gateway.package import Package, Packages, UnfitError, providers_of
from infra_orch.gateway.schemas import Kept, SchemaCache
from infra_orch.gateway.wire import (
    UNKNOWN,
    Schema,
    WireError,
    configuration,
    created_id,
    creation,
    fields,
    framed,
    has_error,
    message,
    strings,
)
from infra_orch.process import lives

# What the gateway reads of messages.


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def entry(number: int, value: bytes) -> bytes:
    """A field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def number(field: int, value: int) -> bytes:
    """A field that holds a number."""
    return varint(field << 3) + varint(value)


def named(field: int, name: str, value: bytes = b"") -> bytes:
    """An entry of a map by name."""
    return entry(field, entry(1, name.encode()) + entry(2, value))


def dynamic(value: object) -> bytes:
    return entry(1, msgpack.packb(value))


NUMBERS = st.integers(1, (1 << 29) - 1)
FIELDS = st.one_of(
    st.tuples(NUMBERS, st.binary(max_size=300)).map(lambda pair: (pair[0], pair[1], entry(*pair))),
    st.tuples(NUMBERS, st.integers(0, (1 << 64) - 1)).map(lambda pair: (pair[0], pair[1], number(*pair))),
    st.tuples(NUMBERS, st.binary(min_size=8, max_size=8)).map(lambda p: (p[0], p[1], varint(p[0] << 3 | 1) + p[1])),
    st.tuples(NUMBERS, st.binary(min_size=4, max_size=4)).map(lambda p: (p[0], p[1], varint(p[0] << 3 | 5) + p[1])),
)


@given(st.lists(FIELDS, max_size=8))
def test_every_field_of_a_message_is_found_where_it_lies(written: list[tuple[int, int | bytes, bytes]]) -> None:
    data = b"".join(raw for _, _, raw in written)
    found = list(fields(data))
    assert [(field, value) for field, value, _, _ in found] == [(field, value) for field, value, _ in written]
    assert [data[begin:end] for _, _, begin, end in found] == [raw for _, _, raw in written]


@given(st.lists(FIELDS, min_size=1, max_size=4), st.data())
def test_a_message_that_is_cut_short_is_none(
    written: list[tuple[int, int | bytes, bytes]], data: st.DataObject
) -> None:
    *before, last = (raw for _, _, raw in written)
    kept = data.draw(st.integers(1, len(last) - 1))
    with pytest.raises(WireError):
        list(fields(b"".join(before) + last[:kept]))


@given(st.binary(max_size=200))
def test_of_garbage_nothing_is_told_and_nothing_else_raised(garbage: bytes) -> None:
    for packed in (garbage, entry(1, garbage), entry(1, entry(1, garbage)), entry(2, entry(1, garbage))):
        with contextlib.suppress(WireError):
            list(fields(packed))
        with contextlib.suppress(WireError):
            has_error("ConfigureProvider", packed)
        with contextlib.suppress(WireError):
            Schema(packed).pruned({b"x"})
        assert isinstance(created_id(packed), str | None)
        list(strings(configuration(packed)))
        message(packed)
    made = creation(entry(1, b"rough_bed") + entry(2, dynamic(None)) + entry(3, entry(1, garbage)))
    assert made is None or isinstance(made.planned, dict)


@pytest.mark.parametrize("packed", [b"\x81\x90\x01", b"\xdd\xff\xff\xff\xff", b"\x91" * 3000, b"\xd6\xff\x00"])
def test_values_that_no_library_makes_are_not_told_of(packed: bytes) -> None:
    assert created_id(entry(1, entry(1, packed))) is None


NAMES = st.text("abcdefgh_0123456789", min_size=1, max_size=6)


@given(
    st.lists(st.tuples(st.sampled_from([2, 3, 7, 8]), NAMES, st.binary(max_size=20)), max_size=12),
    st.lists(st.tuples(st.sampled_from([1, 4, 5, 6, 9, 15, 2000]), st.binary(max_size=20)), max_size=6),
    st.sets(NAMES, max_size=8),
    st.randoms(use_true_random=False),
)
def test_pruning_keeps_what_is_named_and_all_that_it_does_not_know(
    types: list[tuple[int, str, bytes]], others: list[tuple[int, bytes]], more: set[str], chance: Any
) -> None:
    keep = {name for _, name, _ in types[::2]} | more
    raw = [(named(*one), one[1] in keep) for one in types] + [(entry(*one), True) for one in others]
    chance.shuffle(raw)
    pruned = Schema(b"".join(one for one, _ in raw)).pruned({name.encode() for name in keep})
    found = sorted(pruned[begin:end] for _, _, begin, end in fields(pruned))
    assert found == sorted(one for one, is_kept in raw if is_kept)


ERROR, WARNING = number(1, 1) + entry(2, b"It fails"), number(1, 2) + entry(2, b"It may fail")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("ConfigureProvider", 1),
        ("Configure", 1),
        ("GetProviderSchema", 4),
        ("GetSchema", 4),
        ("PrepareProviderConfig", 2),
    ],
)
def test_an_error_is_told_from_a_warning_and_from_other_fields(call: str, field: int) -> None:
    assert has_error(call, entry(field, WARNING) + entry(field, ERROR))
    assert not has_error(call, entry(field, WARNING) + entry(field + 1, ERROR) + number(field, 1))


UNKNOWN_VALUE = msgpack.ExtType(0, b"\0")
REFINED = msgpack.ExtType(12, msgpack.packb({1: False}))


def test_a_creation_is_told_with_what_is_known_of_it() -> None:
    planned = {"name": "oak", "id": UNKNOWN_VALUE, "arn": REFINED, "tags": {"a": ["b", UNKNOWN_VALUE]}, "size": 3}
    made = creation(entry(1, b"rough_bed") + entry(2, dynamic(None)) + entry(3, dynamic(planned)))
    assert made is not None
    assert made.type == "rough_bed"
    assert made.planned == {"name": "oak", "id": UNKNOWN, "arn": UNKNOWN, "tags": {"a": ["b", UNKNOWN]}, "size": 3}


@pytest.mark.parametrize(("prior", "planned"), [({"id": "1"}, {"id": "1"}), ({"id": "1"}, None), (None, None)])
def test_an_update_and_a_destruction_are_no_creations(prior: object, planned: object) -> None:
    assert creation(entry(1, b"rough_bed") + entry(2, dynamic(prior)) + entry(3, dynamic(planned))) is None


@pytest.mark.parametrize(
    ("state", "found"),
    [({"id": "bed-1"}, "bed-1"), ({"id": UNKNOWN_VALUE}, None), ({"id": ""}, None), ({}, None), (None, None)],
)
def test_the_id_of_what_was_created_is_found_where_it_has_one(state: object, found: str | None) -> None:
    assert created_id(entry(2, b"private") + entry(1, dynamic(state))) == found


def test_all_strings_of_a_configuration_are_found_at_any_depth() -> None:
    values = {"path": "/a", "list": ["b", {"c": "d"}], "unknown": UNKNOWN_VALUE, "number": 1}
    request = entry(1, b"1.11.4") + entry(2, dynamic(values))
    assert sorted(strings(configuration(request))) == ["/a", "b", "d"]


@given(st.binary(max_size=100))
def test_a_body_holds_exactly_one_message(data: bytes) -> None:
    assert message(framed(data)) == data
    assert message(framed(data) + b"\0") is None
    assert message(b"\1" + framed(data)[1:]) is None


# Packages.


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provider mirror, and a unit that Terraform initialised from it."""
    folder = tmp_path_factory.mktemp("site")
    mirrored(folder / "mirror")
    initialised(folder / "unit", folder / "mirror")
    return folder


@pytest.fixture
def unit(site: Path, tmp_path: Path) -> Path:
    """That unit, and its mirror, to be changed."""
    shutil.copytree(site / "mirror", tmp_path / "mirror")
    unit = copied(site / "unit", tmp_path / "unit")
    for link in (unit / ".terraform/providers").rglob("*"):
        if link.is_symlink():
            inside = link.readlink().relative_to(site / "mirror")
            link.unlink()
            link.symlink_to(tmp_path / "mirror" / inside)
    return unit


def program(unit: Path) -> Path:
    (found,) = (unit.parent / "mirror").rglob("terraform-provider-*")
    return found


def test_the_hash_of_a_package_is_the_one_that_terraform_wrote_into_the_lock_file(unit: Path) -> None:
    package = Packages().of(unit, ADDRESS)
    assert package.h1 in re.findall(r'"(h1:[^"]+)"', (unit / ".terraform.lock.hcl").read_text())
    assert (package.version, package.program) == ("1.0.0", program(unit).resolve())
    assert providers_of(unit) == [ADDRESS]


def test_a_package_that_changed_since_is_hashed_anew_and_refused(unit: Path) -> None:
    packages = Packages()
    packages.of(unit, ADDRESS)
    path = program(unit)
    known, text = path.stat(), path.read_text()
    path.write_text(text.replace("panic", "peace"))
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    with pytest.raises(UnfitError, match="not the one that the dependency lock file names"):
        packages.of(unit, ADDRESS)


def test_a_file_more_or_less_in_a_package_is_refused(unit: Path) -> None:
    packages = Packages()
    packages.of(unit, ADDRESS)
    (program(unit).parent / "more").touch()
    with pytest.raises(UnfitError, match="not the one"):
        packages.of(unit, ADDRESS)


def break_lock_file(unit: Path) -> None:
    (unit / ".terraform.lock.hcl").write_bytes(b"\xff")


def forget_provider(unit: Path) -> None:
    (unit / ".terraform.lock.hcl").write_text("# This file is maintained automatically.\n")


def forget_hashes(unit: Path) -> None:
    path = unit / ".terraform.lock.hcl"
    path.write_text(re.sub(r"  hashes = \[.*?\]\n", "", path.read_text(), flags=re.DOTALL))


def remove_program(unit: Path) -> None:
    program(unit).unlink()


def disable_program(unit: Path) -> None:
    program(unit).chmod(0o644)


def remove_packages(unit: Path) -> None:
    shutil.rmtree(unit / ".terraform")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (break_lock_file, "there is no dependency lock file"),
        (forget_provider, "it is not in the dependency lock file"),
        (forget_hashes, "not the one that the dependency lock file names"),
        (remove_program, "there is no program terraform-provider-rough"),
        (disable_program, "there is no program terraform-provider-rough"),
        (remove_packages, "version 1.0.0 is not installed"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_folder_that_is_not_as_init_left_it_is_left_to_terraform(unit: Path, harm: Any, said: str) -> None:
    harm(unit)
    with pytest.raises(UnfitError, match=said):
        Packages().of(unit, ADDRESS)


def test_a_provider_that_never_shakes_hands_is_given_up_and_ended(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module.Provider.shake_hands, "__defaults__", (0.5,))
    environment = {"PATH": os.environ["PATH"], "ROUGH": '{"silent": true}', "ROUGH_FOLDER": str(tmp_path)}
    with pytest.raises(UnfitError, match=re.escape("it did not begin to answer within 0.5 s")):
        asyncio.run(provider_module.start(Packages().of(unit, ADDRESS), environment, unit, tmp_path))
    assert not any(lives(line["pid"]) for line in happened(tmp_path / "provider.log", "started"))


# Schemas on disk.


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


# Credentials.


def digest(home: Path, configuration: Any = None, **environment: str) -> str:
    return credentials_digest({"HOME": str(home), **environment}, configuration)


@pytest.mark.parametrize(
    "name",
    [
        ".aws/credentials",
        ".aws/config",
        ".aws/sso/cache/token.json",
        ".aws/cli/cache/role.json",
        ".config/gcloud/application_default_credentials.json",
        ".azure/msal_token_cache.json",
        ".kube/config",
    ],
)
def test_what_clouds_read_at_home_changes_the_digest_by_its_content_and_its_time(home: Path, name: str) -> None:
    path = home / name
    path.parent.mkdir(parents=True)
    found = [digest(home)]
    for text, time in (("old", 1), ("new", 1), ("new", 2)):
        path.write_text(text)
        os.utime(path, (time, time))
        found.append(digest(home))
    assert len(set(found)) == 4
    assert digest(home) == found[-1]


@pytest.mark.parametrize(
    "about",
    [
        lambda path: {"AWS_SHARED_CREDENTIALS_FILE": str(path)},
        lambda path: {"AWS_WEB_IDENTITY_TOKEN_FILE": f"~/{path.name}"},
        lambda path: {"configuration": {"shared_credentials_files": [str(path)]}},
        lambda path: {"configuration": {"assume_role": [{"token_file": f"~/{path.name}"}]}},
    ],
)
def test_a_file_that_a_variable_or_the_configuration_names_changes_the_digest(home: Path, about: Any) -> None:
    path = home / "token"
    missing = digest(home, **about(path))
    path.write_text("old")
    old = digest(home, **about(path))
    path.write_text("newer")
    assert len({missing, old, digest(home, **about(path))}) == 3


def test_other_files_and_odd_variables_do_not_change_the_digest(home: Path) -> None:
    odd: Mapping[str, str] = {"NAME": "/" + "x" * 5000, "LINES": "/a\nb", "LONG": "/" + "y" * 1000, "FOLDER": str(home)}
    before = digest(home, **odd)
    (home / "notes").write_text("nobody asked")
    assert digest(home, **odd) == before


# The unit's own folder.


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    folder = tmp_path / "work" / "web"
    folder.mkdir(parents=True)
    (folder / "main.tf").touch()
    (folder / "key.pem").touch()
    return Surroundings(folder)


@pytest.mark.parametrize(
    "value", [".", "./other.zip", "key.pem", "file(./a)", "../web/secret", {"deep": [{"source": "modules/../key.pem"}]}]
)
def test_a_call_that_may_be_about_a_file_of_the_units_own_is_noticed(surroundings: Surroundings, value: object) -> None:
    assert surroundings.mentioned(msgpack.packb({"source": value}))


@pytest.mark.parametrize(
    "value", ["../shared/key", "/etc/ssl/cert", "eu-west-1", "10.0.0.0/16", "a sentence. It ends."]
)
def test_a_call_about_anything_else_is_not_taken_for_one(surroundings: Surroundings, value: str) -> None:
    assert not surroundings.mentioned(msgpack.packb({"source": value}))


def test_a_file_that_is_made_later_is_noticed_too(surroundings: Surroundings, tmp_path: Path) -> None:
    request = msgpack.packb({"source": "lambda.zip"})
    before = surroundings.mentioned(request)
    (tmp_path / "work/web/lambda.zip").touch()
    assert (before, surroundings.mentioned(request)) == (False, True)


# What a unit can name.


def write(folder: Path, **files: str | dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


STATE = {"version": 4, "resources": [{"mode": "managed", "type": "rough_orphan", "name": "x"}]}


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"main.tf": 'resource "rough_bed" "it" {}'}, "rough_bed"),
        ({"main.tf.json": '{"data": {"rough_road": {}}}'}, "rough_road"),
        ({"main.tofu": "locals { a = provider::rough::measure(1) }"}, "measure"),
        ({"terraform.tfstate": json.dumps(STATE)}, "rough_orphan"),
        (
            {
                ".terraform/modules/modules.json": json.dumps(
                    {"Modules": [{"Key": "", "Source": "", "Dir": "."}, {"Key": "m", "Source": "../m", "Dir": "../m"}]}
                ),
                "../m/main.tf": 'resource "rough_inner" "it" {}',
            },
            "rough_inner",
        ),
        (
            {
                ".terraform/terraform.tfstate": json.dumps({"backend": {"type": "local", "config": {"path": "../s"}}}),
                "../s": json.dumps(STATE),
            },
            "rough_orphan",
        ),
        ({"tfplan.json": json.dumps({"resource_changes": [{"type": "rough_gone"}]}, indent=1)}, "rough_gone"),
    ],
    ids=["tf", "tf.json", "tofu", "local state", "modules", "state elsewhere", "plan"],
)
def test_whatever_a_unit_can_name_is_found(tmp_path: Path, files: dict[str, str], named: str) -> None:
    (tmp_path / "unit").mkdir()
    write(tmp_path / "unit", **files)
    assert named.encode() in names_of(tmp_path / "unit", "tfplan")


def test_a_change_of_the_configuration_is_seen(tmp_path: Path) -> None:
    found = []
    for name in ("rough_bed", "rough_hedge"):
        write(tmp_path, **{"main.tf": f'resource "{name}" "it" {{}}'})
        found.append({b"rough_bed", b"rough_hedge"} & names_of(tmp_path, None))
    assert found == [{b"rough_bed"}, {b"rough_hedge"}]


def test_what_lies_beside_the_unit_is_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, **{"other/main.tf": 'resource "rough_bed" "it" {}', "unit/notes.md": "rough_road"})
    assert names_of(tmp_path / "unit", None) == frozenset()


@pytest.mark.parametrize("listing", ["{", "[]", '{"Modules": [{}]}'])
def test_where_it_cannot_be_told_what_a_unit_names_that_is_said(tmp_path: Path, listing: str) -> None:
    write(tmp_path, **{".terraform/modules/modules.json": listing})
    with pytest.raises((OSError, ValueError)):
        names_of(tmp_path, None)
