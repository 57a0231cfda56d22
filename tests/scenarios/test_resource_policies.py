"""Policies of queues, keys and tables, by which way a call comes; and what is true of connections through endpoints."""

import socket
import sys
from ipaddress import IPv4Address

import pytest

from testbed.model import Instance, InternetGateway, Route, RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Topology, Vpc, VpcEndpoint
from testbed.observe.probe import Answer

REGION, HTTPS = "eu-west-1", 443
TIME_SCALE = 200.0
"""An endpoint's idle timeout of 350 s takes under two seconds."""
SILENCE_S = 0.3
PRELUDE = """
import boto3, json
from botocore.config import Config
from botocore.exceptions import ClientError
quick = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
sqs, kms, dynamodb = (boto3.client(name, config=quick) for name in ("sqs", "kms", "dynamodb"))
def why(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return "done"
def only_by(endpoint, action, resource="*"):
    deny = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource, "Condition": {"StringNotEquals": {"aws:sourceVpce": endpoint}}}
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "*", "Resource": "*"}, deny]})
"""


def inside_and_outside(egress: str = "0.0.0.0/0") -> Topology:
    def endpoint(service: str, **properties: object) -> VpcEndpoint:
        return VpcEndpoint(id=f"vpce-{service}", vpc_id="vpc-in", service_name=f"com.amazonaws.{REGION}.{service}", **properties)

    interface = {"vpc_endpoint_type": "Interface", "subnet_ids": ("subnet-in",), "security_group_ids": ("sg-open",), "private_dns_enabled": True}
    everything = SecurityGroupRule(ip_protocol="-1", cidr_ip="0.0.0.0/0")
    return Topology(
        name="policies", time_scale=TIME_SCALE,
        resources=(
            Vpc(id="vpc-in", region=REGION, cidr_block="10.0.0.0/16", enable_dns_hostnames=True),
            Subnet(id="subnet-in", vpc_id="vpc-in", cidr_block="10.0.1.0/24", availability_zone=f"{REGION}a"),
            RouteTable(id="rtb-in", vpc_id="vpc-in", main=True),
            SecurityGroup(id="sg-open", vpc_id="vpc-in", security_group_ingress=(everything,)),
            SecurityGroup(id="sg-inside", vpc_id="vpc-in", security_group_ingress=(everything,), security_group_egress=(SecurityGroupRule(ip_protocol="-1", cidr_ip=egress),)),
            Instance(id="inside", subnet_id="subnet-in", security_group_ids=("sg-inside",)),
            endpoint("sqs", **interface), endpoint("kms", **interface),
            endpoint("dynamodb", route_table_ids=("rtb-in",)), endpoint("s3", route_table_ids=("rtb-in",)),
            Vpc(id="vpc-out", region=REGION, cidr_block="10.2.0.0/16"),
            InternetGateway(id="igw-out", vpc_id="vpc-out"),
            Subnet(id="subnet-out", vpc_id="vpc-out", cidr_block="10.2.1.0/24", availability_zone=f"{REGION}a", map_public_ip_on_launch=True),
            RouteTable(id="rtb-out", vpc_id="vpc-out", main=True, routes=(Route(destination_cidr_block="0.0.0.0/0", gateway_id="igw-out"),)),
            Instance(id="outside", subnet_id="subnet-out"),
        ),
    )  # fmt: skip


pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(inside_and_outside)]


def python(lab, node, program):
    done = lab[node].run(sys.executable, "-c", PRELUDE + program)
    assert done.ok, done.err
    return done.out.strip()


def test_a_queue_that_only_an_endpoint_reaches(lab):
    url = python(lab, "inside", """
url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": only_by("vpce-sqs", "sqs:SendMessage")})
sqs.send_message(QueueUrl=url, MessageBody="from inside")
print(url)
""")
    denied = python(lab, "outside", f'print(why(sqs.send_message, QueueUrl="{url}", MessageBody="x"))')
    assert denied.startswith("403 AccessDenied: User: arn:aws:iam::111122223333:user/lab is not authorized to perform: sqs:sendmessage on resource: arn:aws:sqs:eu-west-1:111122223333:jobs")
    assert denied.endswith("with an explicit deny in a resource-based policy")
    malformed = python(lab, "inside", f"""print(why(sqs.set_queue_attributes, QueueUrl="{url}", Attributes={{"Policy": '{{"Statement": 7}}'}}))""")
    assert malformed == "400 InvalidAttributeValue: Invalid value for the parameter Policy."


def test_a_key_serves_whom_its_own_policy_names(lab):
    program = """
key = kms.create_key(Policy=only_by("vpce-kms", ["kms:Encrypt", "kms:Decrypt"]))["KeyMetadata"]["KeyId"]
kms.create_alias(AliasName="alias/app", TargetKeyId=key)
print(kms.encrypt(KeyId="alias/app", Plaintext=b"secret")["CiphertextBlob"].hex())
lockout = json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}]})
print(why(kms.put_key_policy, KeyId=key, PolicyName="default", Policy=lockout))
"""
    sealed, lockout = python(lab, "inside", program).splitlines()
    assert lockout == "400 MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future."
    unseal = f'print(why(kms.decrypt, CiphertextBlob=bytes.fromhex("{sealed}")))'
    assert python(lab, "inside", unseal) == "done"
    denied = python(lab, "outside", unseal)
    assert denied.startswith("400 AccessDeniedException: User: ")
    assert denied.endswith("with an explicit deny in a resource-based policy"), "Decrypt names no key: the ciphertext does"
    assert "AccessDeniedException" in python(lab, "outside", 'print(why(kms.encrypt, KeyId="alias/app", Plaintext=b"x"))'), "an alias is followed to its key"


def test_a_table_that_only_a_vpc_reaches(lab):
    program = """
arn = dynamodb.create_table(TableName="orders", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])["TableDescription"]["TableArn"]
dynamodb.put_resource_policy(ResourceArn=arn, Policy=only_by("vpc-in", "dynamodb:PutItem").replace("sourceVpce", "SourceVpc"))
print(why(dynamodb.put_item, TableName="orders", Item={"id": {"S": "1"}}))
"""
    assert python(lab, "inside", program) == "done"
    denied = python(lab, "outside", 'print(why(dynamodb.put_item, TableName="orders", Item={"id": {"S": "2"}}))')
    assert denied.startswith("400 AccessDeniedException: User: ")
    assert "arn:aws:dynamodb:eu-west-1:111122223333:table/orders with an explicit deny" in denied
    assert python(lab, "outside", 'print(dynamodb.get_item(TableName="orders", Key={"id": {"S": "1"}})["Item"]["id"]["S"])') == "1", "only writing is denied"


def test_an_unsigned_call_is_denied_in_each_services_words(lab):
    program = """
from botocore import UNSIGNED
unsigned = quick.merge(Config(signature_version=UNSIGNED))
print(why(boto3.client("s3", config=unsigned).list_buckets))
print(why(boto3.client("sqs", config=unsigned).create_queue, QueueName="mine"))
print(why(boto3.client("kms", config=unsigned).list_keys))
print(why(boto3.client("dynamodb", config=unsigned).list_tables))
"""
    assert [line.partition(":")[0] for line in python(lab, "inside", program).splitlines()] == [
        "403 AccessDenied", "403 AccessDenied", "400 MissingAuthenticationTokenException", "400 MissingAuthenticationTokenException",
    ]  # fmt: skip


def service_address(lab, name):
    return next(service.addresses[0] for region in lab.resolved.regions for service in region.aws_services if service.name == name)


def test_a_connection_to_dynamodb_is_tracked_and_outlives_its_rule_one_to_s3_does_not(lab):
    """Both are allowed by 0.0.0.0/0 both ways, so not tracked; but flows by DynamoDB's gateway endpoint always are."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with lab["inside"].socket() as to_dynamodb, lab["inside"].socket() as to_s3:
        for client, service in ((to_dynamodb, "dynamodb"), (to_s3, "s3")):
            client.settimeout(3)
            client.connect((str(service_address(lab, service)), 80))
            client.sendall(request)
            assert client.recv(65536)
        try:
            lab.change(inside_and_outside(egress="10.0.0.0/8"))
            assert lab["inside"].tcp(service_address(lab, "dynamodb"), HTTPS, timeout_s=SILENCE_S).answer is Answer.SILENT, "a new one is refused"
            to_dynamodb.sendall(request)
            assert to_dynamodb.recv(65536)
            to_s3.settimeout(SILENCE_S)
            to_s3.sendall(request)
            with pytest.raises(TimeoutError):
                to_s3.recv(65536)
        finally:
            lab.change(inside_and_outside())


def test_an_idle_connection_through_an_endpoint_ends_after_350_seconds(lab):
    (sqs,) = {IPv4Address(answer) for answer in lab["inside"].dig(f"sqs.{REGION}.amazonaws.com")}
    with lab["inside"].socket() as client:
        client.settimeout(10)
        client.connect((str(sqs), 80))
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass


def test_an_endpoint_never_calls(lab):
    """One-directional: whatever is behind an endpoint's interface reaches nobody in the VPC."""
    assert lab["vpce-sqs-a"].tcp("inside", HTTPS, timeout_s=SILENCE_S).answer is Answer.SILENT
    (gateway, *_) = (node.name for node in lab.plan.nodes if node.name == "vpce-s3")
    with lab.capture("inside", filter="tcp") as capture, lab[gateway].socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(SILENCE_S)
        with pytest.raises(OSError):
            client.connect((str(lab["inside"].address), 22))
    assert capture.packets == []
