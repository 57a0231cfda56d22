"""What scenarios of the web shop share: SQL from an instance, the topology with some resources changed, and who of two ends saw a flow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from scapy.layers.inet import IP, TCP
from scapy.packet import Packet

from testbed.lab import Lab
from testbed.model import AutoScalingGroup, DBInstance, Instance, LaunchTemplate, Resource, ScalingPolicy, Topology
from testbed.model.launching import launched
from topologies.web_app import web_app

POSTGRESQL = 5432
FAREWELL_BYTES = 64


def shop_of_two() -> Topology:
    """The web application with web-a and web-b as two instances that nobody replaces, for who changes them by hand."""
    topology = launched(web_app())
    fixed = (replace(each, launched_by=None) if isinstance(each, Instance) else each for each in topology.resources)
    return replace(topology, resources=tuple(each for each in fixed if not isinstance(each, (AutoScalingGroup, LaunchTemplate, ScalingPolicy))))


def conninfo(lab: Lab) -> str:
    """How psql is told where the shop's database is."""
    (database,) = lab.topology.of(DBInstance)
    (resolved,) = lab.resolved.databases
    return f"host={resolved.endpoint} dbname={database.db_name} user={database.master_username} password={database.master_user_password} connect_timeout=3"


def sql(lab: Lab, node: str, statement: str) -> str:
    """What PostgreSQL answers to a statement that psql sends from a node; psql's error if it does not."""
    done = lab[node].run("psql", conninfo(lab), "-A", "-t", "-c", statement)
    return done.out.strip() or done.err.strip()


def public_address(lab: Lab, node: str) -> IPv4Address:
    """What the internet gateway maps a node to."""
    (address,) = (interface.public_address for interface in lab.resolved.interfaces if interface.node == node)
    assert address is not None
    return address


def resource(topology: Topology, resource_id: str, **fields: object) -> Resource:
    """The resource with this id, some of its fields changed."""
    (found,) = (resource for resource in topology.resources if resource.id == resource_id)
    return replace(found, **fields)  # type: ignore[arg-type]


def with_resources(topology: Topology, *changed: Resource, without: tuple[str, ...] = ()) -> Topology:
    """The topology with resources put in place of those with their ids, or added, and some taken away."""
    ids = {resource.id for resource in changed} | set(without)
    return replace(topology, resources=(*(resource for resource in topology.resources if resource.id not in ids), *changed))


def seen(packets: Iterable[Packet], node: str, flags: str, port: int) -> bool:
    """Whether a node saw a TCP packet with just these flags, to or from a port."""
    return any(packet.sniffed_on.startswith(f"{node}/") and packet.haslayer(TCP) and packet[TCP].flags == flags and port in (packet[TCP].sport, packet[TCP].dport) for packet in packets)


def asks(packets: Iterable[Packet]) -> bool:
    """Whether a TCP connection is opened or used: not only the acknowledgement or the farewell (close_notify) of an earlier exchange."""
    return any(packet.haslayer(TCP) and ("S" in packet[TCP].flags or len(packet[TCP].payload) > FAREWELL_BYTES) for packet in packets)


def ttls(packets: Iterable[Packet], where: str, source: IPv4Address) -> set[int]:
    """The TTLs of what came from a source, as seen at ``node/interface``."""
    return {packet[IP].ttl for packet in packets if packet.sniffed_on == where and packet.haslayer(IP) and packet[IP].src == str(source)}
