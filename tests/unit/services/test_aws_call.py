"""What a request asks of AWS, read from its method, path, host and body; and who may."""

import json

import pytest

from services.aws.authorisation import Way, context, denied, principal, refusal
from services.aws.call import named_call, s3_call
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
    assert said is None if why is None else (said or "").endswith(why)


def test_refusals_are_awss_own_documents():
    status, kind, body = denied("s3", "no <b> & no", "id-1")
    assert (status, kind) == (403, "application/xml")
    assert b"<Code>AccessDenied</Code><Message>no &lt;b&gt; &amp; no</Message>" in body
    status, kind, body = denied("kms", "no", "id-1")
    assert status == 400
    assert json.loads(body)["__type"].endswith("#AccessDeniedException")
