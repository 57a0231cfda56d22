"""Whether a request may: the endpoint's policy and the resource's policy together, and AWS's words where it may not. Pure.

    endpoint's policy   must allow, unless the request came without an endpoint
    resource's policy   must not deny; an unsigned request needs its permission
    identity's policies the lab's callers are administrators of the account, so they allow everything (assumed)

Sources: IAM user guide, "Policy evaluation logic", "Troubleshoot access denied error messages"; PrivateLink guide, "Control access to VPC endpoints
using endpoint policies"; S3 user guide, "Controlling access from VPC endpoints with bucket policies"; S3, DynamoDB, SQS, KMS API references, "Common errors" (documented).
NOT MODELLED: signatures (any access key is the lab's administrator, and no key at all is anonymous), key policies of KMS, resource policies of SQS and DynamoDB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

import msgspec

from services.aws.policy import ANONYMOUS, Effect, Policy, Request

SIGNED = "AWS4-HMAC-SHA256"
PRINCIPAL_NAME = "lab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """By which way a request came: through an endpoint of a VPC, or over the internet. `source` is the client's address, `secure` TLS."""

    source: str
    secure: bool
    endpoint: str | None = None
    vpc: str | None = None


def principal(authorization: str, query: str, account: str) -> str:
    """Whose request it is: the administrator's, or nobody's."""
    signed = authorization.startswith("AWS") or "X-Amz-Signature=" in query or "Signature=" in query
    return f"arn:aws:iam::{account}:user/{PRINCIPAL_NAME}" if signed else ANONYMOUS


def context(way: Way, caller: str, account: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The condition keys. Through an endpoint ``aws:SourceIp`` is absent and ``aws:VpcSourceIp`` is there (IAM user guide, "AWS global condition context keys")."""
    keys = {"aws:securetransport": "true" if way.secure else "false", **{name.lower(): value for name, value in extra.items()}}
    if caller != ANONYMOUS:
        keys |= {"aws:principalarn": caller, "aws:principalaccount": account}
    if way.endpoint is None:
        return keys | {"aws:sourceip": way.source}
    return keys | {"aws:sourcevpce": way.endpoint, "aws:sourcevpc": way.vpc or "", "aws:vpcsourceip": way.source}


def refusal(request: Request, endpoint_policy: Policy | None, resource_policy: Policy | None) -> str | None:
    """Why the request is denied, in AWS's words; None if it may."""
    if endpoint_policy is not None:
        said = endpoint_policy.evaluate(request)
        if said is Effect.DENY:
            return _because(request, "with an explicit deny in a VPC endpoint policy")
        if said is Effect.SILENT:
            return _because(request, f"because no VPC endpoint policy allows the {request.action} action")
    said = Effect.SILENT if resource_policy is None else resource_policy.evaluate(request)
    if said is Effect.DENY:
        return _because(request, "with an explicit deny in a resource-based policy")
    if said is Effect.SILENT and request.principal == ANONYMOUS:
        return "Access Denied"
    return None


def _because(request: Request, why: str) -> str:
    if request.principal == ANONYMOUS:
        return "Access Denied"
    return f'User: {request.principal} is not authorized to perform: {request.action} on resource: "{request.resource}" {why}'


def denied(service: str, message: str, request_id: str) -> tuple[int, str, bytes]:
    """Status, content type and body of a refusal: S3's XML with 403, the others' JSON with 400."""
    return (403, "application/xml", xml_error("AccessDenied", message, request_id)) if service == "s3" else (400, "application/x-amz-json-1.0", json_error("AccessDeniedException", message))


def xml_error(code: str, message: str, request_id: str) -> bytes:
    """S3's error document (S3 API reference, "Error responses")."""
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>'
    return document.encode()


def json_error(code: str, message: str) -> bytes:
    """The JSON protocol's error document."""
    return msgspec.json.encode({"__type": f"com.amazon.coral.service#{code}", "message": message})
