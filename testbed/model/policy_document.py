"""Policy documents as a topology holds them: JSON text. What they mean is decided where they are enforced (`services/aws/policy.py`).

Source: IAM user guide, "Grammar of the IAM JSON policy language"; PrivateLink guide, "PrivateLink quotas" (documented).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from testbed.model.values import Fault

LONGEST_ENDPOINT_POLICY = 20_480
LONGEST_BUCKET_POLICY = 20 * 1024


def policy_text(value: Mapping[str, object] | str | None) -> str | None:
    """The document as canonical JSON text, whether it was written as JSON or as a dictionary; text that is no JSON stays as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return str(value)
    return None if value is None else json.dumps(value, separators=(",", ":"), sort_keys=True)


def policy_faults(resource: str, name: str, text: str | None, longest: int) -> Iterator[Fault]:
    """What is wrong with a document's form."""
    if text is None:
        return
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        yield Fault(resource=resource, problem=f"{name} is not JSON: {error}", remedy="write it as IAM shows it, or as a dictionary")
        return
    if len(text) > longest:
        yield Fault(resource=resource, problem=f"{name} has {len(text)} characters", remedy=f"AWS takes {longest} at most: shorten it")
    statements = document.get("Statement") if isinstance(document, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not all(isinstance(statement, dict) and statement.get("Effect") in ("Allow", "Deny") for statement in statements):
        yield Fault(resource=resource, problem=f"{name} has no Statement with an Effect", remedy='write {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", …}]}')
