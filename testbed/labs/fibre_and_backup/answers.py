"""Where the answers to the questions of "The fibre and its backup" are found."""

from string import digits

from scapy.layers.l2 import Dot1Q

from testbed.labs.checking import CheckedLab

FIBRE, ON_THE_FIBRE, HTTPS = "dxcon-hq", "dxcon-hq/fibre", 443


def vlan_on_the_fibre(lab: CheckedLab) -> str:
    """Every frame on the fibre is tagged."""
    lab.soon(lambda: lab["pc"].ping("app").passed)
    with lab.capture(ON_THE_FIBRE) as capture:
        lab["pc"].ping("app")
        capture.wait_for(2)
    found = [str(packet[Dot1Q].vlan) for packet in capture.packets if Dot1Q in packet]
    if not found:
        raise LookupError("nothing passes the fibre")
    return found[0]


def way_out(lab: CheckedLab) -> tuple[str, ...]:
    """The interface of either tunnel: which of them answers first after the cut, and leads until the other has come, is not for a student to know."""
    address = str(lab["app"].address)
    with lab.failing(FIBRE):
        lab.soon(lambda: lab["pc"].tcp("app", HTTPS).passed)
        words = lab["router-hq"].run("ip", "route", "get", address).out.split()
    if "dev" not in words:
        raise LookupError("router-hq knows no way to app while the fibre is cut")
    leads = words[words.index("dev") + 1]
    devices = (line.split()[0].partition("@")[0] for line in lab["router-hq"].run("ip", "-brief", "link").out.splitlines())
    return (leads, *(device for device in devices if device != leads and device.rstrip(digits) == leads.rstrip(digits) != leads))
