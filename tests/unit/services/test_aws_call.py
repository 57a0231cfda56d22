"""What a request asks of AWS, read from its method, path, host and body; and who may."""

import base64
import json

import pytest

from services.aws.authorisation import Way, context, locks_out, principal, refusal
from services.aws.call import named_call, s3_call
from services.aws.errors import Protocol, access_denied, error, protocol
from services.aws.policy import ANONYMOUS, Request, parse

HOST = "s3.eu-west-1.amazonaws.com"
SUFFIXES = (HOST, "bucket.vpce-s3.s3.eu-west-1.vpce.amazonaws.com")
ACCOUNT = "111122223333"


@pytest.mark.parametrize(
    ("method", "target", "host", "action", "resource", "path"),
    [
        ("GET", "/", HOST, "s3:ListAllMyBuckets", "*", "/"),
        ("GET", "/reports", HOST, "s3:ListBucket", "arn:aws:s3:::reports", "/reports"),
        ("GET", "/?list-type=2&prefix=a", f"reports.{HOST}", "s3:ListBucket", "arn:aws:s3:::reports", "/reports?list-type=2&prefix=a"),
        ("PUT", "/reports", HOST, "s3:CreateBucket", "arn:aws:s3:::reports", "/reports"),
        ("PUT", "/a/b%20c", f"reports.{HOST}:443", "s3:PutObject", "arn:aws:s3:::reports/a/b c", "/reports/a/b%20c"),
        ("HEAD", "/reports/key", HOST, "s3:GetObject", "arn:aws:s3:::reports/key", "/reports/key"),
        ("GET", "/reports/key?versionId=1", HOST, "s3:GetObjectVersion", "arn:aws:s3:::reports/key", "/reports/key?versionId=1"),
        ("DELETE", "/key", "reports.bucket.vpce-s3.s3.eu-west-1.vpce.amazonaws.com", "s3:DeleteObject", "arn:aws:s3:::reports/key", "/reports/key"),
        ("PUT", "/reports?policy", HOST, "s3:PutBucketPolicy", "arn:aws:s3:::reports", "/reports?policy"),
        ("GET", "/reports?location", HOST, "s3:GetBucketLocation", "arn:aws:s3:::reports", "/reports?location"),
        ("POST", "/reports?delete", HOST, "s3:DeleteObject", "arn:aws:s3:::reports/*", "/reports?delete"),
        ("POST", "/reports/key?uploads", HOST, "s3:PutObject", "arn:aws:s3:::reports/key", "/reports/key?uploads"),
        ("DELETE", "/reports/key?uploadId=1", HOST, "s3:AbortMultipartUpload", "arn:aws:s3:::reports/key", "/reports/key?uploadId=1"),
        ("PUT", "/reports/key?tagging", HOST, "s3:PutObjectTagging", "arn:aws:s3:::reports/key", "/reports/key?tagging"),
    ],
)
def test_an_s3_request(method, target, host, action, resource, path):
    call = s3_call(method, target, host, SUFFIXES)
    assert (call.action, call.resource, call.path) == (action, resource, path)


def test_listing_has_its_prefix_as_condition_key():
    assert s3_call("GET", "/reports?prefix=home/", HOST, SUFFIXES).context == {"s3:prefix": "home/"}


@pytest.mark.parametrize(
    ("service", "headers", "body", "action", "resource"),
    [
        ("sqs", {"x-amz-target": "AmazonSQS.SendMessage"}, b'{"QueueUrl": "https://sqs/111122223333/jobs"}', "sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:jobs"),
        ("sqs", {}, b"Action=CreateQueue&QueueName=jobs", "sqs:CreateQueue", "arn:aws:sqs:eu-west-1:111122223333:jobs"),
        ("dynamodb", {"x-amz-target": "DynamoDB_20120810.PutItem"}, b'{"TableName": "orders"}', "dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"),
        ("kms", {"x-amz-target": "TrentService.Encrypt"}, b'{"KeyId": "alias/app"}', "kms:Encrypt", "arn:aws:kms:eu-west-1:111122223333:alias/app"),
        ("kms", {"x-amz-target": "TrentService.ListKeys"}, b"{}", "kms:ListKeys", "*"),
        ("kms", {}, b"\xff not a body", "kms:Unknown", "*"),
    ],
)
def test_a_named_request(service, headers, body, action, resource):
    call = named_call(service, "/", headers, body, "eu-west-1", ACCOUNT)
    assert (call.action, call.resource) == (action, resource)


KEY = "0d7ad6ae-8b1f-4f0e-9d3e-0123456789ab"
TABLE = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"


@pytest.mark.parametrize(
    ("service", "action", "fields", "holder"),
    [
        ("sqs", "SendMessage", {"QueueUrl": "https://sqs/111122223333/jobs"}, "111122223333/jobs"),
        ("sqs", "CreateQueue", {"QueueName": "jobs"}, None),
        ("sqs", "ListQueues", {}, None),
        ("dynamodb", "PutItem", {"TableName": "orders"}, TABLE),
        ("dynamodb", "Query", {"TableName": f"{TABLE}/index/by-date"}, TABLE),
        ("dynamodb", "BatchGetItem", {"RequestItems": {"orders": {}}}, TABLE),
        ("dynamodb", "BatchGetItem", {"RequestItems": {"orders": {}, "clients": {}}}, None),
        ("kms", "Encrypt", {"KeyId": KEY}, KEY),
        ("kms", "Encrypt", {"KeyId": f"arn:aws:kms:eu-west-1:111122223333:key/{KEY}"}, KEY),
        ("kms", "Encrypt", {"KeyId": "alias/app"}, "arn:aws:kms:eu-west-1:111122223333:alias/app"),
        ("kms", "Decrypt", {"CiphertextBlob": base64.b64encode(KEY.encode() + b"\xff sealed").decode()}, KEY),
        ("kms", "Decrypt", {"CiphertextBlob": "%%%"}, None),
    ],
)
def test_whose_policy_judges_a_call(service, action, fields, holder):
    assert named_call(service, "/", {"x-amz-target": f"T.{action}"}, json.dumps(fields).encode(), "eu-west-1", ACCOUNT).holder == holder


@pytest.mark.parametrize(
    ("service", "headers", "body"),
    [
        ("sqs", {"x-amz-target": "AmazonSQS.SetQueueAttributes"}, json.dumps({"QueueUrl": "/1/jobs", "Attributes": {"Policy": "{}"}})),
        ("sqs", {}, "Action=SetQueueAttributes&QueueUrl=/1/jobs&Attribute.1.Name=Policy&Attribute.1.Value={}"),
        ("kms", {"x-amz-target": "TrentService.PutKeyPolicy"}, json.dumps({"KeyId": KEY, "Policy": "{}"})),
        ("dynamodb", {"x-amz-target": "DynamoDB_20120810.PutResourcePolicy"}, json.dumps({"ResourceArn": TABLE, "Policy": "{}"})),
    ],
)
def test_a_call_that_puts_a_policy(service, headers, body):
    call = named_call(service, "/", headers, body.encode(), "eu-west-1", ACCOUNT)
    assert call.policy == "{}"
    assert call.changes_policy


def test_through_an_endpoint_the_source_address_is_no_key():
    inside = context(Way(source="10.0.1.9", secure=True, endpoint="vpce-s3", vpc="vpc-app"), "arn:aws:iam::1:user/lab", ACCOUNT, {})
    assert "aws:sourceip" not in inside
    assert (inside["aws:sourcevpce"], inside["aws:sourcevpc"], inside["aws:vpcsourceip"]) == ("vpce-s3", "vpc-app", "10.0.1.9")
    outside = context(Way(source="198.51.100.9", secure=False), ANONYMOUS, ACCOUNT, {})
    assert outside == {"aws:securetransport": "false", "aws:sourceip": "198.51.100.9"}


ALLOW = parse(json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}))
DENY = parse(json.dumps({"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}))
NOTHING = parse(json.dumps({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}}))


@pytest.mark.parametrize(
    ("signed", "endpoint", "resource", "why"),
    [
        (True, None, None, None),
        (True, ALLOW, None, None),
        (True, ALLOW, NOTHING, None),
        (True, NOTHING, ALLOW, "because no VPC endpoint policy allows the s3:GetObject action"),
        (True, DENY, ALLOW, "with an explicit deny in a VPC endpoint policy"),
        (True, ALLOW, DENY, "with an explicit deny in a resource-based policy"),
        (False, None, None, "Access Denied"),
        (False, None, ALLOW, None),
        (False, ALLOW, NOTHING, "Access Denied"),
    ],
)
def test_endpoint_and_resource_must_agree(signed, endpoint, resource, why):
    caller = principal("AWS4-HMAC-SHA256 Credential=x" if signed else "", "", ACCOUNT)
    said = refusal(Request(principal=caller, account=ACCOUNT, action="s3:GetObject", resource="arn:aws:s3:::b/k", context={}), endpoint, resource)
    assert said is None if why is None else said is not None and said.message.endswith(why)


def asks(action, resource, signed=True):
    return Request(principal=principal("AWS4-HMAC-SHA256 Credential=x" if signed else "", "", ACCOUNT), account=ACCOUNT, action=action, resource=resource, context={})


def test_a_key_serves_only_whom_its_policy_names():
    encrypt = asks("kms:Encrypt", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{KEY}")
    assert refusal(encrypt, None, ALLOW) is None
    said = refusal(encrypt, None, NOTHING)
    assert said is not None
    assert said.message == f"User: {encrypt.principal} is not authorized to perform: kms:Encrypt on resource: {encrypt.resource} because no resource-based policy allows the kms:Encrypt action"


def test_a_key_policy_that_locks_its_author_out_is_none():
    put = asks("kms:PutKeyPolicy", KEY)
    assert not locks_out(put, ALLOW)
    assert locks_out(put, NOTHING)


def test_an_unsigned_request_is_looked_at_by_s3_and_sqs_alone():
    for service, code in (("s3", None), ("sqs", None), ("kms", "MissingAuthenticationToken"), ("dynamodb", "MissingAuthenticationToken")):
        said = refusal(asks(f"{service}:Any", "*", signed=False), None, ALLOW)
        assert (None if said is None else said.code) == code


@pytest.mark.parametrize(
    ("service", "target", "status", "wanted"),
    [
        ("s3", "", 403, b"<Code>AccessDenied</Code><Message>no &lt;b&gt;</Message>"),
        ("sqs", "", 403, b"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no &lt;b&gt;</Message>"),
        ("sqs", "AmazonSQS.SendMessage", 403, b'{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no <b>"}'),
        ("dynamodb", "DynamoDB_20120810.GetItem", 400, b'{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no <b>"}'),
        ("kms", "TrentService.Encrypt", 400, b'{"__type":"AccessDeniedException","Message":"no <b>"}'),
    ],
)
def test_refusals_are_awss_own_documents(service, target, status, wanted):
    answer = access_denied(service, protocol(service, target), "no <b>", "id-1")
    assert answer.status == status
    assert wanted in answer.body
    assert ((b"x-amzn-query-error", b"AccessDenied;Sender") in answer.headers) == (target.startswith("AmazonSQS"))


def test_an_error_of_a_json_service_is_an_exception():
    assert b'"com.amazon.coral.service#ValidationException"' in error("dynamodb", Protocol.JSON, 400, "Validation", "no", "id-1").body
