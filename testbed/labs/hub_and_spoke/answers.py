"""Where the answers to the questions of "Hub and spoke" are found."""

from scapy.layers.inet import ICMP, IP, TCP

from testbed.labs.checking import CheckedLab

ECHO_REQUEST, HTTPS = 8, 443


def arriving_ttl(lab: CheckedLab) -> str:
    """A transit gateway is no hop, nor is anything else on the way."""
    with lab.capture("tools", filter="icmp") as capture:
        lab["hr"].ping("tools")
        capture.wait_for(1)
    return next((str(packet[IP].ttl) for packet in capture.packets if ICMP in packet and packet[ICMP].type == ECHO_REQUEST), "")


def offered_mss(lab: CheckedLab) -> str:
    """A transit gateway carries 8500 bytes, and tells TCP so."""
    with lab.capture("tools", filter=f"tcp dst port {HTTPS}") as capture:
        lab["till"].socket().connect_ex((str(lab["tools"].address), HTTPS))
        capture.wait_for(1)
    return next((str(dict(packet[TCP].options)["MSS"]) for packet in capture.packets if packet[TCP].flags == "S"), "")
