"""Tell a limit of the emulator from a mistake in the stack."""

from __future__ import annotations

import re

LIMIT_CODE = "EmulatorLimit"
FAILURE_CODE = "EmulatorFailure"

_OURS = re.compile(rf"{LIMIT_CODE}: (?P<what>.+?) is not emulated")
_FAILED = re.compile(rf"{FAILURE_CODE}: (?P<what>.+?) failed in the emulator \((?P<why>.*)\)")
_THEIRS = re.compile(
    r"api error (?:NotImplemented|NotYetImplemented|UnknownOperation(?:Exception)?|InvalidAction)\b"
    r"|has not been implemented|not yet implemented|StatusCode: 501\b",
    re.IGNORECASE,
)
_OPERATION = re.compile(r"operation error (?P<service>[\w -]+): (?P<operation>\w+)")


def emulator_limit(diagnostic_text: str) -> str | None:
    """One sentence, where a diagnostic of Terraform comes from something that the emulator cannot do; None otherwise.

    *diagnostic_text* is summary and detail, wrapped or not.
    """
    text = " ".join(diagnostic_text.split())
    ours, failed = _OURS.search(text), _FAILED.search(text)
    if not (ours or failed or _THEIRS.search(text)):
        return None
    # The SDK's name for the call says more than what the emulator makes of the request.
    call = _OPERATION.search(text)
    found = ours or failed
    what = f"{call['service']} {call['operation']}" if call else found["what"] if found else "A call"
    if failed:
        return f"{what} made the emulator fail ({failed['why']}): a defect of the emulator, not of the stack."
    return f"{what} is not emulated: the sandbox cannot try this resource; the real AWS may well have it."
