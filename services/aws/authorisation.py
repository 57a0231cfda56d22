"""Whether a request may: the endpoint's policy and the resource's policy together, and AWS's words where it may not. Pure.

    endpoint's policy   must allow, unless the request came without an endpoint
    resource's policy   must not deny; an unsigned request needs its permission, and so does every request to a KMS key
    identity's policies the lab's callers are administrators of the account, so they allow everything (assumed)

Sources: IAM user guide, "Policy evaluation logic", "Troubleshoot access denied error messages"; PrivateLink guide, "Control access to VPC endpoints
using endpoint policies"; S3 user guide, "Controlling access from VPC endpoints with bucket policies"; SQS developer guide, "Basic examples of Amazon SQS policies";
KMS developer guide, "Key policies in AWS KMS", "Connect to AWS KMS through a VPC endpoint"; DynamoDB developer guide, "Using resource-based policies" (documented).
NOT MODELLED: signatures (any access key is the lab's administrator, and no key at all is anonymous); grants of KMS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.aws.policy import ANONYMOUS, Effect, Policy, Request

SIGNED = "AWS4-HMAC-SHA256"
PRINCIPAL_NAME = "lab"
ONLY_SIGNED: Mapping[str, str] = {"dynamodb": "Request is missing Authentication Token", "kms": "Request is missing Authentication Token"}
"""Services that look at no unsigned request, with what they say."""
ACCESS_DENIED, MISSING_TOKEN = "AccessDenied", "MissingAuthenticationToken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """By which way a request came: through an endpoint of a VPC, or over the internet. `source` is the client's address, `secure` TLS."""

    source: str
    secure: bool
    endpoint: str | None = None
    vpc: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """AWS's code, and its words."""

    code: str
    message: str


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


def refusal(request: Request, endpoint_policy: Policy | None, resource_policy: Policy | None) -> Refusal | None:
    """Why the request is denied; None if it may."""
    service = request.action.partition(":")[0]
    if request.principal == ANONYMOUS and service in ONLY_SIGNED:
        return Refusal(code=MISSING_TOKEN, message=ONLY_SIGNED[service])
    if endpoint_policy is not None:
        said = endpoint_policy.evaluate(request)
        if said is Effect.DENY:
            return _because(request, "with an explicit deny in a VPC endpoint policy")
        if said is Effect.SILENT:
            return _because(request, f"because no VPC endpoint policy allows the {_action(request)} action")
    said = Effect.SILENT if resource_policy is None else resource_policy.evaluate(request)
    if said is Effect.DENY:
        return _because(request, "with an explicit deny in a resource-based policy")
    if said is Effect.SILENT and (request.principal == ANONYMOUS or (service == "kms" and resource_policy is not None)):
        return _because(request, f"because no resource-based policy allows the {_action(request)} action")
    return None


def locks_out(request: Request, policy: Policy) -> bool:
    """Whether a key's new policy would keep this caller from changing it ever again (KMS API reference, "PutKeyPolicy": the lockout safety check; documented)."""
    again = Request(principal=request.principal, account=request.account, action="kms:PutKeyPolicy", resource=request.resource, context=request.context)
    return policy.evaluate(again) is not Effect.ALLOW


def _because(request: Request, why: str) -> Refusal:
    service = request.action.partition(":")[0]
    if request.principal == ANONYMOUS:
        return Refusal(code=ACCESS_DENIED, message="Access Denied" if service == "s3" else f"Access to the resource {request.resource} is denied.")
    resource = f'"{request.resource}"' if service == "s3" else request.resource
    return Refusal(code=ACCESS_DENIED, message=f"User: {request.principal} is not authorized to perform: {_action(request)} on resource: {resource} {why}")


def _action(request: Request) -> str:
    """As the service writes it: SQS in lower case (known, unconfirmed)."""
    return request.action.lower() if request.action.startswith("sqs:") else request.action
