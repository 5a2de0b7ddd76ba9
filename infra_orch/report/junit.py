"""A preview as JUnit's XML, which every CI shows: a suite for each stack, a case for each unit and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from infra_orch.report.comment import Node, does, resource_lines
from infra_orch.report.style import safe

_FAILURES = ("failed", "refused", "blocked", "cancelled")


def junit(stacks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the documents of runs (schema run-document-1), by the names of the stacks' folders, as XML.

    What failed, was refused, or waits for what did is a failure; what could not be planned yet is skipped.
    """
    root = ET.Element("testsuites", name="infra-orch preview")
    for stack, run in stacks.items():
        suite = ET.SubElement(root, "testsuite", name=stack, time=f"{run['duration_s']:.2f}", timestamp=run["at"])
        for name, node in {**run["units"], **run["tasks"]}.items():
            _case(suite, stack, name, node)
        _count(suite)
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, stack: str, name: str, node: Node) -> None:
    case = ET.SubElement(suite, "testcase", classname=stack, name=name, time=f"{node['duration_s']:.2f}")
    error, status = node["error"] or {}, node["status"]
    summary = safe(str(error.get("summary", "")), keep_newlines=False)
    if status in _FAILURES:
        failure = ET.SubElement(case, "failure", type=status, message=summary or status)
        failure.text = safe("\n".join(filter(None, (summary, error.get("detail"), error.get("hint")))))
    elif status == "deferred":
        ET.SubElement(case, "skipped", message=summary or status)
    if "changes" in node and (lines := [does(node), *resource_lines(node)]):
        ET.SubElement(case, "system-out").text = "\n".join(lines)


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    element.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
