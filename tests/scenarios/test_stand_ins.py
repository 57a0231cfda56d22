"""The stand-ins of AWS's own services die and come back; what they hold stays, or its loss is said. How wrong input is answered.

Nothing here depends on how long a restart takes: it is awaited.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

from testbed.observe.probe import Answer

pytestmark = [pytest.mark.packets, pytest.mark.topology("private_access")]

REGION = "eu-west-1"
METADATA, TIME = "169.254.169.254", "169.254.169.123"
PATIENCE_S = 20.0
FRONT, STATE = f"services-{REGION}.aws", f"services-{REGION}.aws_state"
ZYGOTE = "zygote-aws_stat"  # what fits of a process's name
PRELUDE = f"""
import boto3, json, sys
from botocore.config import Config
from botocore.exceptions import ClientError
quick = Config(connect_timeout=3, read_timeout=10, retries={{"total_max_attempts": 10, "mode": "standard"}})
s3, sqs, dynamodb = (boto3.client(name, region_name="{REGION}", config=quick) for name in ("s3", "sqs", "dynamodb"))
def why(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return f"{{error.response['ResponseMetadata']['HTTPStatusCode']}} {{error.response['Error']['Code']}}"
    return "done"
"""
WRITE = """
s3.put_object(Bucket="reports", Key="kept", Body=b"an object")
sqs.send_message(QueueUrl=sqs.create_queue(QueueName="kept")["QueueUrl"], MessageBody="a message")
dynamodb.create_table(TableName="kept", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")
dynamodb.put_item(TableName="kept", Item={"id": {"S": "1"}, "text": {"S": "an item"}})
"""
READ = """
print(s3.get_object(Bucket="reports", Key="kept")["Body"].read().decode())
print(sqs.receive_message(QueueUrl=sqs.get_queue_url(QueueName="kept")["QueueUrl"], VisibilityTimeout=0)["Messages"][0]["Body"])
print(dynamodb.get_item(TableName="kept", Key={"id": {"S": "1"}})["Item"]["text"]["S"])
"""


def python(lab, program):
    """What a Python program prints in `outsider`, who reaches all services by the internet."""
    done = lab["outsider"].run(sys.executable, "-c", PRELUDE + program)
    assert done.ok, done.err
    return done.out.split("\n")[:-1]


def pid_of(lab, name):
    (service,) = (service for service in lab.ps() if service.name == name)
    return service.pid


def killed(lab, name):
    """Kill a service, and wait until another process does its work."""
    again(lab, name, pid_of(lab, name))


def again(lab, name, pid):
    """Kill a process, and wait until another one than now does a service's work. Whole seconds would fail no test: see the module's docstring."""
    before = pid_of(lab, name)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        (now,) = (service for service in lab.ps() if service.name == name)
        if now.state == "ready" and now.pid != before:
            return
        time.sleep(0.02)
    pytest.fail(f"{name} is not back")


def events(lab, name, kind):
    """What a service's log says of one kind."""
    path = lab.log_directory / f"{name}.jsonl"
    return [event for event in map(json.loads, path.read_text().splitlines()) if event["event"] == kind]


def ask_time(lab):
    with lab["app"].socket(kind=socket.SOCK_DGRAM) as asker:
        asker.settimeout(2)
        asker.sendto(b"\x23" + bytes(47), (TIME, 123))
        return struct.unpack_from("!BB", asker.recv(100))[1]


ANSWERS = {
    "imds": lambda lab: lab["app"].curl(f"http://{METADATA}/latest/api/token", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60").status == 200,
    "dns": lambda lab: lab["app"].dig("a.root-servers.net") == ("192.0.2.1",),
    "ntp": lambda lab: ask_time(lab) == 3,
    "aws": lambda lab: lab["outsider"].tcp(lab["outsider"].dig(f"s3.{REGION}.amazonaws.com")[0], 443).answer is Answer.ANSWERED,
}


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_a_killed_stand_in_is_back(lab, kind):
    assert ANSWERS[kind](lab)
    killed(lab, f"services-{REGION}.{kind}")
    assert ANSWERS[kind](lab)


def test_a_metadata_token_of_before_the_restart_is_refused_and_a_new_one_is_good(lab):
    def token():
        return lab["app"].curl(f"http://{METADATA}/latest/api/token", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60").text

    def status(with_token):
        return lab["app"].curl(f"http://{METADATA}/latest/meta-data/instance-id", "-H", f"X-aws-ec2-metadata-token: {with_token}").status

    old = token()
    assert status(old) == 200
    killed(lab, f"services-{REGION}.imds")
    assert [status(old), status(token())] == [401, 200]


def test_objects_messages_and_items_outlive_the_front(lab):
    python(lab, WRITE)
    killed(lab, FRONT)
    assert python(lab, READ) == ["an object", "a message", "an item"]
    assert events(lab, FRONT, "aws_data_lost") == []


def test_with_the_state_they_are_lost_and_the_log_says_so(lab):
    """The buckets of the topology, with their policies, are there again; what a program has put is not, policies included."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::reports/*"}
    put = f"s3.put_bucket_policy(Bucket='reports', Policy='{json.dumps({'Version': '2012-10-17', 'Statement': [statement]})}')"
    objects = python(lab, 's3.put_object(Bucket="foreign", Key="kept", Body=b"x"); ' + put + '; print(why(s3.put_object, Bucket="reports", Key="k", Body=b"x"))')
    assert objects == ["403 AccessDenied"]
    killed(lab, STATE)
    found = python(lab, 'print(sorted(b["Name"] for b in s3.list_buckets()["Buckets"])); print(why(s3.get_object, Bucket="foreign", Key="kept"), why(s3.get_object, Bucket="vault", Key="k")); print(why(s3.put_object, Bucket="reports", Key="k", Body=b"x"))')
    assert found == ["['foreign', 'reports', 'vault']", "404 NoSuchKey 403 AccessDenied", "done"]
    assert [event["region"] for event in events(lab, FRONT, "aws_data_lost")] == [REGION]


def parent(pid):
    """A process's parent, and what that is called."""
    of = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return of, Path(f"/proc/{of}/comm").read_text().strip()


def test_the_state_comes_back_from_a_process_that_has_imported_it_already(lab):
    """To import moto takes seconds. Other daemons do not carry it."""
    before = parent(pid_of(lab, STATE))
    assert before[1] == ZYGOTE and parent(pid_of(lab, FRONT)) == parent(before[0])
    killed(lab, STATE)
    assert parent(pid_of(lab, STATE)) == before
    assert python(lab, 'print(len(s3.list_buckets()["Buckets"]))') == ["3"]


def test_messages_of_another_life_have_other_identifiers(lab):
    """Both lives are forked from one process: what it draws at random must not come again."""
    ask = 'print(sqs.send_message(QueueUrl=sqs.create_queue(QueueName="known")["QueueUrl"], MessageBody="a message")["MessageId"])'
    killed(lab, STATE)
    first = python(lab, ask)
    killed(lab, STATE)
    assert python(lab, ask) != first


def test_without_that_process_the_state_comes_back_as_well(lab):
    process, name = parent(pid_of(lab, STATE))
    assert name == ZYGOTE
    again(lab, STATE, process)
    assert parent(pid_of(lab, STATE))[0] != process
    assert python(lab, 'print(len(s3.list_buckets()["Buckets"]))') == ["3"]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (("-X", "PUT"), 400), (("-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: -1"), 400), (("-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: six"), 400),
        (("-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 99999999999999999999"), 400), ((), 405), (("-X", "DELETE"), 405), (("-X", "POST", "-d", "x" * 5000), 405),
        (("-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60", "-H", "X-Forwarded-For: 10.0.1.9"), 403),
    ],
)  # fmt: skip
def test_wrong_requests_for_a_metadata_token(lab, request_line, status):
    assert lab["app"].curl(f"http://{METADATA}/latest/api/token", *request_line).status == status


@pytest.mark.parametrize("token", ["", "x", "A" * 56, "=" * 56, "A" * 4000])
def test_a_wrong_metadata_token_is_refused(lab, token):
    for path in ("meta-data/instance-id", "meta-data/../user-data", "meta-data/%00", "dynamic/instance-identity/document"):
        assert lab["app"].curl(f"http://{METADATA}/latest/{path}", "--path-as-is", "-H", f"X-aws-ec2-metadata-token: {token}").status == 401
    assert ANSWERS["imds"](lab)


@pytest.mark.parametrize(
    "what",
    [b"GET", b"\x00" * 3000, b"\x16\x03\x01" + b"\xff" * 600, b"GET / HTTP/1.1\r\nHost: " + b"h" * 70000, b"POST / HTTP/1.1\r\nHost: s3\r\nContent-Length: -5\r\n\r\n",
     b"PUT /x HTTP/1.1\r\nHost: s3\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_nonsense_at_an_endpoint_ends_its_own_connection_and_no_other(lab, what):
    """At SQS's interface endpoint, where TLS is spoken."""
    endpoint = str(lab["vpce-sqs-a"].address)
    pid = next(service.pid for service in lab.ps() if service.name == FRONT)
    with lab["neighbour"].socket() as sock:
        sock.settimeout(5)
        sock.connect((endpoint, 443))
        sock.sendall(what)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
    assert lab["app"].tcp(endpoint, 443).answer is Answer.ANSWERED
    assert pid == next(service.pid for service in lab.ps() if service.name == FRONT)
