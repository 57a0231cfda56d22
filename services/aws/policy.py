"""IAM policies: parse one, and say what it makes of one request.

    any matching statement with Deny ─▶ DENY        else one with Allow ─▶ ALLOW        else ─▶ SILENT (an implicit deny)

A statement matches if its principal, action, resource and every condition match. A condition's values are alternatives for a positive operator;
for a negated one (``StringNotEquals``) none of them may match, and an absent key satisfies it. ``…IfExists`` is satisfied by an absent key.
``ForAnyValue:…`` is never satisfied by an absent key, ``ForAllValues:…`` always; no key here has more than one value, so there they are like the bare operator.
Names of keys and actions ignore case, values and resources do not.
Sources: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators", "… Principal", "… Resource" (documented).
NOT MODELLED: keys of several values (``aws:TagKeys``, ``dynamodb:Attributes``: absent here), policy variables (``${aws:username}``), date and binary operators,
the limits of size. A policy with variables or such operators is refused, not half understood.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

import msgspec

VERSIONS = ("2008-10-17", "2012-10-17")
ELEMENTS = frozenset(("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"))
ACCOUNT_ROOT = re.compile(r"arn:aws:iam::([0-9]{12}):root")
WHEN_ABSENT: Mapping[str, bool | None] = {"": None, "ForAnyValue": False, "ForAllValues": True}
"""Set operators, and whether they hold for an absent key ("Multivalued context keys"; documented)."""
ANONYMOUS = "anonymous"
"""The principal of an unsigned request: only ``*`` names it."""


class Effect(enum.Enum):
    ALLOW = "Allow"
    DENY = "Deny"
    SILENT = "neither"


class PolicyError(Exception):
    """A policy that AWS would refuse as malformed, or that is not modelled; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked: ``s3:GetObject`` on an ARN (``*`` where the action has no resource), by an ARN. `context` holds condition keys, lower case; absent ones are not in it."""

    principal: str
    account: str
    action: str
    resource: str
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One operator on one key. `key` is lower case; `absent` is what an absent key means, None where the operator says."""

    operator: str
    absent: bool | None
    key: str
    values: tuple[str, ...]

    def holds(self, context: Mapping[str, str]) -> bool:
        value = context.get(self.key)
        if self.operator == "Null":
            return (value is None) == (self.values[0].lower() == "true")
        negated, matches = OPERATORS[self.operator]
        if value is None:
            return negated if self.absent is None else self.absent
        return any(matches(value, wanted) for wanted in self.values) != negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement. `principals` None: the policy's kind has none (identity policies), so everyone; the ``not_`` flags invert an element."""

    effect: Effect
    principals: tuple[str, ...] | None
    not_principals: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    conditions: tuple[Condition, ...]

    def matches(self, request: Request) -> bool:
        named = self.principals is None or any(_is(request, principal) for principal in self.principals)
        return (
            named != self.not_principals
            and any(_like(request.action.lower(), action.lower()) for action in self.actions) != self.not_actions
            and any(_like(request.resource, resource) for resource in self.resources) != self.not_resources
            and all(condition.holds(request.context) for condition in self.conditions)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy's statements, in the order written, which means nothing."""

    statements: tuple[Statement, ...]

    def evaluate(self, request: Request) -> Effect:
        """What the policy says to the request."""
        effects = {statement.effect for statement in self.statements if statement.matches(request)}
        return Effect.DENY if Effect.DENY in effects else Effect.ALLOW if Effect.ALLOW in effects else Effect.SILENT


@lru_cache(maxsize=256)
def parse(text: str) -> Policy:
    """The policy in a JSON document. Raises PolicyError."""
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise PolicyError(f"not JSON: {error}") from error
    if not isinstance(document, dict) or "Statement" not in document:
        raise PolicyError("a policy is an object with a Statement")
    if document.get("Version", VERSIONS[0]) not in VERSIONS:
        raise PolicyError(f"Version {document['Version']!r} is not {' or '.join(VERSIONS)}")
    written = document["Statement"]
    return Policy(statements=tuple(_statement(item) for item in (written if isinstance(written, list) else [written])))


def _statement(written: object) -> Statement:
    if not isinstance(written, dict):
        raise PolicyError("a statement is an object")
    unknown = sorted(set(written) - ELEMENTS)
    if unknown:
        raise PolicyError(f"unknown element {unknown[0]!r}")
    if written.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("Effect is Allow or Deny")
    actions, not_actions = _one_of(written, "Action")
    resources, not_resources = _one_of(written, "Resource", default=("*",))
    return Statement(
        effect=Effect(written["Effect"]),
        principals=_principals(written.get("NotPrincipal", written.get("Principal"))),
        not_principals="NotPrincipal" in written,
        actions=actions,
        not_actions=not_actions,
        resources=resources,
        not_resources=not_resources,
        conditions=tuple(_conditions(written.get("Condition", {}))),
    )


def _one_of(written: dict[object, object], name: str, default: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], bool]:
    """The values of an element or of its inversion, and whether it was the inversion."""
    inverse = f"Not{name}"
    if name in written and inverse in written:
        raise PolicyError(f"{name} and {inverse} in one statement")
    if name not in written and inverse not in written:
        if default is None:
            raise PolicyError(f"a statement without {name}")
        return default, False
    return _strings(written.get(name, written.get(inverse)), name), inverse in written


def _principals(written: object) -> tuple[str, ...] | None:
    if written is None:
        return None
    if isinstance(written, str):
        if written != "*":
            raise PolicyError('a Principal is "*" or an object such as {"AWS": "arn:…"}')
        return ("*",)
    if not isinstance(written, dict):
        raise PolicyError("Principal is neither a string nor an object")
    return tuple(value for kind, values in written.items() for value in _strings(values, f"Principal {kind}"))


def _conditions(written: object) -> list[Condition]:
    if not isinstance(written, dict):
        raise PolicyError("Condition is an object")
    found = []
    for name, keys in written.items():
        quantifier, _, bare = name.rpartition(":")
        operator = bare.removesuffix("IfExists")
        if quantifier not in WHEN_ABSENT or (quantifier and operator == "Null"):
            raise PolicyError(f"condition operator {name!r} is unknown")
        absent = True if operator != bare else WHEN_ABSENT[quantifier]
        if operator not in OPERATORS and operator != "Null":
            raise PolicyError(f"condition operator {name!r} is unknown or not modelled")
        if not isinstance(keys, dict):
            raise PolicyError(f"{name} is not an object")
        found += [Condition(operator=operator, absent=absent, key=key.lower(), values=_checked(operator, _strings(values, key))) for key, values in keys.items()]
    return found


def _strings(written: object, name: str) -> tuple[str, ...]:
    values = written if isinstance(written, list) else [written]
    texts = tuple(("true" if value else "false") if isinstance(value, bool) else str(value) for value in values if isinstance(value, (str, bool, int)))
    if not values or len(texts) != len(values):
        raise PolicyError(f"{name} is no string, nor a list of strings")
    if any("${" in text for text in texts):
        raise PolicyError(f"{name} has a policy variable, which is not modelled")
    return texts


def _checked(operator: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if operator in ("IpAddress", "NotIpAddress"):
        for value in values:
            try:
                ip_network(value, strict=False)
            except ValueError as error:
                raise PolicyError(f"{value!r} is no address range") from error
    return values


def _is(request: Request, principal: str) -> bool:
    """Whether the caller is meant. An account's id or root stands for all of the account (IAM user guide, "AWS JSON policy elements: Principal")."""
    if principal == "*":
        return True
    root = ACCOUNT_ROOT.fullmatch(principal)
    account = root.group(1) if root else principal
    return request.principal != ANONYMOUS and (request.principal == principal or request.account == account)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _in_range(value: str, wanted: str) -> bool:
    return ip_address(value) in ip_network(wanted, strict=False)


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def matches(value: str, wanted: str) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return matches


Matches = Callable[[str, str], bool]
_EQUAL: Matches = lambda value, wanted: value == wanted  # noqa: E731
_EQUAL_IGNORING_CASE: Matches = lambda value, wanted: value.lower() == wanted.lower()  # noqa: E731
OPERATORS: dict[str, tuple[bool, Matches]] = {
    "StringEquals": (False, _EQUAL),
    "StringNotEquals": (True, _EQUAL),
    "StringEqualsIgnoreCase": (False, _EQUAL_IGNORING_CASE),
    "StringNotEqualsIgnoreCase": (True, _EQUAL_IGNORING_CASE),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
    "ArnEquals": (False, _like),
    "ArnLike": (False, _like),
    "ArnNotEquals": (True, _like),
    "ArnNotLike": (True, _like),
    "IpAddress": (False, _in_range),
    "NotIpAddress": (True, _in_range),
    "Bool": (False, _EQUAL_IGNORING_CASE),
    "NumericEquals": (False, _number(lambda a, b: a == b)),
    "NumericLessThanEquals": (False, _number(lambda a, b: a <= b)),
    "NumericGreaterThan": (False, _number(lambda a, b: a > b)),
}
"""Operator → whether it is negated, and how a value is held against one of the policy's."""
