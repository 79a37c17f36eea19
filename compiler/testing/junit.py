"""The results as JUnit XML, in the form that Jenkins, GitLab and GitHub's actions read.

One `testsuite` for each device class, one `testcase` for each artifact. Nothing in it is of this machine but the times.
"""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree

from compiler.testing.result import Result, Status
from compiler.testing.shown import answers_text, memory_text

_UNWRITABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say, escaped or not."""


def junit_xml(results: list[Result]) -> bytes:
    """In the order of the results, which is that of the classes."""
    root = ElementTree.Element("testsuites", {"name": "slmc test", **_counts(results)})
    for name, members in groupby(results, key=lambda result: result.case.device_class.name):
        listed = list(members)
        suite = ElementTree.SubElement(root, "testsuite", {"name": name, **_counts(listed)})
        for result in listed:
            _case(suite, result)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ElementTree.Element, result: Result) -> None:
    case = result.case
    names = {"classname": case.device_class.name, "name": f"{case.run.name}: {case.artifact.name}"}
    element = ElementTree.SubElement(suite, "testcase", {**names, "time": _time([result])})
    if result.status is Status.SKIPPED:
        ElementTree.SubElement(element, "skipped", {"message": _plain(result.reason or "")})
        return
    if result.fault and result.finding:
        told = {"message": _plain(result.finding.message), "type": f"{result.fault.code.id} {result.fault.code.slug}"}
        ElementTree.SubElement(element, "failure", told).text = _plain(f"{result.finding.message}\n{result.fault.help}")
    if result.how:
        lines = [f"how: {result.how}", f"memory: {memory_text(result)}", f"golden answers: {answers_text(result)}"]
        lines += [f"limits not enforced: {result.unenforced}"] if result.unenforced else []
        ElementTree.SubElement(element, "system-out").text = _plain("\n".join(lines))


def _counts(results: list[Result]) -> dict[str, str]:
    counted = {status: sum(result.status is status for result in results) for status in Status}
    return {
        "tests": str(len(results)),
        "failures": str(counted[Status.FAILED]),
        "errors": "0",
        "skipped": str(counted[Status.SKIPPED]),
        "time": _time(results),
    }


def _time(results: list[Result]) -> str:
    return f"{sum(result.seconds for result in results):.3f}"


def _plain(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
