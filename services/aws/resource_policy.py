"""The resource-based policy that judges a call: asked of the state once, and remembered until a call may have changed it.

    S3    bucket policy   GET ?policy              SQS        queue policy   GetQueueAttributes
    KMS   key policy      GetKeyPolicy             DynamoDB   table policy   GetResourcePolicy

A key's alias is followed first. Whatever changes some policy of a service makes all of that service's forgotten: they are few.
NOT MODELLED: policies of S3 access points, of DynamoDB streams (an index has its table's), grants of KMS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from services.aws.call import ALIAS
from services.aws.policy import Policy, parse
from services.common.http.call import UpstreamRequest
from services.common.http.upstream import WholeResponse

TARGETS = {"sqs": "AmazonSQS", "kms": "TrentService", "dynamodb": "DynamoDB_20120810"}
FOUND = 200
Ask = Callable[[str, UpstreamRequest], Awaitable[WholeResponse]]
"""The state's answer to a request of a service."""


class ResourcePolicies:
    """What is known of a Region's resource-based policies."""

    def __init__(self, region: str, ask: Ask) -> None:
        self._region = region
        self._ask = ask
        self._known: dict[tuple[str, str], str | None] = {}

    async def of(self, service: str, holder: str) -> Policy | None:
        """The policy of a bucket, queue, key or table; None if it has none, or if there is no such thing (the state will say so). Raises UpstreamError."""
        key = service, holder
        if key not in self._known:
            self._known[key] = await self._read(service, holder)
        text = self._known[key]
        return None if text is None else parse(text)

    def forget(self, service: str) -> None:
        """Some of them may have changed."""
        self._known = {key: text for key, text in self._known.items() if key[0] != service}

    def forget_all(self) -> None:
        """The state is another one."""
        self._known.clear()

    async def _read(self, service: str, holder: str) -> str | None:
        if service == "s3":
            response = await self._ask(service, UpstreamRequest(b"GET", f"/{holder}?policy".encode(), [(b"Host", self._host(service))]))
            return response.body.decode() if response.head.status == FOUND else None
        if service == "sqs":
            told = await self._asked(service, "GetQueueAttributes", QueueUrl=f"https://{self._host(service).decode()}/{holder}", AttributeNames=["Policy"])
            return _text(_inside(told, "Attributes"), "Policy")
        if service == "dynamodb":
            return _text(await self._asked(service, "GetResourcePolicy", ResourceArn=holder), "Policy")
        key: str | None = holder
        if ALIAS in holder:
            key = _text(_inside(await self._asked(service, "DescribeKey", KeyId=holder), "KeyMetadata"), "KeyId")
        return None if key is None else _text(await self._asked(service, "GetKeyPolicy", KeyId=key, PolicyName="default"), "Policy")

    async def _asked(self, service: str, action: str, **fields: object) -> dict[str, object]:
        """The answer of a JSON service, empty if it is an error. The state finds its Region in the signature."""
        body = msgspec.json.encode(fields)
        headers = [
            (b"Host", self._host(service)),
            (b"X-Amz-Target", f"{TARGETS[service]}.{action}".encode()),
            (b"Content-Type", b"application/x-amz-json-1.0"),
            (b"Authorization", f"AWS4-HMAC-SHA256 Credential=front/20260101/{self._region}/{service}/aws4_request, SignedHeaders=host, Signature=0".encode()),
        ]
        response = await self._ask(service, UpstreamRequest(b"POST", b"/", headers, body=body, content_length=len(body)))
        return msgspec.json.decode(response.body, type=dict[str, object]) if response.head.status == FOUND else {}

    def _host(self, service: str) -> bytes:
        return f"{service}.{self._region}.amazonaws.com".encode()


def _inside(document: dict[str, object], name: str) -> dict[str, object]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _text(document: dict[str, object], name: str) -> str | None:
    found = document.get(name)
    return found if isinstance(found, str) and found else None
