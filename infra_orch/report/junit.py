"""A preview as JUnit's XML, which every CI shows: a suite for each stack, a case for each unit and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from infra_orch.record.read import read_outcomes
from infra_orch.report.comment import does, resource_lines
from infra_orch.report.style import safe
from infra_orch.run.outcome import Failure, Outcome, Status

_FAILURES = (Status.FAILED, Status.REFUSED, Status.BLOCKED, Status.CANCELLED)


def junit(stacks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the documents of runs (schema run-document-1), by the names of the stacks' folders, as XML.

    What failed, was refused, or waits for what did is a failure; what could not be planned yet is skipped.
    """
    root = ET.Element("testsuites", name="infra-orch preview")
    for stack, run in stacks.items():
        suite = ET.SubElement(root, "testsuite", name=stack, time=f"{run['duration_s']:.2f}", timestamp=run["at"])
        for node in read_outcomes(run).values():
            _case(suite, stack, node)
        _count(suite)
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, stack: str, node: Outcome) -> None:
    case = ET.SubElement(suite, "testcase", classname=stack, name=node.name, time=f"{node.duration:.2f}")
    told = node.failure or Failure(str(node.status))
    summary = safe(told.summary, keep_newlines=False)
    if node.status in _FAILURES:
        failure = ET.SubElement(case, "failure", type=node.status, message=summary)
        failure.text = safe("\n".join(filter(None, (summary, told.detail, told.hint))))
    elif node.status is Status.DEFERRED:
        ET.SubElement(case, "skipped", message=summary)
    if not node.is_task:
        ET.SubElement(case, "system-out").text = "\n".join([does(node), *resource_lines(node)])


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    element.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
