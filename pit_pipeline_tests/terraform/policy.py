"""What IAM policies allow: an evaluator of the part of the policy language that terraform/ uses.

Here: identity policies and resource policies of one account, Allow and Deny, wildcards, the condition operators in
use. An operator or element that is not known raises, so that a policy is never judged by what was left out.
Not here: whether actions and ARNs exist (test_policy_text), boundaries, organisations, sessions.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]

_KNOWN = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Request:
    """One call: an action on a resource, by a principal (`AWS:arn`, `Service:name` ...), with its context keys."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    principal: str = "AWS:arn:aws:iam::111122223333:role/somebody"


def as_list(value: Any) -> list[Any]:
    """A policy element that may be one value or several."""
    return list(value) if isinstance(value, list | tuple) else [value]


def matches(pattern: str, value: str, *, any_case: bool = False) -> bool:
    """Whether IAM's wildcards * and ? match the whole value."""
    regex = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(regex, value, re.DOTALL | (re.IGNORECASE if any_case else 0)) is not None


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringLike": matches,
    "ArnEquals": matches,
    "ArnLike": matches,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
}


def _conditions_hold(statement: Statement, context: Mapping[str, str]) -> bool:
    return all(
        key in context and any(_OPERATORS[operator](wanted, context[key]) for wanted in as_list(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _names(principal: Any, caller: str) -> bool:
    if principal is None or principal == "*":
        return True
    kind, _, name = caller.partition(":")
    return any(
        matches(wanted, name) or (kind == "AWS" and wanted.endswith(":root") and wanted.split(":")[4] in name)
        for wanted in as_list(principal.get(kind, []))
    )


def applies(statement: Statement, request: Request) -> bool:
    """Whether a statement speaks of a request. Raises ValueError for an element that is not known here."""
    if unknown := set(statement) - _KNOWN:
        raise ValueError(f"this evaluator does not know {sorted(unknown)}")
    return (
        any(matches(action, request.action, any_case=True) for action in as_list(statement["Action"]))
        and any(matches(resource, request.resource) for resource in as_list(statement.get("Resource", "*")))
        and _names(statement.get("Principal"), request.principal)
        and _conditions_hold(statement, request.context)
    )


def allowed(statements: Iterable[Statement], request: Request) -> bool:
    """Whether statements together allow a request: one allows it and none denies it."""
    effects = {statement["Effect"] for statement in statements if applies(statement, request)}
    return effects == {"Allow"}
