"""IAM policies: what each says to one request."""

import json

import pytest

from services.aws.policy import ANONYMOUS, Effect, PolicyError, Request, parse

ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/lab"
GET = "s3:GetObject"
OBJECT = "arn:aws:s3:::vault/gold"


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"} | statement]})


def asks(action=GET, resource=OBJECT, principal=USER, **context):
    return Request(principal=principal, account=ACCOUNT, action=action, resource=resource, context={key.replace("__", ":"): value for key, value in context.items()})


def says(text, request=None):
    return parse(text).evaluate(request or asks())


@pytest.mark.parametrize(
    ("element", "value", "matches"),
    [
        ("Action", "s3:GetObject", True),
        ("Action", "s3:getobject", True),
        ("Action", "s3:Get*", True),
        ("Action", "s3:Ge?Object", True),
        ("Action", "s3:Put*", False),
        ("Action", ["s3:PutObject", "s3:GetObject"], True),
        ("Resource", "arn:aws:s3:::vault/*", True),
        ("Resource", "arn:aws:s3:::vault", False),
        ("Resource", "arn:aws:s3:::VAULT/*", False),
        ("Resource", ["arn:aws:s3:::vault", "arn:aws:s3:::*/gold"], True),
        ("Principal", {"AWS": ACCOUNT}, True),
        ("Principal", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, True),
        ("Principal", {"AWS": [USER]}, True),
        ("Principal", {"AWS": "arn:aws:iam::444455556666:root"}, False),
        ("Principal", {"AWS": "*"}, True),
    ],
)
def test_a_statement_matches_by_principal_action_and_resource(element, value, matches):
    assert says(policy(**{element: value})) is (Effect.ALLOW if matches else Effect.SILENT)


@pytest.mark.parametrize(("element", "value", "matches"), [("NotAction", "s3:Put*", True), ("NotAction", "s3:*", False), ("NotResource", OBJECT, False), ("NotResource", "arn:aws:s3:::other/*", True)])
def test_an_inverted_element_matches_everything_else(element, value, matches):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", element: value}
    del statement[element.removeprefix("Not")]
    assert says(json.dumps({"Statement": statement})) is (Effect.ALLOW if matches else Effect.SILENT)


@pytest.mark.parametrize(
    ("operator", "key", "values", "context", "holds"),
    [
        ("StringEquals", "aws:sourceVpce", "vpce-s3", {"aws__sourcevpce": "vpce-s3"}, True),
        ("StringEquals", "aws:SourceVpce", ["vpce-a", "vpce-s3"], {"aws__sourcevpce": "vpce-s3"}, True),
        ("StringEquals", "aws:sourceVpce", "vpce-s3", {}, False),
        ("StringEqualsIfExists", "aws:sourceVpce", "vpce-s3", {}, True),
        ("StringNotEquals", "aws:sourceVpce", "vpce-s3", {}, True),
        ("StringNotEquals", "aws:sourceVpce", "vpce-s3", {"aws__sourcevpce": "vpce-s3"}, False),
        ("StringNotEquals", "aws:sourceVpce", ["vpce-a", "vpce-s3"], {"aws__sourcevpce": "vpce-s3"}, False),
        ("StringLike", "aws:sourceVpce", "vpce-*", {"aws__sourcevpce": "vpce-s3"}, True),
        ("StringNotLike", "aws:sourceVpce", "vpce-*", {"aws__sourcevpce": "vpce-s3"}, False),
        ("IpAddress", "aws:SourceIp", "198.51.100.0/24", {"aws__sourceip": "198.51.100.7"}, True),
        ("IpAddress", "aws:SourceIp", "198.51.100.0/24", {}, False),
        ("NotIpAddress", "aws:SourceIp", "198.51.100.0/24", {}, True),
        ("ForAnyValue:StringEquals", "aws:sourceVpce", ["vpce-a", "vpce-s3"], {"aws__sourcevpce": "vpce-s3"}, True),
        ("ForAnyValue:StringEquals", "aws:sourceVpce", "vpce-s3", {}, False),
        ("ForAnyValue:StringNotEquals", "aws:sourceVpce", "vpce-s3", {}, False),
        ("ForAllValues:StringEquals", "aws:sourceVpce", "vpce-a", {}, True),
        ("ForAllValues:StringEquals", "aws:sourceVpce", "vpce-a", {"aws__sourcevpce": "vpce-s3"}, False),
        ("Bool", "aws:SecureTransport", "true", {"aws__securetransport": "true"}, True),
        ("Bool", "aws:SecureTransport", False, {"aws__securetransport": "true"}, False),
        ("Null", "aws:sourceVpce", "true", {}, True),
        ("Null", "aws:sourceVpce", "false", {}, False),
        ("NumericLessThanEquals", "s3:max-keys", "10", {"s3__max-keys": "10"}, True),
        ("NumericLessThanEquals", "s3:max-keys", "10", {"s3__max-keys": "11"}, False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", {"aws__principalarn": USER}, True),
    ],
)
def test_a_condition(operator, key, values, context, holds):
    assert says(policy(Condition={operator: {key: values}}), asks(**context)) is (Effect.ALLOW if holds else Effect.SILENT)


def test_all_conditions_of_a_statement_must_hold():
    condition = {"StringEquals": {"aws:sourceVpce": "vpce-s3", "aws:sourceVpc": "vpc-app"}}
    assert says(policy(Condition=condition), asks(aws__sourcevpce="vpce-s3", aws__sourcevpc="vpc-app")) is Effect.ALLOW
    assert says(policy(Condition=condition), asks(aws__sourcevpce="vpce-s3", aws__sourcevpc="vpc-other")) is Effect.SILENT


def test_an_explicit_deny_wins_whatever_the_order():
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Principal": "*", "Action": GET, "Resource": OBJECT}
    for statements in ([allow, deny], [deny, allow]):
        assert says(json.dumps({"Statement": statements})) is Effect.DENY
        assert says(json.dumps({"Statement": statements}), asks(action="s3:PutObject")) is Effect.ALLOW


def test_only_a_star_names_an_unsigned_caller():
    assert says(policy(), asks(principal=ANONYMOUS)) is Effect.ALLOW
    assert says(policy(Principal={"AWS": ACCOUNT}), asks(principal=ANONYMOUS)) is Effect.SILENT


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "{}",
        json.dumps({"Version": "2020-01-01", "Statement": []}),
        policy(Effect="Maybe"),
        policy(Effekt="Allow"),
        policy(NotAction="s3:*"),
        policy(Action=7.5),
        policy(Action=[]),
        policy(Principal="lab"),
        policy(Resource="arn:aws:s3:::${aws:username}/*"),
        policy(Condition={"StringMatches": {"aws:sourceVpce": "x"}}),
        policy(Condition={"IpAddress": {"aws:SourceIp": "not-an-address"}}),
        policy(Condition={"ForSomeValue:StringEquals": {"aws:TagKeys": "x"}}),
        policy(Condition={"ForAnyValue:Null": {"aws:TagKeys": "true"}}),
        policy(Condition=[]),
    ],
)
def test_a_policy_that_is_malformed_or_not_modelled_is_refused(text):
    with pytest.raises(PolicyError):
        parse(text)
