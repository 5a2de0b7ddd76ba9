"""stack.json is read back as it was written, and whatever else lies in its place is refused with a way to mend it."""

from __future__ import annotations

import json

import pytest

from infra_orch.errors import UserError
from infra_orch.project import find_project
from infra_orch.render.index import KeptUnit, from_json, read_index, to_json
from infra_orch.render.write import write


@pytest.fixture
def index(everything, render):
    """The rendered stack that uses everything."""
    return render(everything, "prod").stack


def test_an_index_is_read_back_as_it_was_written(index) -> None:
    assert from_json(to_json(index), index.folder) == index


def test_an_index_with_kept_units_is_read_back(index) -> None:
    from dataclasses import replace

    kept = replace(index, left_over={"old": KeptUnit(replace(index.units["bare"], name="old"), ("web",))})
    assert from_json(to_json(kept), kept.folder) == kept


def test_an_index_with_limits_is_read_back_and_one_that_lets_nothing_begin_is_refused(index) -> None:
    from dataclasses import replace

    limited = replace(index, concurrency={"account:prod": 4})
    assert from_json(to_json(limited), limited.folder) == limited
    with pytest.raises(UserError, match="0 is not a number of units"):
        from_json(to_json(replace(index, concurrency={"account:prod": 0})), index.folder)


def test_an_index_names_no_path_of_this_machine(index, everything) -> None:
    assert str(everything.root) not in to_json(index)
    assert index.units["web"].where.file == "stacks/prod/stack.py"


def test_an_index_that_is_missing_says_how_to_get_one(desk) -> None:
    desk.write({"stacks/dev/stack.py": ""})
    with pytest.raises(UserError) as caught:
        read_index(find_project(desk.root).stack("dev"))
    assert caught.value.hint == "infra-orch render dev, and commit it"


def test_an_index_that_is_no_text_is_refused(everything, render) -> None:
    write(render(everything, "prod"))
    folder = find_project(everything.root).stack("prod")
    folder.index.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"stacks/prod/rendered/stack\.json cannot be read"):
        read_index(folder)


TAMPERED = {
    "another schema": lambda d: d.update(schema=2),
    "no units": lambda d: d.pop("units"),
    "units that are none": lambda d: d.update(units=[]),
    "a path for a stack's name": lambda d: d.update(stack="../x"),
    "a path for a unit's name": lambda d: d["units"].update({"../x": d["units"]["bare"]}),
    "a flag for a unit's name": lambda d: d["units"].update({"-x": d["units"]["bare"]}),
    "a file elsewhere": lambda d: d["units"]["bare"]["files"].update({"../main.tf": "0"}),
    "a hidden file": lambda d: d["units"]["bare"]["files"].update({".terraformrc": "0"}),
    "HCL for an output's name": lambda d: d["units"]["bare"]["outputs"].update({'x" {}': True}),
    "HCL for what is needed": lambda d: d["units"]["web"]["needs"].update({"network": ["x = file("]}),
    "HCL for a provider's alias": lambda d: d["units"]["web"]["providers"][0].update(alias='x"'),
    "a need without an edge": lambda d: d["units"]["bare"]["needs"].update({"web": ["value"]}),
    "an edge to nothing": lambda d: d["edges"].append(["web", "nothing"]),
    "a circle": lambda d: d["edges"].append(["web", "network"]),
    "a task of no kind": lambda d: d["tasks"]["check"].update(on="never"),
    "a place that is none": lambda d: d["units"]["bare"].update(where="x"),
    "a backend that is HCL": lambda d: d["units"]["bare"].update(backend='x" {}'),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_an_index_that_was_tampered_with_is_refused(index, change) -> None:
    document = json.loads(to_json(index))
    change(document)
    with pytest.raises(UserError) as caught:
        from_json(json.dumps(document), index.folder)
    assert caught.value.hint == "infra-orch render prod writes it anew"


@pytest.mark.parametrize("text", ["", "[]", "null", '"x"', "{", "[" * 100_000, '{"schema": 1}'])
def test_whatever_is_no_index_is_refused(index, text: str) -> None:
    with pytest.raises(UserError, match=r"stack\.json is not a rendered stack"):
        from_json(text, index.folder)
