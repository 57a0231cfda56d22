"""The host programs that labs run, and the packages that bring them. `preflight` looks for them; `testbed/setup.sh` installs the same ones, and a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A host program that labs run: `package` is Debian's and Ubuntu's; `testbed/setup.sh` installs the same ones."""

    name: str
    package: str
    required: bool
    purpose: str
    service: str = ""
    """The kind of service that cannot start without it, if it is looked for where `preflight` looks."""
    everywhere: bool = True
    """False: not every distribution offers it, and set-up goes on without."""


PROGRAMS = (
    Program(name="bird", package="bird2", required=False, purpose="BGP: Direct Connect, dynamic VPN, Transit Gateway Connect", service="bgp"),
    Program(name="charon-systemd", package="charon-systemd", required=False, purpose="Site-to-Site VPN"),
    Program(name="swanctl", package="strongswan-swanctl", required=False, purpose="looking into VPN tunnels"),
    Program(name="ip", package="iproute2", required=True, purpose="looking into nodes"),
    Program(name="nft", package="nftables", required=True, purpose="security groups, network ACLs and NAT"),
    Program(name="postgres", package="postgresql", required=True, purpose="RDS instances"),
    Program(name="conntrack", package="conntrack", required=False, purpose="looking at flows"),
    Program(name="curl", package="curl", required=False, purpose="requests from a node"),
    Program(name="dig", package="bind9-dnsutils", required=False, purpose="DNS queries from a node"),
    Program(name="dot", package="graphviz", required=False, purpose="`testbed graph -o svg`"),
    Program(name="iperf3", package="iperf3", required=False, purpose="throughput experiments"),
    Program(name="ping", package="iputils-ping", required=False, purpose="reachability experiments"),
    Program(name="ps", package="procps", required=False, purpose="looking at a node's processes"),
    Program(name="psql", package="postgresql-client", required=False, purpose="queries from a node"),
    Program(name="suricata", package="suricata", required=False, purpose="AWS Network Firewall's stateful engine", service="suricata", everywhere=False),
    Program(name="tcpdump", package="tcpdump", required=False, purpose="reading captures"),
    Program(name="traceroute", package="traceroute", required=False, purpose="path experiments"),
)
