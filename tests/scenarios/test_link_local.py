"""What the fabric answers by itself, and what no address of a subnet's edge answers. Traps 27 and 28 of README.md.

`vault` is behind a security group and a network ACL that deny everything.
"""

import json
import socket
import struct
import time
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP

from testbed.model import MetadataOptions
from testbed.observe.probe import Answer
from tests.scenarios.sending import send_raw
from tests.scenarios.shop import public_address

pytestmark = [pytest.mark.packets, pytest.mark.topology("subnets")]

SILENCE_S = 0.3
METADATA = "http://169.254.169.254"
TIME = "169.254.169.123"
TTL = ("-H", "X-aws-ec2-metadata-token-ttl-seconds: 60")
SEVENTY_YEARS_S = 2208988800
RELOADS = 3
"""A changed configuration is read at once, not at the same instant."""

CONTAINER = """
unshare -n sleep 30 & until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add name ctr0 type veth peer name ctr1 && ip link set dev ctr1 netns $! && ip address add 172.20.0.1/24 dev ctr0 && ip link set dev ctr0 up
echo 1 > /proc/sys/net/ipv4/ip_forward
nft 'table ip ctr { chain outward { type nat hook postrouting priority 100; ip saddr 172.20.0.0/24 masquerade; }; }'
nsenter -n -t $! sh -c 'ip address add 172.20.0.2/24 dev ctr1; ip link set dev ctr1 up; ip route add default via 172.20.0.1
    curl -s -m 1 -o /dev/null -w "%{http_code} " http://169.254.169.254/; curl -s -m 1 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" http://169.254.169.254/latest/api/token; echo " $?"'
kill $!; ip link delete dev ctr0; nft delete table ip ctr; echo 0 > /proc/sys/net/ipv4/ip_forward
"""
"""A container on an instance: one more hop. It asks for anything (which wants a token), then for a token."""


def token(lab, node):
    answer = lab[node].curl(f"{METADATA}/latest/api/token", "-X", "PUT", *TTL)
    assert answer.status == 200, answer.error
    return answer.text


def metadata(lab, node, path, with_token=None):
    """The answer to a path below ``/latest/``."""
    good = token(lab, node) if with_token is None else with_token
    return lab[node].curl(f"{METADATA}/latest/{path}", *(("-H", f"X-aws-ec2-metadata-token: {good}") if good else ()))


def changed_options(lab, node, **options):
    """The topology with other metadata options of one instance."""
    resources = tuple(replace(r, metadata_options=MetadataOptions(**options)) if r.id == node else r for r in lab.topology.resources)
    return replace(lab.topology, resources=resources)


@pytest.fixture
def change(lab):
    """`lab.change`, and a moment for the daemons to read what is new; changed back at the test's end."""
    before = lab.topology

    def change_and_wait(topology):
        lab.change(topology)
        time.sleep(SILENCE_S)

    yield change_and_wait
    lab.change(before)


def test_trap_27_a_security_group_can_block_dns_and_metadata(lab):
    """Belief: no rules at all, neither in the group nor in the ACL, isolate an instance from everything.

    Truth: neither filters the resolver, the metadata and the time (row 27).
    """
    with lab.capture("vault", "vpc-main", filter=f"dst host {lab['mirror'].address}") as capture:
        assert lab["vault"].tcp("mirror", 80, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"vault/eth0", "vpc-main/e-vault"}, "everything else ends at its interface"
    with lab.capture("vault", filter="src port 53 or src port 80 or src port 123") as capture:
        _link_local_answers(lab)
    assert {packet[IP].src for packet in capture.packets} == {"10.0.0.2", "169.254.169.253", "169.254.169.254", TIME}


def _link_local_answers(lab):
    assert lab["vault"].dig("a.root-servers.net") == ("192.0.2.1",)
    assert lab["vault"].dig("a.root-servers.net", server="169.254.169.253") == ("192.0.2.1",)
    assert metadata(lab, "vault", "meta-data/instance-id").text == "vault"
    with lab["vault"].socket(kind=socket.SOCK_DGRAM) as asker:
        asker.settimeout(2)
        asker.sendto(b"\x23" + bytes(47), (TIME, 123))
        told = asker.recv(100)
    assert (told[0] & 7, told[1]) == (4, 3), "a server's answer, of stratum 3"
    assert abs(struct.unpack_from("!I", told, 40)[0] - SEVENTY_YEARS_S - time.time()) < 2


def test_each_instance_is_told_of_itself(lab):
    web = lab["web"]
    told = {path: metadata(lab, "web", f"meta-data/{path}").text for path in ("instance-id", "local-ipv4", "public-ipv4", "mac", "placement/availability-zone", "placement/region", "security-groups")}
    interface = next(i for i in lab.resolved.interfaces if i.owner == "web")
    assert told == {
        "instance-id": "web", "local-ipv4": str(web.address), "public-ipv4": str(public_address(lab, "web")), "mac": interface.mac,
        "placement/availability-zone": "eu-west-1a", "placement/region": "eu-west-1", "security-groups": "sg-web",
    }  # fmt: skip
    assert metadata(lab, "web", f"meta-data/network/interfaces/macs/{interface.mac}/subnet-id").text == "public-a"
    assert json.loads(metadata(lab, "web", "dynamic/instance-identity/document").text)["instanceId"] == "web"
    assert metadata(lab, "bare", "meta-data/public-ipv4").status == 404
    assert metadata(lab, "bare", "user-data").status == 404
    assert metadata(lab, "bare", "meta-data/iam/info").status == 404


def test_a_token_is_needed_and_good_for_its_own_instance_only(lab):
    assert metadata(lab, "web", "meta-data/", with_token="").status == 401
    assert metadata(lab, "web", "meta-data/", with_token=token(lab, "web")).status == 200
    assert metadata(lab, "web", "meta-data/", with_token=token(lab, "bare")).status == 401
    assert metadata(lab, "web", "meta-data/", with_token="nonsense").status == 401


@pytest.mark.parametrize(("headers", "status"), [((), 400), (("-H", "X-aws-ec2-metadata-token-ttl-seconds: 0"), 400), (("-H", "X-aws-ec2-metadata-token-ttl-seconds: 21601"), 400), ((*TTL, "-H", "X-Forwarded-For: 10.0.0.9"), 403)])
def test_a_token_is_not_given_to_just_any_request(lab, headers, status):
    assert lab["web"].curl(f"{METADATA}/latest/api/token", "-X", "PUT", *headers).status == status


def test_without_the_requirement_both_ways_work_and_switched_off_neither(lab, change):
    change(changed_options(lab, "web", http_tokens="optional"))
    assert [metadata(lab, "web", "meta-data/instance-id", with_token=t).status for t in ("", token(lab, "web"), "nonsense")] == [200, 200, 401]
    change(changed_options(lab, "web", http_endpoint="disabled"))
    assert lab["web"].curl(f"{METADATA}/latest/meta-data/").status == 403


def test_trap_28_a_container_gets_a_metadata_token_like_its_host(lab, change):
    """Belief: what works on the instance works in its containers.

    Truth: the answer to the token's PUT has a TTL of 1 and dies at the next hop; a hop limit of 2 lets it through (row 28).
    """
    with lab.capture("app", filter="tcp src port 80") as capture:
        token(lab, "app")
    assert {packet[IP].ttl for packet in capture.packets if packet["TCP"].flags.P} == {1}
    status, *rest = lab["app"].cmd(CONTAINER).split()
    assert (status, rest) == ("401", ["28"]), "the handshake and other answers arrive, the token's does not: curl waits in vain"
    change(changed_options(lab, "app", http_put_response_hop_limit=2))
    for _ in range(RELOADS):
        told = lab["app"].cmd(CONTAINER).split()
        if len(told) == 3:
            break
    assert (told[0], len(told[1]), told[2]) == ("401", 56, "0")


def test_the_packet_limit_is_each_interfaces_own(lab):
    with lab["app"].socket(kind=socket.SOCK_DGRAM) as flood, lab["bare"].socket(kind=socket.SOCK_DGRAM) as other:
        flood.setblocking(False)
        other.settimeout(2)
        for _ in range(6000):
            flood.sendto(b"\x23" + bytes(47), (TIME, 123))
        other.sendto(b"\x23" + bytes(47), (TIME, 123))
        assert len(other.recv(100)) == 48
        time.sleep(SILENCE_S)
        answers = 0
        while True:
            try:
                flood.recv(100)
            except BlockingIOError:
                break
            answers += 1
    assert answers < 4000, "1,024 a second, and one second's worth in reserve"


@pytest.mark.parametrize("host", [0, 1, 2, 3, 255])
def test_a_reserved_address_answers_nothing_and_only_the_routers_answers_arp(lab, host):
    """The table of "Subnet CIDR blocks": network, router, DNS, future, broadcast. base+2 serves DNS in the VPC's first block alone."""
    reserved = f"10.0.1.{host}"
    with lab.capture("mirror", filter=f"host {reserved} or icmp or arp[6:2] = 2") as capture:
        for sender in ("mirror", "bare"):
            for packet in (UDP(sport=53, dport=53) / b"?", ICMP()):
                send_raw(lab, sender, IP(src=str(lab[sender].address), dst=reserved) / packet)
        time.sleep(SILENCE_S)
    own = str(lab["mirror"].address)
    assert [packet for packet in capture.packets if IP in packet and packet[IP].src != own] == []
    assert {packet[ARP].psrc for packet in capture.packets if ARP in packet and packet[ARP].op == 2} <= {"10.0.1.1"}


def test_the_resolver_is_at_base_plus_two_of_the_vpc_and_of_no_other_subnet(lab):
    assert lab["mirror"].dig("a.root-servers.net", server="10.0.0.2") == ("192.0.2.1",)
    assert lab["mirror"].udp("10.0.1.2", 53, timeout_s=SILENCE_S).answer is not Answer.ANSWERED


def test_there_is_no_broadcast(lab):
    with lab.capture("bare", "mirror", filter="udp port 4000") as capture, lab["web"].socket(kind=socket.SOCK_DGRAM) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        for everybody in ("255.255.255.255", "10.0.0.255", "224.0.0.1"):
            caller.sendto(b"anybody?", (everybody, 4000))
        time.sleep(SILENCE_S)
    assert capture.packets == []


def test_an_option_set_writes_resolv_conf(lab):
    lines = lab["web"].run("cat", "/etc/resolv.conf").out.splitlines()
    assert "nameserver 10.0.0.2" in lines
    assert "search corp.example.com" in lines
