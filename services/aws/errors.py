"""Errors in each service's own form: S3's XML, SQS's two protocols, DynamoDB's and KMS's JSON. Pure.

    S3         403   <Error><Code>AccessDenied</Code>…
    SQS        403   {"__type": "com.amazon.coral.service#AccessDeniedException", …} and x-amzn-query-error: AccessDenied;Sender
                     <ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>… to the query protocol
    DynamoDB   400   {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": …}
    KMS        400   {"__type": "AccessDeniedException", "Message": …}

Source: S3 API reference, "Error responses"; SQS, DynamoDB, KMS API references, "Common errors"; Smithy, "AWS query compatible" (documented). The exact bodies of refusals,
and SQS's status in the JSON protocol, are as clients report them (known, unconfirmed).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from xml.sax.saxutils import escape

import msgspec

SENDER = "Sender"
EXCEPTION = "Exception"
S3 = "s3"
SQS_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
CORAL = "com.amazon.coral.service#"
JSON_TYPES = {"sqs": "application/x-amz-json-1.0", "dynamodb": "application/x-amz-json-1.0", "kms": "application/x-amz-json-1.1"}


class Protocol(enum.Enum):
    """How a service is asked, and answers."""

    XML = "S3's"
    QUERY = "query"
    JSON = "JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: `headers` besides the request's id."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def protocol(service: str, target: str) -> Protocol:
    """By which protocol a request speaks; `target` is its X-Amz-Target."""
    if service == S3:
        return Protocol.XML
    return Protocol.JSON if target or service != "sqs" else Protocol.QUERY


def access_denied(service: str, spoken: Protocol, message: str, request_id: str) -> Answer:
    """A refusal by policies."""
    return error(service, spoken, 403 if service in (S3, "sqs") else 400, "AccessDenied", message, request_id)


def error(service: str, spoken: Protocol, status: int, code: str, message: str, request_id: str) -> Answer:
    """An error; `code` is without JSON's ``Exception``."""
    if spoken is Protocol.XML:
        return _answer(status, "application/xml", xml_error(code, message, request_id))
    if spoken is Protocol.QUERY:
        return _answer(status, "text/xml", _query_error(code, message, request_id))
    prefix = "" if service == "kms" else CORAL
    name = code if code.startswith("InvalidAttribute") else f"{code}{EXCEPTION}"
    document = {"__type": f"{prefix}{name}", "message" if service == "sqs" else "Message": message}
    compatible = ((b"x-amzn-query-error", f"{code};{SENDER}".encode()),) if service == "sqs" else ()
    return _answer(status, JSON_TYPES.get(service, JSON_TYPES["sqs"]), msgspec.json.encode(document), compatible)


def xml_error(code: str, message: str, request_id: str) -> bytes:
    """S3's error document."""
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>'
    return document.encode()


def _query_error(code: str, message: str, request_id: str) -> bytes:
    inside = f"<Error><Type>{SENDER}</Type><Code>{code}</Code><Message>{escape(message)}</Message><Detail/></Error><RequestId>{request_id}</RequestId>"
    return f'<?xml version="1.0"?><ErrorResponse xmlns="{SQS_NAMESPACE}">{inside}</ErrorResponse>'.encode()


def _answer(status: int, content_type: str, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    return Answer(status=status, headers=((b"Content-Type", content_type.encode()), *more), body=body)
