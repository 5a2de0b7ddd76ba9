"""A page for every JSON Schema of the package, and the schema itself at an address that stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from markdown_text import cell, code, fence, row


def schemas() -> Mapping[str, dict[str, Any]]:
    """The schemas of the package, by the names of their files."""
    folder = files("infra_orch") / "schemas"
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in found}


def pages() -> dict[str, str]:
    """Return, by their paths, a page for every schema, one that lists them, and the schemas as they are."""
    made = {"reference/schemas/index.md": _index()}
    for name, schema in schemas().items():
        made[f"reference/schemas/{_stem(name)}.md"] = _page(name, schema)
        made[f"schemas/{name}"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return made


def _stem(name: str) -> str:
    return name.removesuffix(".json")


def _index() -> str:
    lines = [
        "# JSON documents",
        "",
        "What is written for programs has a JSON Schema (draft 2020-12). A document names its own in `$schema`, by a",
        "name (`urn:infra-orch:schema:…:1`) that is no address; the schemas are here, at addresses that stay. The last",
        "part is the version: within one, properties may be added, and none changes its meaning or goes. So take what",
        "you know of a document, and leave the rest.",
        "",
        "| document | what it is | schema |",
        "|---|---|---|",
    ]
    for name, schema in schemas().items():
        about = cell(schema.get("description", "").split(" $id names")[0])
        link = f"[{code(name)}](../../schemas/{name})"
        lines.append(row(f"[{cell(schema['title'])}]({_stem(name)}.md)", about, link))
    return "\n".join([*lines, ""])


def _page(name: str, schema: dict[str, Any]) -> str:
    lines = [f"# {schema['title']}", "", schema.get("description", ""), ""]
    lines += [f"Its name is {code(schema['$id'])}, the schema is [{code(name)}](../../schemas/{name}).", ""]
    lines += _table(schema)
    for key, definition in schema.get("$defs", {}).items():
        lines += [f"## {key}", ""]
        if definition.get("description"):
            lines += [definition["description"], ""]
        rows = list(_rows(definition, ""))
        lines += _table(definition) if rows else [f"{_kind(definition)}", ""]
    lines += ["## The schema", "", *fence(json.dumps(schema, indent=2, ensure_ascii=False), "json"), ""]
    return "\n".join(lines)


def _table(schema: dict[str, Any]) -> list[str]:
    head = ["| field | type | | what it is |", "|---|---|---|---|"]
    return [*head, *(row(*cells) for cells in _rows(schema, "")), ""]


def _rows(schema: dict[str, Any], before: str) -> Iterator[tuple[str, str, str, str]]:
    """Every field of a schema, those of what is nested in it by their paths: `units.*.status`, `tasks[].name`."""
    required = schema.get("required", ())
    for key, part in schema.get("properties", {}).items():
        path = f"{before}{key}"
        yield code(path), _kind(part), "required" if key in required else "", cell(part.get("description", ""))
        yield from _rows(part, f"{path}.")
    anything = schema.get("additionalProperties")
    if isinstance(anything, dict):
        yield from _nested(anything, f"{before}*")
    if isinstance(schema.get("items"), dict):
        yield from _nested(schema["items"], f"{before.removesuffix('.')}[]")


def _nested(part: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    yield code(path), _kind(part), "", cell(part.get("description", ""))
    yield from _rows(part, f"{path}.")


def _kind(part: Any) -> str:
    """What may stand there, in words: a type, one of some words, or a link to where it is described."""
    if part is True:
        return "anything"
    if "$ref" in part:
        return _reference(part["$ref"])
    if "const" in part:
        return code(json.dumps(part["const"]))
    if "enum" in part:
        return ", ".join(code(json.dumps(value)) for value in part["enum"])
    for word in ("anyOf", "oneOf"):
        if word in part:
            return " or ".join(dict.fromkeys(_kind(one) for one in part[word]))
    kinds = part.get("type", "anything")
    words = [kinds] if isinstance(kinds, str) else list(kinds)
    items = part.get("items")
    if "array" in words and isinstance(items, dict):
        words[words.index("array")] = f"array of {_kind(items)}"
    return " or ".join(words) + (f" ({part['format']})" if "format" in part else "")


def _reference(ref: str) -> str:
    document, _, inside = ref.partition("#")
    key = inside.rpartition("/")[2]
    name = document.removeprefix("urn:infra-orch:schema:").replace(":", "-")
    anchor = f"#{key}" if key else ""
    return f"[{key or name}]({f'{name}.md' if name else ''}{anchor})"
