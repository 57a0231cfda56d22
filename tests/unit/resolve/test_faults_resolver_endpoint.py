"""What resolve says of endpoints, rules, private zones and customers' DNS servers that do not fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.model import DnsServer, HostedZone, ModelError, ResolverEndpoint, ResolverRule, Topology, Vpc
from testbed.resolve import resolve
from tests.scenarios.test_resolver_endpoints import endpoints

TOPOLOGY = endpoints()


def faults(*changed: object) -> str:
    kinds = {(type(resource), resource.id): resource for resource in changed}
    resources = tuple(kinds.pop((type(resource), resource.id), resource) for resource in TOPOLOGY.resources)
    with pytest.raises(ModelError) as found:
        resolve(replace(TOPOLOGY, resources=(*resources, *kinds.values())))
    return "\n".join(map(str, found.value.faults))


def written(kind: type, name: str, topology: Topology = TOPOLOGY):
    return next(resource for resource in topology.of(kind) if resource.id == name)


def test_the_topology_has_no_fault():
    resolve(TOPOLOGY)


def test_an_endpoint_needs_two_addresses_and_one_vpc():
    inbound = written(ResolverEndpoint, "rslvr-in")
    assert "1 IP addresses" in faults(replace(inbound, ip_addresses=inbound.ip_addresses[:1]))
    elsewhere = replace(inbound.ip_addresses[1], subnet_id="lan", ip="10.200.0.99")
    assert "its subnets are in cloud and office" in faults(replace(inbound, ip_addresses=(inbound.ip_addresses[0], elsewhere)))


def test_a_rule_leaves_by_an_outbound_endpoint():
    rule = written(ResolverRule, "rr-corp")
    assert "rslvr-in is an inbound endpoint" in faults(replace(rule, resolver_endpoint_id="rslvr-in"))
    assert "needs an outbound endpoint and targets" in faults(replace(rule, target_ips=()))
    assert "a SYSTEM rule with an endpoint or targets" in faults(replace(rule, rule_type="SYSTEM"))
    assert "already is associated with rr-corp" in faults(replace(rule, id="rr-other"))


def test_a_private_zone_needs_a_vpc_with_dns_names():
    assert "does not have DNS support and DNS host names on" in faults(replace(written(Vpc, "cloud"), enable_dns_hostnames=False))
    zone = written(HostedZone, "zone-aws")
    assert "a private zone of the same name" in faults(replace(zone, id="zone-other"))


def test_a_dns_server_runs_on_a_machine_and_has_no_aliases():
    server = written(DnsServer, "corp-dns")
    assert "neither an instance nor a host of a site" in faults(replace(server, host_id="nowhere"))
    alias = replace(server.record_sets[0], ttl=None, resource_records=(), alias_target="wiki.corp.example")
    assert "an alias, which only Route 53 has" in faults(replace(server, record_sets=(alias,)))
