"""What a lab told of two real requests: log lines as the daemons wrote them, and a plan with the nodes that they name."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.observe.journal import Entry, parse
from testbed.observe.packets import TCP_ACK, TCP_SYN, Frame, Header
from testbed.observe.trace import Verdict
from testbed.observe.waterfall import Timings
from testbed.plan import Interface, Link, Node, NodeKind, Plan, Route

STARTED_S = 1795380070.048
CF_ID = "URPM3IwyU-NXkwVm3BaVNaQGJkqQk_wRagiDExS-ZQRdgLViizoyGw=="
LOGS = {
    "alb-shop-a.alb.jsonl": b"""{"t":1795380070.121084,"service":"alb-shop-a.alb","event":"alb_request","trace_id":"1-6b035366-4145fc78cda5a8457c6bd8ce","cf_id":"URPM3IwyU-NXkwVm3BaVNaQGJkqQk_wRagiDExS-ZQRdgLViizoyGw==","method":"GET","host":"origin.shop.example.com","uri":"/products","status":200,"target_status":200,"rule":"listener-https#default","action":"forward","target_group":"tg-web","target":"web-a","target_peer":"10.0.10.4:80","local":"10.0.0.4:41634","peer":"203.0.113.12:36152","connect_ms":4.409,"target_wait_ms":15.796,"target_reused":false,"duration_ms":24.876,"error_reason":null}
""",
    "edge-lhr.cloudfront.jsonl": b"""{"t":1795380070.124869,"service":"edge-lhr.cloudfront","event":"edge_request","cf_id":"URPM3IwyU-NXkwVm3BaVNaQGJkqQk_wRagiDExS-ZQRdgLViizoyGw==","trace_id":null,"method":"GET","host":"shop.example.com","uri":"/products?r=2","status":200,"result":"Miss","pop":"LHR50-C1","peer":"198.18.3.10:51586","behavior":"*","origin_peer":"198.51.100.12:443","local":"203.0.113.12:36152","origin_dns_ms":7.648682999843004,"origin_connect_ms":6.707657000333711,"origin_tls_ms":13.229508000222268,"origin_wait_ms":35.09685500007983,"origin_reused":false,"duration_ms":64.04241000018374,"age_s":null}
""",
    "edge-lhr.dns.jsonl": b"""{"t":1795380070.05269,"service":"edge-lhr.dns","event":"dns_query","name":"shop.example.com","type":"A","rcode":"NOERROR","answers":["203.0.113.12"],"source":"authoritative","zone":"shop.example.com","policy":"nearest","edge_location":"LHR50-C1","peer":"198.18.3.2:43849","transport":"udp","duration_ms":0.071}
""",
    "resolver-london.dns.jsonl": b"""{"t":1795380070.05364,"service":"resolver-london.dns","event":"dns_upstream","name":"shop.example.com","type":"A","server":"192.0.2.53","zone":"shop.example.com","outcome":"answer","transport":"udp","duration_ms":4.265}
{"t":1795380070.053891,"service":"resolver-london.dns","event":"dns_query","name":"shop.example.com","type":"A","rcode":"NOERROR","answers":["203.0.113.12"],"source":"recursive","zone":"","policy":"recursive","peer":"198.18.3.10:51588","transport":"udp","duration_ms":5.023}
{"t":1795380070.067769,"service":"resolver-london.dns","event":"dns_upstream","name":"origin.shop.example.com","type":"A","server":"192.0.2.53","zone":"shop.example.com","outcome":"answer","transport":"udp","duration_ms":2.109}
{"t":1795380070.068437,"service":"resolver-london.dns","event":"dns_query","name":"origin.shop.example.com","type":"A","rcode":"NOERROR","answers":["198.51.100.13","198.51.100.12"],"source":"recursive","zone":"","policy":"recursive","peer":"203.0.113.12:51859","transport":"udp","duration_ms":3.21}
{"t":1795380070.069,"service":"resolver-london.dns","event":"ready"}
""",
    "web-a.instance.jsonl": b"""{"t":1795380070.120492,"service":"web-a.instance","event":"app_request","trace_id":"1-6b035366-4145fc78cda5a8457c6bd8ce","cf_id":"URPM3IwyU-NXkwVm3BaVNaQGJkqQk_wRagiDExS-ZQRdgLViizoyGw==","method":"GET","uri":"/products","status":200,"peer":"10.0.0.4:41634","duration_ms":14.854,"sql":[{"statement":"SELECT id, name, price_cents, version FROM products ORDER BY id","duration_ms":14.331,"rows":5,"local":"10.0.10.4:55398","peer":"10.0.20.4:5432"}]}
""",
}
HIT = b"""{"t":1795380070.061,"service":"edge-lhr.cloudfront","event":"edge_request","cf_id":"hit","trace_id":null,"method":"GET","host":"shop.example.com","uri":"/products","status":200,"result":"Hit","pop":"LHR50-C1","peer":"198.18.3.10:51586","behavior":"*","origin_peer":null,"local":null,"origin_dns_ms":null,"origin_connect_ms":null,"origin_tls_ms":null,"origin_wait_ms":null,"origin_reused":null,"duration_ms":0.4,"age_s":1.2}
"""


def entries() -> tuple[Entry, ...]:
    """All log entries of the MISS."""
    return tuple(entry for file, text in LOGS.items() for entry in parse(file, 0, text.splitlines(keepends=True)))


def timings(cf_id: str = CF_ID, total_ms: float = 77.5) -> Timings:
    """What curl said."""
    return Timings(
        started_s=STARTED_S, name_lookup_ms=6.3, connect_ms=6.7, tls_ms=12.5, first_byte_ms=total_ms - 0.2, total_ms=total_ms,
        local="198.18.3.10:51586", remote="203.0.113.12:443", status=200, headers=(("x-amz-cf-id", cf_id), ("x-cache", "Miss from cloudfront")),
    )


def frame(node: str, interface: str, offset_ms: float, source: str, destination: str, flags: int = TCP_ACK, outgoing: bool = False) -> Frame:
    """A TCP frame seen so long after the request began."""
    (source_address, source_port), (destination_address, destination_port) = source.split(":"), destination.split(":")
    ip = bytes.fromhex("450000280001000040060000") + IPv4Address(source_address).packed + IPv4Address(destination_address).packed
    tcp = int(source_port).to_bytes(2, "big") + int(destination_port).to_bytes(2, "big") + bytes(8) + bytes((0x50, flags)) + bytes(6)
    data = bytes(12) + b"\x08\x00" + ip + tcp
    return Frame(time_ns=int((STARTED_S + offset_ms / 1000) * 1e9), node=node, interface=interface, outgoing=outgoing, data=data, length_bytes=len(data))


def frames() -> tuple[Frame, ...]:
    """A few packets of the MISS: the viewer's SYN, the origin connection through the gateway, one to the target."""
    return (
        frame("client", "eth0", 6.3, "198.18.3.10:51586", "203.0.113.12:443", TCP_SYN, outgoing=True),
        frame("igw-shop", "internet", 26.0, "203.0.113.12:36152", "198.51.100.12:443", TCP_SYN),
        frame("igw-shop", "internet", 28.0, "198.51.100.12:443", "203.0.113.12:36152", TCP_SYN | TCP_ACK, outgoing=True),
        frame("igw-shop", "internet", 30.0, "203.0.113.12:36152", "198.51.100.12:443"),
        frame("web-a", "eth0", 55.0, "10.0.0.4:41634", "10.0.10.4:80", TCP_SYN),
    )


def verdict(offset_ms: float, origin: str, word: str, source: str, destination: str, packet: int = 1, iif: str = "e-a", node: str = "vpc-shop") -> Verdict:
    """One traced verdict on a TCP packet."""
    (source_address, source_port), (destination_address, destination_port) = source.split(":"), destination.split(":")
    header = Header(
        source=IPv4Address(source_address), destination=IPv4Address(destination_address), protocol=6, source_port=int(source_port), destination_port=int(destination_port)
    )
    return Verdict(time_ns=int((STARTED_S + offset_ms / 1000) * 1e9), node=node, origin=origin, verdict=word, chain="ip fabric c", packet=packet, header=header, iif=iif)


def verdicts() -> tuple[Verdict, ...]:
    """Verdicts on three connections, and on a health check, which is none of ours."""
    return (
        verdict(27, "sg-alb#ingress[1]", "goto", "203.0.113.12:36152", "10.0.0.4:443"),
        verdict(55, "sg-web#ingress[0]", "goto", "10.0.0.4:41634", "10.0.10.4:80"),
        verdict(56, "sg-web#ingress[0]", "goto", "10.0.0.4:41000", "10.0.10.4:80"),
        verdict(60, "acl-database#100", "return", "10.0.10.4:55398", "10.0.20.4:5432"),
        verdict(60, "nft fabric forward #7", "accept", "10.0.10.4:55398", "10.0.20.4:5432"),
    )


def plan() -> Plan:
    """The nodes that the logs name."""

    def interface(node: str, address: str, name: str = "eth0") -> Interface:
        return Interface(node=node, name=name, mac="02:00:00:00:00:01", addresses=(IPv4Interface(address),) if address else ())

    guests = {
        "alb-shop-a": (NodeKind.LOAD_BALANCER, "10.0.0.4/24"), "shop-db": (NodeKind.DATABASE, "10.0.20.4/24"), "web-a": (NodeKind.INSTANCE, "10.0.10.4/24"), "web-b": (NodeKind.INSTANCE, "10.0.11.4/24"),
    }
    hosts = {"client": (NodeKind.USER, "198.18.3.10/24"), "edge-lhr": (NodeKind.EDGE_LOCATION, "203.0.113.12/32"), "igw-shop": (NodeKind.INTERNET_GATEWAY, ""), "resolver-london": (NodeKind.RESOLVER, "198.18.3.2/24")}
    city_routes = tuple(Route(destination=IPv4Network(f"{address}/32"), origin=origin) for address, origin in (("192.0.2.53", "ns-53.awsdns-06.com (anycast)"), ("198.51.100.12", "auto-assigned eni-alb-shop-a")))
    nodes = [Node(name=name, kind=kind, group="vpc-shop" if name in guests else "city-london") for name, (kind, _) in (guests | hosts).items()]
    nodes += [Node(name="vpc-shop", kind=NodeKind.FABRIC, group="vpc-shop"), Node(name="city-london", kind=NodeKind.CITY, group="city-london", routes=city_routes)]
    links = [Link(a=interface(name, address), b=interface("vpc-shop", "", f"e-{name}")) for name, (_, address) in guests.items()]
    links += [Link(a=interface("city-london", "", f"h-{name}"), b=interface(name, address)) for name, (_, address) in hosts.items()]
    return Plan(name="recorded", nodes=tuple(sorted(nodes, key=lambda node: node.name)), links=tuple(links))
