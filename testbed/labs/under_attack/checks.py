"""Checks of "Under attack"."""

from ipaddress import IPv4Address

from testbed.labs.checking import CheckedLab, check
from testbed.observe.attack import Attack, Kind, Report, run
from testbed.plan import NodeKind

HTTP = 80
SHOP = "shop.example.com"
DARK = "198.51.100.0/24"
FEW = 0.7


def address_of_shop(lab: CheckedLab) -> IPv4Address:
    """Where a client is sent to. Raises LookupError."""
    return lab["client"].resolved(SHOP)


def attack(lab: CheckedLab, kind: Kind, packets: int, seconds: float, learn_s: float = 0.0) -> Report:
    """An attack of crowd's on the shop, while client is its honest customer; one that nobody can even begin is all lost."""
    path = "/" if kind is Kind.HTTP_FLOOD else ""
    wanted = Attack(kind=kind, address=address_of_shop(lab), port=HTTP, attackers=("crowd",), client="client", packets=packets, seconds=seconds, learn_s=learn_s, host=SHOP, path=path)
    try:
        return run(lab, wanted)
    except OSError as error:
        raise AssertionError(f"{error}: the shop does not even serve in peace") from error


@check(step=1, points=3)
def test_a_syn_flood_breaks_at_the_edge(lab: CheckedLab) -> None:
    """A SYN flood on shop.example.com gets to an edge location and no further, and every honest connection is made."""
    edges = {address.ip for link in lab.plan.links for end in (link.a, link.b) for address in end.addresses if lab.plan.node(end.node).kind is NodeKind.EDGE_LOCATION}
    assert lab.soon(lambda: address_of_shop(lab) in edges), f"{SHOP} leads to {address_of_shop(lab)}, which is no edge location"
    with lab.capture("igw-shop", filter=f"src net {DARK}") as inside:
        report = attack(lab, Kind.SYN_FLOOD, 600, 0.6)
    assert not inside.packets, f"{len(inside.packets)} packets of the flood came as far as the VPC"
    assert report.survived == report.requests, f"{report.survived} of {report.requests} honest connections were made"


@check(step=2, points=3)
def test_an_http_flood_is_mitigated(lab: CheckedLab) -> None:
    """While crowd sends hundreds of requests a second, client is served, and most of the flood is refused at the edge."""
    report = attack(lab, Kind.HTTP_FLOOD, 300, 1.0, learn_s=1.1)
    refused = report.answers.get(403, 0)
    assert refused > report.packets / 2, f"{refused} of {report.packets} requests of the flood were refused at the edge"
    assert report.share >= FEW, f"{report.survived} of {report.requests} honest requests were answered"


@check(step=3, points=1)
def test_the_shop_still_serves(lab: CheckedLab) -> None:
    """client gets a page of the shop's."""
    assert lab["client"].curl(f"http://{SHOP}/").status == 200


@check(step=3, points=2, negative=True)
def test_nobody_reaches_the_origin_past_the_edge(lab: CheckedLab) -> None:
    """crowd gets no connection to web's own public address: no flood can go round CloudFront."""
    assert not lab.reaches("crowd", "web", HTTP)
