"""Rego, evaluated in a process of its own: `python -P interpreter.py`, with a question on standard input.

The interpreter is a library in C++ that ends its whole process over some policies, and writes into standard output. So
it is started for each plan, and what becomes of it is no more than an answer. Nothing of infra-orch is imported here.

A question is `{"files": [{"name", "text"}], "input": …, "asks": [{"package", "files": [0, 1]}]}`. The answer is
`{"wrong": {"file": 0, "said": …}}` for a file that cannot be read, or `{"answers": [{"rules": {name: value}}]}`, in the
order of *asks*, with `error` in the place of `rules` where that failed. In a value a set is a list, and an object is
`{"pairs": [[key, value]]}`, since its keys may be anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from typing import Any

from regopy import Interpreter, LogLevel, RegoError, rego_shared

_ERROR = re.compile(r"\(error\s+\(errormsg \d+:([^\n]*)\)")


class _FailedError(Exception):
    """An evaluation failed; the message says why."""


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    files = question["files"]
    for number, file in enumerate(files):
        try:
            _compiled([file])
        except RegoError as error:
            return {"wrong": {"file": number, "said": str(error)}}
    # As text: a value is not escaped on its way in, and a whole number beyond 64 bits becomes another.
    term = json.dumps(question["input"], ensure_ascii=False)
    return {"answers": [_asked(ask, files, term) for ask in question["asks"]]}


def _asked(ask: dict[str, Any], files: list[dict[str, str]], term: str) -> dict[str, Any]:
    try:
        interpreter = _compiled([files[number] for number in ask["files"]])
        interpreter.set_input_term(term)
        return {"rules": _evaluated(interpreter, ask["package"])}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"error": str(error) if isinstance(error, _FailedError) else f"{type(error).__name__}: {error}"[:500]}


def _compiled(files: list[dict[str, str]]) -> Any:
    interpreter = Interpreter()
    interpreter.log_level = LogLevel.NONE
    # Else what a built-in function cannot do is a value that is not there, and the rule does not apply.
    interpreter.strict_built_in_errors = True
    for file in files:
        interpreter.add_module(file["name"], file["text"])
    return interpreter


def _evaluated(interpreter: Any, package: str) -> dict[str, Any]:
    """The values of all rules of a package. They are read node by node: the JSON of an output is not always JSON."""
    output = rego_shared.rego_query(interpreter._impl, f"data.{package}")  # noqa: SLF001 - query() reads that JSON
    if not rego_shared.rego_output_ok(output):
        raise _FailedError("a built-in function failed, or rules of one name do not agree")
    said = rego_shared.rego_output_string(output)
    if error := _ERROR.match(said):
        raise _FailedError(error[1])
    if said == "undefined":
        return {}
    value = _value(rego_shared.rego_output_expressions_at_index(output, 0))
    if not isinstance(value, dict):
        raise _FailedError("its rules have no values")
    return {name: held for name, held in value["pairs"] if isinstance(name, str)}


def _value(node: Any) -> Any:
    kind, size = rego_shared.rego_node_type(node), rego_shared.rego_node_size(node)
    children = [rego_shared.rego_node_get(node, number) for number in range(size)]
    kinds = rego_shared.NodeKind
    if kind == kinds.Object:
        parts = [[rego_shared.rego_node_get(child, 0), rego_shared.rego_node_get(child, 1)] for child in children]
        return {"pairs": [[_value(part) for part in pair] for pair in parts]}
    if kind in (kinds.Array, kinds.Set):
        return [_value(child) for child in children]
    if kind == kinds.String:
        return _unescaped(rego_shared.rego_node_value(node))
    if kind in (kinds.Int, kinds.Float, kinds.Boolean, kinds.Null):
        return json.loads(rego_shared.rego_node_value(node))
    if size == 1:
        return _value(children[0])  # what wraps another
    raise _FailedError("its result cannot be read")


def _unescaped(text: str) -> str:
    """A text as it is: they are kept as JSON escapes them, some that a built-in function has made in quotes, too."""
    for form in (f'"{text}"', text):
        with contextlib.suppress(ValueError):
            read = json.loads(form, strict=False)
            if isinstance(read, str):
                return read
    return text


def main() -> None:
    """Answer, on what is standard output now; what policies print goes to standard error."""
    answer = os.dup(1)
    os.dup2(2, 1)
    said = json.dumps(_answer(json.load(sys.stdin.buffer)))
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        file.write(said)


if __name__ == "__main__":
    main()
