"""What a daemon tells: JSON lines, one event each, appended to its log.

Every event has ``t`` (seconds since the epoch, wall clock, microseconds), ``service``, ``event`` and fields of its own. The kinds of
events are constants here, because `testbed.observe` reads what daemons write. Fields of one exchange are linked by ``trace_id``
(`X-Amzn-Trace-Id`'s Root), ``cf_id`` (`X-Amz-Cf-Id`), a client's ``peer`` (``address:port``), or a DNS name and type.
"""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec

DNS_QUERY = "dns_query"
"""A query answered: name, type, rcode, answers (strings), peer, transport, source (authoritative|cache|recursive), duration_ms, zone, policy."""
DNS_UPSTREAM = "dns_upstream"
"""A resolver's question to another server and its answer: name, type, server (address), outcome (answer|referral|nxdomain|nodata|timeout), duration_ms."""
EDGE_REQUEST = "edge_request"
"""CloudFront, one request done: cf_id, trace_id, method, host, uri, status, result (Hit|Miss|RefreshHit|Error|Redirect), pop, peer, behavior, origin_peer,
local (address:port used towards the origin), origin_dns_ms, origin_connect_ms, origin_tls_ms, origin_wait_ms, origin_reused, duration_ms, age_s."""
ALB_REQUEST = "alb_request"
"""ALB, one request done: trace_id, cf_id, method, host, uri, status, target_status, rule (origin), action, target_group, target (id), target_peer, local, peer,
connect_ms, target_wait_ms, target_reused, duration_ms, error_reason."""
ALB_ACCESS_LOG = "alb_access_log"
"""A line of an ALB's access log: balancer (its id), line (AWS's)."""
TARGET_HEALTH = "target_health"
"""A balancer, a target changed state: target_group, target, state (initial|healthy|unhealthy|draining|unused), reason."""
TARGET_MITIGATED = "target_mitigated"
"""ALB, anomaly mitigation gives a target less than its share: target_group, target."""
ENDPOINT_HEALTH = "endpoint_health"
"""Global Accelerator at an edge location, an endpoint changed state: endpoint_group, endpoint, state (initial|healthy|unhealthy), reason."""
SHIELD_MITIGATION = "shield_mitigation"
"""CloudFront or an ALB, Shield Advanced's rate rule begins or ends to act: protection (its id), mitigation (begins|ends), limit (requests of a source in a window), pop (CloudFront's)."""
GWLB_PACKETS = "gwlb_packets"
"""Gateway Load Balancer, so far: flows (now), to_appliance, from_appliance, no_flow, too_large, not_returned (packets)."""
GRE_TUNNEL = "gre_tunnel"
"""One end of a GRE tunnel, so far: tunnel (its name), received, sent (packets), dropped (packets by reason)."""
INSPECTED = "inspected"
"""An appliance, so far: passed (packets), dropped (packets by reason)."""
APP_REQUEST = "app_request"
"""The instance's application, one request done: trace_id, cf_id, method, uri, status, peer, duration_ms, sql (list of {statement, duration_ms, rows})."""
AWS_REQUEST = "aws_request"
"""A Region's S3, DynamoDB, SQS or KMS, one request done: request_id, region, aws_service, action, resource, status, endpoint (None: over the internet), vpc, peer, local,
refused (why, or None), duration_ms."""
AWS_DATA_LOST = "aws_data_lost"
"""A Region's S3, DynamoDB, SQS and KMS have lost what they held, because the process that held it was started again: region."""
METADATA_REQUEST = "metadata_request"
"""Instance metadata, one request done: instance (None: nobody's address), method, uri, status, peer, hops (IP TTL of a token's packets, else None)."""
BGP_SESSION = "bgp_session"
"""A BGP session went up or down: session (its name), neighbour (address), asn, state (up|down), cause (BIRD's words, empty for up), origin."""
FLOW_LOG_RECORD = "flow_log_record"
"""A line of a VPC flow log: log (its id), interface, subnet, vpc, fields (names, in order), line (AWS's)."""
IDENTITY_REQUEST = "identity_request"
"""An identity provider, one request done: method, path, status, peer."""
FIREWALL_ALERT = "firewall_alert"
"""A stateful rule of a network firewall took a packet: firewall, availability_zone, rule (``<group>#<sid>``), action (allowed|blocked), message, protocol, source, destination, line (AWS's)."""
FIREWALL_FLOW = "firewall_flow"
"""One direction of a flow that a network firewall has seen is over: firewall, availability_zone, protocol, source, destination, packets, bytes, line (AWS's)."""
IPSEC_TUNNEL = "ipsec_tunnel"
"""One end of a VPN tunnel changed state, or has just begun: connection, tunnel (number), initiator (whether this end begins), device, state (UP|DOWN)."""
IPSEC_ATTEMPT = "ipsec_attempt"
"""One end of a VPN tunnel could not bring it up: connection, tunnel, initiator, cause (words)."""
READY = "ready"
STARTED = "started"
STOPPED = "stopped"
FAILED = "failed"

FLUSH_AFTER_S = 0.02


class EventLog:
    """An append-only log. `emit` is cheap and never blocks on the disk's latency for long: lines are gathered and written at once.

    With `flush_soon` (a callable that schedules `flush`), lines wait for it; without, every line is written at once.
    """

    def __init__(self, service: str, descriptor: int) -> None:
        self.service = service
        self._descriptor = descriptor
        self._encoder = msgspec.json.Encoder(enc_hook=str)
        self._lines: list[bytes] = []
        self.flush_soon: Any = None

    def emit(self, event: str, **fields: Any) -> None:
        """Append one event. Values are JSON's; addresses become strings."""
        self._take(self._encoder.encode({"t": round(time.time(), 6), "service": self.service, "event": event, **fields}))

    def append(self, event: msgspec.Struct) -> None:
        """Append one event that is whole already: `t`, `service` and `event` are its first fields, and `service` is `self.service`. Cheaper than `emit`."""
        self._take(self._encoder.encode(event))

    def _take(self, line: bytes) -> None:
        self._lines.append(line)
        if self.flush_soon is None:
            self.flush()
        elif len(self._lines) == 1:
            self.flush_soon(self.flush)

    def flush(self) -> None:
        """Write what has gathered, as one write to a descriptor opened for appending."""
        lines, self._lines = self._lines, []
        if lines:
            os.write(self._descriptor, b"\n".join(lines) + b"\n")
