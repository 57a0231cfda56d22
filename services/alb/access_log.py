"""An access log line of one request, as AWS writes it. Pure.

Times are seconds with three decimals; ``-1`` where the request never got so far, ``-`` where there is nothing to say. Quoted fields have their control
characters, quotes and backslashes escaped as ``\\xHH``.
Source: ELB user guide, "Access logs for your Application Load Balancer" (documented); fields 31 to 33 observed. Sizes count heads and
bodies as parsed; request_processing_time is what this balancer took until it had chosen a target, response_processing_time is always 0.000 (both assumed).
NOT MODELLED: the 5-minute files in S3 (lines are told as they come); connection logs (Python tells a server nothing of a handshake that failed).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_ESCAPED = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')
FIELDS = (
    "type", "time", "elb", "client:port", "target:port", "request_processing_time", "target_processing_time", "response_processing_time", "elb_status_code",
    "target_status_code", "received_bytes", "sent_bytes", "request", "user_agent", "ssl_cipher", "ssl_protocol", "target_group_arn", "trace_id", "domain_name",
    "chosen_cert_arn", "matched_rule_priority", "request_creation_time", "actions_executed", "redirect_url", "error_reason", "target:port_list",
    "target_status_code_list", "classification", "classification_reason", "conn_trace_id", "transformed_host", "transformed_uri", "request_transform_status",
)  # fmt: skip
QUOTED = frozenset({
    "request", "user_agent", "trace_id", "domain_name", "chosen_cert_arn", "actions_executed", "redirect_url", "error_reason", "target:port_list",
    "target_status_code_list", "classification", "classification_reason", "transformed_host", "transformed_uri", "request_transform_status",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a line says. Times of day are seconds since the epoch, spans seconds; None and empty are told as AWS tells them."""

    kind: str
    """``http``, ``https``, ``h2``, ``ws`` or ``wss``."""
    ended_at: float
    created_at: float
    elb: str
    client: str
    target: str
    request_s: float | None
    target_s: float | None
    status: int
    target_status: int | None
    received_bytes: int
    sent_bytes: int
    request: str
    user_agent: str
    tls: tuple[str, str] | None
    """(cipher, protocol)."""
    target_group_arn: str
    trace_id: str
    domain_name: str
    certificate_arn: str
    rule_priority: int | None
    action: str
    redirect_url: str
    error_reason: str
    classification: str
    classification_reason: str
    connection_id: str
    transformed_host: str = ""
    transformed_uri: str = ""
    transform_status: str = ""


def line(entry: Entry) -> str:
    """The 33 fields, in AWS's order."""
    answered = entry.target_s is not None
    values = {
        "type": entry.kind,
        "time": _time(entry.ended_at),
        "elb": entry.elb,
        "client:port": entry.client,
        "target:port": entry.target,
        "request_processing_time": _span(entry.request_s if entry.target else None),
        "target_processing_time": _span(entry.target_s),
        "response_processing_time": "0.000" if answered else "-1",
        "elb_status_code": str(entry.status),
        "target_status_code": "" if entry.target_status is None else str(entry.target_status),
        "received_bytes": str(entry.received_bytes),
        "sent_bytes": str(entry.sent_bytes),
        "request": entry.request,
        "user_agent": entry.user_agent,
        "ssl_cipher": entry.tls[0] if entry.tls else "",
        "ssl_protocol": entry.tls[1] if entry.tls else "",
        "target_group_arn": entry.target_group_arn,
        "trace_id": entry.trace_id,
        "domain_name": entry.domain_name,
        "chosen_cert_arn": entry.certificate_arn,
        "matched_rule_priority": "" if entry.rule_priority is None else str(entry.rule_priority),
        "request_creation_time": _time(entry.created_at),
        "actions_executed": entry.action,
        "redirect_url": entry.redirect_url,
        "error_reason": entry.error_reason,
        "target:port_list": entry.target,
        "target_status_code_list": "" if entry.target_status is None else str(entry.target_status),
        "classification": entry.classification,
        "classification_reason": entry.classification_reason,
        "conn_trace_id": entry.connection_id,
        "transformed_host": entry.transformed_host,
        "transformed_uri": entry.transformed_uri,
        "request_transform_status": entry.transform_status,
    }
    return " ".join(f'"{_escaped(value)}"' if field in QUOTED else value for field in FIELDS for value in (values.get(field) or "-",))


def _time(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _span(seconds: float | None) -> str:
    return "-1" if seconds is None else f"{seconds:.3f}"


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
