"""nftables' trace, decoded: from messages by hand, and from the kernel."""

import socket
import struct

import pytest

from testbed.observe.nftrace import MESSAGE_TYPE, decode, with_headers
from testbed.observe.trace import TRACE_TABLE, RuleKey, Tracer, verdicts_of

RULES = """
table ip fabric {
  chain ingress {
    udp dport 7000 accept comment "sg-web#ingress[0]"
    drop comment "sg-web#ingress"
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "eth0" jump ingress
  }
}
"""


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + b"\0" * (-len(value) % 4)


def message(*attributes: bytes) -> bytes:
    body = b"\x02\0\0\0" + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), MESSAGE_TYPE, 0, 0, 0) + body


def step(trace_id: int, handle: int, verdict: int, header: bytes = b"") -> bytes:
    parts = [attribute(1, b"fabric\0"), attribute(2, b"ingress\0"), attribute(3, struct.pack("!Q", handle)), attribute(4, struct.pack("!I", 3)), attribute(6, struct.pack("!I", trace_id))]
    parts.append(attribute(0x8000 | 5, attribute(1, struct.pack("!i", verdict))))
    if header:
        parts += [attribute(8, header[:20]), attribute(9, header[20:])]
    return message(*parts)


def udp(source_port: int) -> bytes:
    return bytes.fromhex("4500001c000100004011000 0".replace(" ", "")) + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + struct.pack("!HHHH", source_port, 53, 8, 0)


def test_a_rules_verdict_is_named_by_its_comment():
    steps = decode(step(7, 4, 0, udp(4000)), "vpc-shop", 5)
    (verdict,) = verdicts_of(steps, {"vpc-shop": {RuleKey("ip", "fabric", "ingress", 4): "acl-public#100"}}, {})
    assert (verdict.origin, verdict.verdict, verdict.header.sender) == ("acl-public#100", "drop", "10.0.0.1:4000")


def test_a_rule_without_a_comment_is_named_by_its_place():
    (verdict,) = verdicts_of(decode(step(7, 4, 1), "n", 5), {}, {})
    assert (verdict.origin, verdict.has_aws_origin) == ("nft fabric ingress #4", False)


def test_a_reused_id_takes_the_latest_header():
    datagram = step(7, 1, -1, udp(4000)) + step(7, 2, 1) + step(7, 1, -1, udp(5000)) + step(7, 2, 1)
    assert [s.header.source_port for s in with_headers(decode(datagram, "n", 0))] == [4000, 4000, 5000, 5000]


@pytest.mark.packets
def test_the_kernel_tells_which_rule_took_and_which_dropped_a_packet(namespace_lab):
    namespace_lab.run("right", "nft", "-f", "-", given=RULES)
    with Tracer(namespace_lab, ("right",), "udp dport { 7000, 7001 }") as tracer, namespace_lab.socket("left", socket.AF_INET, socket.SOCK_DGRAM) as left:
        left.sendto(b"allowed", ("192.0.2.2", 7000))
        left.sendto(b"refused", ("192.0.2.2", 7001))
        left.sendto(b"not looked at", ("192.0.2.2", 7002))
    told = [(v.header.destination_port, v.origin, v.verdict, v.iif) for v in tracer.verdicts if v.has_aws_origin]
    assert told == [(7000, "sg-web#ingress[0]", "accept", "eth0"), (7001, "sg-web#ingress", "drop", "eth0")]


@pytest.mark.packets
def test_a_rule_added_while_tracing_is_named_too(namespace_lab):
    namespace_lab.run("right", "nft", "-f", "-", given=RULES)
    with Tracer(namespace_lab, ("right",), "udp dport 7001") as tracer, namespace_lab.socket("left", socket.AF_INET, socket.SOCK_DGRAM) as left:
        namespace_lab.run("right", "nft", "insert", "rule", "ip", "fabric", "ingress", "udp", "dport", "7001", "accept", "comment", '"sg-web#ingress[1]"')
        left.sendto(b"allowed now", ("192.0.2.2", 7001))
    assert [v.origin for v in tracer.verdicts if v.has_aws_origin] == ["sg-web#ingress[1]"]


@pytest.mark.packets
def test_tracing_leaves_nothing_behind(namespace_lab):
    with Tracer(namespace_lab, ("right",)):
        pass
    listing = namespace_lab.popen("right", ("nft", "list", "tables"), stdout=-1)
    assert TRACE_TABLE.encode() not in listing.communicate()[0]
