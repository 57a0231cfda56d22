"""Private access: S3 by a gateway endpoint, SQS and KMS by interface endpoints, a provider by PrivateLink, and nothing by the internet."""

import os
import signal
import socket
import sys
import time
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from testbed.compile import compile_plan
from testbed.model import Protocol, SecurityGroup, SecurityGroupRule, VpcEndpoint
from testbed.observe.probe import Answer
from testbed.oracle import Oracle, Outcome, Probe
from testbed.resolve import resolve
from topologies.private_access import private_access

pytestmark = [pytest.mark.packets, pytest.mark.topology("private_access")]

HTTPS = 443
SILENCE_S = 0.3
S3 = "s3.eu-west-1.amazonaws.com"
SQS = "sqs.eu-west-1.amazonaws.com"
KMS = "kms.eu-west-1.amazonaws.com"
PRELUDE = """
import boto3, json
from botocore.config import Config
from botocore.exceptions import ClientError
quick = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
s3, sqs, kms, dynamodb = (boto3.client(name, config=quick) for name in ("s3", "sqs", "kms", "dynamodb"))
def why(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return "done"
"""


@cache
def oracle() -> Oracle:
    return Oracle(resolve(private_access()))


def expects(source: str, destination: str | IPv4Address, port: int = HTTPS) -> Outcome:
    return oracle().walk(Probe(source=source, destination=IPv4Address(destination), protocol=Protocol.TCP, destination_port=port)).outcome


def python(lab, node, program):
    """What a Python program prints in a node."""
    done = lab[node].run(sys.executable, "-c", PRELUDE + program)
    assert done.ok, done.err
    return done.out.strip()


def addresses(lab, node, name):
    return {IPv4Address(answer) for answer in lab[node].dig(name)}


def test_exam_private_s3_access_is_a_gateway_endpoint(lab):
    """Belief: S3 is on the internet, so a private subnet needs a NAT gateway for it. Truth: a route of a gateway endpoint leads there."""
    with lab.capture("vpce-s3", filter=f"tcp port {HTTPS}") as capture:
        assert python(lab, "app", 's3.put_object(Bucket="reports", Key="q1", Body=b"42"); print(s3.get_object(Bucket="reports", Key="q1")["Body"].read().decode())') == "42"
    syn = next(packet for packet in capture.packets if packet["TCP"].flags == "S")
    assert IPv4Address(syn["IP"].src) == lab["app"].address, "S3 sees the private address"
    assert IPv4Address(syn["IP"].dst) in addresses(lab, "app", S3), "the destination stays S3's public one"
    assert syn["IP"].dst.startswith("198.19.12.")


def test_exam_private_sqs_and_kms_access_is_an_interface_endpoint(lab):
    """Belief: there is a gateway endpoint for every service. Truth: for S3 and DynamoDB; all others are reached by an interface with a private address."""
    for name, endpoint in ((SQS, "vpce-sqs"), (KMS, "vpce-kms")):
        assert addresses(lab, "app", name) == {lab[f"{endpoint}-a"].address, lab[f"{endpoint}-b"].address}, "private DNS answers with the endpoint"
    program = """
url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody="build")
key = kms.create_key()["KeyMetadata"]["KeyId"]
sealed = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
print(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"], kms.decrypt(CiphertextBlob=sealed)["Plaintext"].decode())
"""
    nodes = ("vpce-sqs-a", "vpce-sqs-b", "vpce-kms-a", "vpce-kms-b")
    with lab.capture("app", filter="tcp[tcpflags] == tcp-syn") as capture:
        assert python(lab, "app", program) == "build secret"
    assert {IPv4Address(packet["IP"].dst) for packet in capture.packets} <= {lab[node].address for node in nodes}, "every connection is to a private address"


def test_the_aws_command_line_works_unchanged(lab):
    """Its version 1 asks for SQS by a legacy name, which private DNS does not have: there it wants the service's own name, as on AWS."""
    aws = (sys.executable, "-m", "awscli")
    made = lab["app"].run(*aws, "sqs", "create-queue", "--queue-name", "cli", "--endpoint-url", f"https://{SQS}", "--output", "text")
    assert made.ok, made.err
    assert made.out.strip() == f"https://{SQS}/111122223333/cli"
    copied = lab["app"].run(*aws, "s3", "cp", "-", "s3://reports/from-the-cli", given="a report\n")
    assert copied.ok, copied.err
    assert lab["app"].run(*aws, "s3", "cp", "s3://reports/from-the-cli", "-").out == "a report\n"
    refused = lab["outsider"].run(*aws, "s3", "ls", "s3://vault")
    assert "(AccessDenied)" in refused.err
    assert "with an explicit deny in a resource-based policy" in refused.err


def test_an_endpoint_is_reached_by_its_own_names_too(lab):
    own = "vpce-sqs.sqs.eu-west-1.vpce.amazonaws.com"
    assert addresses(lab, "app", own) == {lab["vpce-sqs-a"].address, lab["vpce-sqs-b"].address}
    assert addresses(lab, "app", "vpce-sqs-eu-west-1b.sqs.eu-west-1.vpce.amazonaws.com") == {lab["vpce-sqs-b"].address}
    assert python(lab, "app", f'print(why(boto3.client("sqs", endpoint_url="https://{own}", config=quick).list_queues))') == "done"


def test_a_service_without_an_endpoint_is_out_of_reach(lab):
    (dynamodb, *_) = sorted(addresses(lab, "app", "dynamodb.eu-west-1.amazonaws.com"))
    assert expects("app", dynamodb) is Outcome.DROPPED
    assert lab["app"].tcp(dynamodb, HTTPS, timeout_s=SILENCE_S).answer is Answer.SILENT


def test_trap_25_behind_a_gateway_endpoint_s3_has_private_addresses(lab):
    """Belief: with a gateway endpoint a security group need only let 10.0.0.0/8 out.

    Truth: S3's addresses stay public, the group must let out the prefix list (row 25).
    """
    (s3, *_) = sorted(addresses(lab, "app", S3))
    for node, outcome in (("app", Outcome.DELIVERED), ("strict", Outcome.DROPPED)):
        assert expects(node, s3) is outcome
        with lab.capture("vpce-s3", filter=f"tcp[tcpflags] == tcp-syn and src host {lab[node].address}") as capture:
            assert lab[node].tcp(s3, HTTPS, timeout_s=SILENCE_S).passed == (outcome is Outcome.DELIVERED)
        assert {packet["IP"].dst for packet in capture.packets} == ({str(s3)} if outcome is Outcome.DELIVERED else set())
    assert lab["strict"].tcp(lab["vpce-sqs-a"].address, HTTPS).answer is Answer.ANSWERED, "10.0.0.0/8 is enough for an interface endpoint"


def test_a_bucket_policy_admits_the_endpoint_alone(lab):
    assert python(lab, "app", 'print(why(s3.put_object, Bucket="vault", Key="k", Body=b"gold"))') == "done"
    assert python(lab, "outsider", 'print(why(s3.put_object, Bucket="reports", Key="from-outside", Body=b"x"))') == "done", "the internet leads to S3"
    denied = python(lab, "outsider", 'print(why(s3.get_object, Bucket="vault", Key="k"))')
    assert denied.startswith("403 AccessDenied: ")
    assert denied.endswith("with an explicit deny in a resource-based policy")


def test_an_endpoint_policy_keeps_data_from_leaving(lab):
    denied = python(lab, "app", 'print(why(s3.put_object, Bucket="foreign", Key="k", Body=b"our data"))')
    assert denied.startswith("403 AccessDenied: ")
    assert denied.endswith("because no VPC endpoint policy allows the s3:PutObject action")
    assert python(lab, "outsider", 'print(why(s3.put_object, Bucket="foreign", Key="k", Body=b"x"))') == "done"


def test_a_policy_put_by_a_program_is_in_force_at_once(lab):
    policy = """{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::reports/*"}]}"""
    program = f"""
s3.put_bucket_policy(Bucket="reports", Policy='''{policy}''')
print(why(s3.delete_object, Bucket="reports", Key="none"))
s3.delete_bucket_policy(Bucket="reports")
print(why(s3.delete_object, Bucket="reports", Key="none"))
print(why(s3.put_bucket_policy, Bucket="reports", Policy="nonsense"))
"""
    denied, allowed, malformed = python(lab, "app", program).splitlines()
    assert denied.startswith("403 AccessDenied")
    assert allowed == "done"
    assert malformed.startswith("400 MalformedPolicy")


def test_trap_24_a_gateway_endpoint_serves_a_peer_too(lab):
    """Belief: a peered VPC reaches S3 by my gateway endpoint, if it has a route for S3's prefix list to the peering.

    Truth: a gateway endpoint serves its own VPC only, an interface endpoint whoever has a way to it (row 24; on-premises like a peer, by 3 of 4).
    """
    (s3, *_) = sorted(addresses(lab, "app", S3))
    assert expects("neighbour", s3) is Outcome.DROPPED
    with lab.capture("vpc-app", "vpce-s3", filter=f"host {lab['neighbour'].address} and host {s3}") as capture:
        assert lab["neighbour"].tcp(s3, HTTPS, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert {packet.sniffed_on for packet in capture.packets} == {"vpc-app/p-pcx-app-peer"}, "it comes over the peering, and no further"
    assert lab["neighbour"].tcp(lab["vpce-sqs-a"].address, HTTPS).answer is Answer.ANSWERED


def test_an_interface_endpoint_serves_a_peered_vpc_too(lab):
    sqs = lab["vpce-sqs-a"].address
    assert expects("neighbour", sqs) is Outcome.DELIVERED
    assert lab["neighbour"].tcp(sqs, HTTPS).answer is Answer.ANSWERED
    assert lab["neighbour"].tcp(sqs, 22, timeout_s=SILENCE_S).answer is Answer.SILENT


@pytest.fixture
def orders(lab):
    """The provider's service."""
    with lab["orders"].socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 8443))
        listener.listen()
        listener.settimeout(2)
        yield listener


def test_trap_14_overlapping_ranges_cannot_meet_at_all(lab, orders):
    """Belief, after the refusal of the peering: then the two VPCs must be renumbered.

    Truth: PrivateLink joins them, since neither side sees an address of the other (row 14).
    """
    (endpoint,) = addresses(lab, "app", "orders.example.com")
    assert endpoint == lab["vpce-orders-a"].address
    assert expects("app", endpoint) is Outcome.DELIVERED
    with lab["app"].socket() as client:
        client.settimeout(2)
        client.connect((str(endpoint), HTTPS))
        server, (source, _port) = orders.accept()
        with server:
            client.sendall(b"order")
            assert server.recv(100) == b"order"
    assert IPv4Address(source) == lab["nlb-orders-a"].address, "the provider sees its balancer's node, never a consumer"


def test_private_link_is_one_directional(lab):
    for node in ("nlb-orders-a", "orders"):
        assert not lab[node].tcp(lab["vpce-orders-a"].address, HTTPS, timeout_s=SILENCE_S).passed
    assert not lab["nlb-orders-a"].tcp(lab["vpce-orders-a"].address, 8443, timeout_s=SILENCE_S).passed


@pytest.mark.parametrize(("size", "arrives"), [(8500, True), (8505, False)])
def test_an_endpoint_drops_what_is_larger_than_8500_bytes_and_says_nothing(lab, size, arrives):
    """The kernel leaves room for a VLAN tag: up to four bytes too many pass."""
    app, sqs = lab["app"].address, lab["vpce-sqs-a"].address
    packet = IP(src=str(app), dst=str(sqs), flags="DF") / TCP(sport=40000 + size % 10, dport=HTTPS, flags="S") / Raw(b"x" * (size - 40))
    with lab.capture("app", "vpce-sqs-a", filter=f"host {app} and (icmp or port {40000 + size % 10})") as capture, lab["app"].socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_RAW) as raw:
        raw.sendto(bytes(packet), (str(sqs), 0))
        time.sleep(SILENCE_S)
    assert any(seen.sniffed_on.startswith("app/") and len(seen["IP"]) == size for seen in capture.packets)
    assert any(seen.sniffed_on.startswith("vpce-sqs-a/") for seen in capture.packets) == arrives
    assert not any(seen.haslayer("ICMP") for seen in capture.packets), "no path-MTU discovery"


def test_an_endpoint_announces_an_mss_that_fits(lab):
    with lab.capture("app", filter=f"tcp port {HTTPS}") as capture:
        lab["app"].tcp(lab["vpce-sqs-a"].address, HTTPS)
    synack = next(packet for packet in capture.packets if packet["TCP"].flags == "SA")
    assert dict(synack["TCP"].options)["MSS"] == 8460


def test_a_killed_front_is_back_and_has_lost_nothing(lab):
    python(lab, "app", 's3.put_object(Bucket="reports", Key="kept", Body=b"still here")')
    (front,) = (service for service in lab.ps() if service.name == "services-eu-west-1.aws")
    os.kill(front.pid, signal.SIGKILL)
    program = """
import time
for attempt in range(20):
    try:
        print(s3.get_object(Bucket="reports", Key="kept")["Body"].read().decode())
        break
    except Exception:
        time.sleep(0.1)
"""
    assert python(lab, "app", program) == "still here"


def test_an_endpoint_added_live_serves_at_once_and_no_data_is_lost(lab):
    python(lab, "app", 's3.put_object(Bucket="reports", Key="before", Body=b"kept")')
    before = private_access()
    table = VpcEndpoint(id="vpce-dynamodb", vpc_id="vpc-app", service_name="com.amazonaws.eu-west-1.dynamodb", vpc_endpoint_type="Gateway", route_table_ids=("rtb-private",))
    (dynamodb, *_) = sorted(addresses(lab, "outsider", "dynamodb.eu-west-1.amazonaws.com"))
    program = 'import time; time.sleep(0.5); print(dynamodb.list_tables()["TableNames"], s3.get_object(Bucket="reports", Key="before")["Body"].read().decode())'
    opened = SecurityGroup(
        id="sg-app", vpc_id="vpc-app", security_group_egress=(SecurityGroupRule(ip_protocol="tcp", from_port=HTTPS, to_port=HTTPS, cidr_ip="0.0.0.0/0"),)
    )
    lab.apply(compile_plan(resolve(replace(before, resources=(*(r for r in before.resources if r.id != "sg-app"), opened, table)))))
    try:
        assert python(lab, "app", program) == "[] kept"
    finally:
        lab.apply(compile_plan(resolve(before)))
    assert lab["app"].tcp(dynamodb, HTTPS, timeout_s=SILENCE_S).answer is Answer.SILENT
