"""Where the answers to the questions of "The inspected packet" are found."""

from scapy.layers.inet import IP, UDP

from testbed.labs.checking import CheckedLab
from testbed.labs.the_inspected_packet.datagrams import GENEVE, SEEN_S, send

GENEVE_BYTES = 8
WORD_BYTES = 4


def _before_fw(lab: CheckedLab) -> IP | None:
    """A packet that gwlb sends to fw, with all that is in it."""
    with lab.capture("fw", filter="udp and not src port 53") as capture:
        send(lab, "client", "web", b"hello")
        capture.wait_for(1, timeout_s=SEEN_S)
    own = lab["fw"].address
    return next((packet[IP] for packet in capture.packets if IP in packet and packet[IP].dst == str(own)), None)


def outer_port(lab: CheckedLab) -> str:
    """GENEVE's."""
    outer = _before_fw(lab)
    return "" if outer is None else str(outer[UDP].dport)


def overhead(lab: CheckedLab) -> str:
    """An IP header, a UDP header, GENEVE's, and AWS's options, whose length GENEVE's first byte says."""
    outer = _before_fw(lab)
    if outer is None or outer[UDP].dport != GENEVE:
        return ""
    geneve = bytes(outer[UDP].payload)
    inner = IP(geneve[GENEVE_BYTES + WORD_BYTES * (geneve[0] & 0x3F) :])
    return str(outer.len - inner.len)
