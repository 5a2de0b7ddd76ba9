"""The policy of a bucket for states: whether it asks for TLS, whom it lets in, and the statement that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def tls_only(arn: str, sid: str) -> dict[str, Any]:
    """Return the statement, called *sid*, that refuses everybody who does not come to the bucket *arn* by TLS."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def statements(policy: Mapping[str, Any] | None) -> list[Any]:
    """Return the statements of a policy, of which there may be one that stands alone; none of no policy."""
    found = (policy or {}).get("Statement", [])
    return found if isinstance(found, list) else [found]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_anybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    if "NotPrincipal" in statement:
        return statement.get("Effect") == "Allow"  # all but a few; in a Deny, those few go free
    return principal == "*" or (isinstance(principal, Mapping) and "*" in _listed(principal.get("AWS")))


def refuses_plain(statement: Mapping[str, Any], arn: str) -> bool:
    """Return whether a statement refuses all that does not come to the bucket *arn* by TLS, and not only some of it."""
    whole = {arn, f"{arn}/*"} <= {*map(str, _listed(statement.get("Resource")))} or statement.get("Resource") == "*"
    condition = statement.get("Condition")
    alone = condition if isinstance(condition, Mapping) and len(condition) == 1 else {}
    # Every request says whether it came by TLS, so the two mean the same.
    plain = alone.get("Bool") or alone.get("BoolIfExists")
    names = {str(key).lower(): _listed(value) for key, value in plain.items()} if isinstance(plain, Mapping) else {}
    asks = names.keys() == {"aws:securetransport"} and [str(one).lower() for one in names["aws:securetransport"]]
    return (
        statement.get("Effect") == "Deny"
        and _is_anybody(statement)
        and not {"s3:*", "*"}.isdisjoint(map(str, _listed(statement.get("Action"))))
        and whole
        and asks == ["false"]
    )


def lets_anybody_in(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement allows everybody something, without a condition."""
    return statement.get("Effect") == "Allow" and _is_anybody(statement) and not statement.get("Condition")
