"""Where the answers to the questions of "The encrypted tunnel" are found."""

from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet

from testbed.labs.checking import CheckedLab

INTERNET, HTTPS, ESP_IN_UDP = "city-london", 443, 4500


def _on_the_internet(lab: CheckedLab) -> Packet:
    """A packet of the office's to AWS, as the internet sees it."""
    lab.soon(lambda: lab["pc"].tcp("ledger", HTTPS).passed)
    endpoints = [node for node in lab.plan.nodes if node.name.startswith("vpn-office-tunnel-")]
    with lab.capture(*(f"{node.name}/eth0" for node in endpoints), filter=f"udp dst port {ESP_IN_UDP}") as capture:
        lab["pc"].tcp("ledger", HTTPS)
        capture.wait_for(1)
    ours = {str(lab[node.name].address) for node in endpoints}
    found = [packet for packet in capture.packets if IP in packet and packet[IP].src not in ours]
    if not found:
        raise LookupError("no ESP comes from the office")
    return found[0]


def office_address(lab: CheckedLab) -> str:
    """The public address of the office's router."""
    return str(_on_the_internet(lab)[IP].src)


def esp_port(lab: CheckedLab) -> str:
    """ESP in UDP, as NAT-T has it."""
    return str(_on_the_internet(lab)[UDP].dport)


def ledger_offered(lab: CheckedLab) -> str:
    """The router clamps it on its way into the tunnel."""
    lab.soon(lambda: lab["pc"].tcp("ledger", HTTPS).passed)
    with lab.capture("ledger", filter=f"tcp dst port {HTTPS}") as capture, lab["pc"].socket() as client:
        client.settimeout(1)
        client.connect_ex((str(lab["ledger"].address), HTTPS))
        capture.wait_for(1)
    offered = [str(dict(packet[TCP].options)["MSS"]) for packet in capture.packets if packet[TCP].flags == "S"]
    if not offered:
        raise LookupError("no SYN of pc arrives at ledger")
    return offered[0]
