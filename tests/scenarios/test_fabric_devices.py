"""The fabric's filters hold devices by number: a link that is made again has another one, and is filtered as before; a device that nobody knows opens nothing."""

import subprocess
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, UDP

from testbed.engine import syscalls
from testbed.engine.nft import load
from testbed.observe.probe import Answer
from tests.scenarios.sending import listening, send_raw, udp_sink
from tests.scenarios.shop import resource, with_resources
from tests.scenarios.small_vpc import VPC, small_vpc

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(small_vpc)]
SILENCE_S = 0.3
SPOOFED = "10.9.1.77"


def filtered_as_before(lab):
    """web-1 reaches bare-1, whose groups let everybody in, and nobody reaches web-1, whose groups let nobody in; the source check holds."""
    with listening(lab, "web-1", 80), listening(lab, "bare-1", 80), udp_sink(lab, "bare-1", 7000) as sink:
        assert lab["web-1"].tcp(lab["bare-1"].address, 80).answer is Answer.ANSWERED
        assert lab["bare-1"].tcp(lab["web-1"].address, 80, timeout_s=SILENCE_S).answer is Answer.SILENT
        with lab.capture(VPC, filter=f"src host {SPOOFED}") as seen:
            send_raw(lab, "web-1", IP(src=SPOOFED, dst=str(lab["bare-1"].address)) / UDP(sport=7000, dport=7000))
            sink.settimeout(SILENCE_S)
            with pytest.raises(TimeoutError):
                sink.recv(100)
        assert len(seen.packets) == 1, "it came to the fabric, and no further"


def test_a_link_that_is_made_again_is_filtered_as_before(lab):
    topology = lab.topology
    for name in ("web-1", "bare-1"):
        lab.change(replace(topology, resources=tuple(each for each in topology.resources if each.id != name)))
        lab.change(topology)
        filtered_as_before(lab)


def test_a_link_that_is_plugged_in_again_is_filtered_as_before(lab):
    topology = lab.topology
    lab.change(with_resources(topology, resource(topology, "web-1", source_dest_check=False)))
    lab.change(topology)
    filtered_as_before(lab)


@pytest.mark.parametrize(("device", "in_fabric"), [("e-web-1", "from_interface, own_addresses"), ("e-bare-1", "enter_subnet")])
def test_a_device_that_is_in_no_map_opens_nothing(lab, device, in_fabric):
    own = {"from_interface": f'"{device}"', "own_addresses": f'"{device}" . {mac(lab, "web-1")} . {lab["web-1"].address}', "enter_subnet": f'"{device}"'}
    for name in in_fabric.split(", "):
        nft(lab, "delete", "element", "ip", "fabric", name, f"{{ {own[name]} }}")
    try:
        with listening(lab, "bare-1", 80):
            assert lab["web-1"].tcp(lab["bare-1"].address, 80, timeout_s=SILENCE_S).answer is Answer.SILENT
    finally:
        node = lab.node(VPC)
        load(node.spec.ruleset, node.namespace.descriptor)
    filtered_as_before(lab)


def mac(lab, node):
    return next(end.mac for link in lab.plan.links for end in (link.a, link.b) if end.node == node)


def nft(lab, *words):
    with syscalls.network_namespace(lab.node(VPC).namespace.descriptor):
        subprocess.run(["nft", *words], check=True)
