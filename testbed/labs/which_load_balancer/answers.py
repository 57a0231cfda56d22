"""Where the answers to the questions of "Which load balancer?" are found."""

from scapy.layers.inet import IP, TCP

from testbed.labs.checking import CheckedLab
from testbed.labs.which_load_balancer.requests import APPLICATION, HTTP, request


def forwarded_for(lab: CheckedLab) -> str:
    """The field that has the client's address."""
    address, client = lab.public_address("lb-shop-a"), str(lab["client"].address)
    if address is None:
        return ""
    lines = (line.partition(": ") for line in request(lab, address, "/").head.splitlines())
    return next((name for name, _, value in lines if value == client), "")


def balancers_source(lab: CheckedLab) -> str:
    """lb-front passes the client's own handshake on to lb-shop, which makes one of its own to web: two."""
    address = lab.elastic_address("eip-front-a")
    if address is None:
        return ""
    with lab.capture("web", filter=f"tcp dst port {APPLICATION}") as inside, lab.capture("client", filter=f"tcp dst port {HTTP}") as outside:
        request(lab, address, "/basket")
        outside.wait_for(1)
        inside.wait_for(1)
    own = [capture for capture in (inside, outside) if any(packet[TCP].flags == "S" for packet in capture.packets)]
    sources = {packet[IP].src for capture in own for packet in capture.packets if packet[TCP].flags == "S"}
    return str(len(sources))


def for_appliances(_: CheckedLab) -> str:
    """A Gateway Load Balancer puts packets into GENEVE, whole."""
    return "gateway"
