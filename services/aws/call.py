"""What a request asks of AWS: the action in IAM's words, and the resource it is asked of. Pure.

    S3         method, bucket, key and sub-resource (``?policy``)          s3:PutBucketPolicy    arn:aws:s3:::bucket[/key]
    others     X-Amz-Target, or Action= of the query protocol              sqs:SendMessage       arn:aws:sqs:region:account:queue

Sources: Service authorization reference, "Actions, resources, and condition keys for Amazon S3", "… DynamoDB", "… SQS", "… KMS" (documented).
NOT MODELLED: the second permission of an action that needs two (CopyObject's source, ReEncrypt's other key); a multi-object delete is asked once, of ``bucket/*``;
a batch or transaction over several tables is asked of ``*``, and no table's policy judges it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

BUCKET_SUBRESOURCES: Mapping[str, str] = {
    "accelerate": "AccelerateConfiguration", "acl": "BucketAcl", "cors": "BucketCORS", "encryption": "EncryptionConfiguration", "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation", "logging": "BucketLogging", "notification": "BucketNotification", "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls", "policy": "BucketPolicy", "policyStatus": "BucketPolicyStatus", "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration", "requestPayment": "BucketRequestPayment", "tagging": "BucketTagging", "versioning": "BucketVersioning", "website": "BucketWebsite",
}  # fmt: skip
OBJECT_SUBRESOURCES: Mapping[str, str] = {"acl": "ObjectAcl", "attributes": "ObjectAttributes", "legal-hold": "ObjectLegalHold", "retention": "ObjectRetention", "tagging": "ObjectTagging"}
VERBS: Mapping[str, str] = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "POST": "Put", "DELETE": "Delete"}
BUCKET_ACTIONS: Mapping[str, str] = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "PutObject"}
OBJECT_ACTIONS: Mapping[str, str] = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
NO_RESOURCE = "*"
ALIAS = "alias/"
CHANGES = frozenset((
    "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:CreateBucket", "s3:DeleteBucket", "sqs:SetQueueAttributes", "sqs:AddPermission", "sqs:RemovePermission", "sqs:CreateQueue",
    "sqs:DeleteQueue", "kms:PutKeyPolicy", "kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy", "dynamodb:CreateTable",
    "dynamodb:DeleteTable",
))  # fmt: skip
"""Actions after which some resource-based policy may be another."""
CREATIONS = frozenset(("s3:CreateBucket", "sqs:CreateQueue", "dynamodb:CreateTable"))
"""Actions whose resource is not there yet, so that no policy of its own judges them."""
KEY_ID_CHARACTERS = 36
"""A ciphertext of the state begins with its key's id, so that Decrypt needs no KeyId."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCall:
    """`path` is the path-style target that the state understands. `context` are condition keys of the call itself.

    `holder` has the resource-based policy that judges it: a bucket, ``account/queue``, a key's id or alias, a table's ARN; None for none. `policy` is the document that
    the call puts on something, None if it puts none.
    """

    action: str
    resource: str
    path: str
    holder: str | None = None
    policy: str | None = None
    context: Mapping[str, str]

    @property
    def changes_policy(self) -> bool:
        """Whether some resource-based policy may be another afterwards."""
        return self.action in CHANGES


def s3_call(method: str, target: str, host: str, suffixes: tuple[str, ...], body: bytes = b"") -> AwsCall:
    """The call of an S3 request, whether the bucket stands in the host's name or in the path."""
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    bucket, key = _bucket_and_key(unquote(parts.path), host, suffixes)
    path = f"/{quote(bucket)}/{quote(key)}" if key else f"/{quote(bucket)}" if bucket else "/"
    full = f"{path}?{parts.query}" if parts.query else path
    if not bucket:
        return AwsCall(action="s3:ListAllMyBuckets", resource=NO_RESOURCE, path=full, context={})
    action = _object_action(method, query) if key else _bucket_action(method, query)
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    if not key and action in ("DeleteObject", "PutObject"):
        resource = f"arn:aws:s3:::{bucket}/*"
    context = {f"s3:{name}": query[name][0] for name in ("prefix", "delimiter", "max-keys") if action.startswith("List") and name in query}
    policy = body.decode("utf-8", "replace") if action == "PutBucketPolicy" else None
    return AwsCall(action=f"s3:{action}", resource=resource, path=full, holder=None if action == "CreateBucket" else bucket, policy=policy, context=context)


def _bucket_and_key(path: str, host: str, suffixes: tuple[str, ...]) -> tuple[str, str]:
    name = host.lower().partition(":")[0]
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name == suffix:
            break
        if name.endswith(f".{suffix}"):
            return name.removesuffix(f".{suffix}"), path.removeprefix("/")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def _bucket_action(method: str, query: Mapping[str, list[str]]) -> str:
    if "uploads" in query:
        return "ListBucketMultipartUploads"
    if "versions" in query:
        return "ListBucketVersions"
    if method == "POST" and "delete" in query:
        return "DeleteObject"
    for name, noun in BUCKET_SUBRESOURCES.items():
        if name in query:
            return f"{VERBS.get(method, 'Put')}{noun}"
    return BUCKET_ACTIONS.get(method, "ListBucket")


def _object_action(method: str, query: Mapping[str, list[str]]) -> str:
    if "uploadId" in query and method in ("GET", "DELETE"):
        return "ListMultipartUploadParts" if method == "GET" else "AbortMultipartUpload"
    for name, noun in OBJECT_SUBRESOURCES.items():
        if name in query:
            return f"{VERBS.get(method, 'Put')}{noun}"
    action = OBJECT_ACTIONS.get(method, "GetObject")
    return f"{action}Version" if "versionId" in query and action in ("GetObject", "DeleteObject") else action


def named_call(service: str, target: str, headers: Mapping[str, str], body: bytes, region: str, account: str) -> AwsCall:
    """The call of a DynamoDB, SQS or KMS request; header names are lower case. A request that names no action gets an action that no policy names."""
    named = headers.get("x-amz-target", "")
    if named:
        fields, action = _fields(body), named.rpartition(".")[2]
    else:
        fields = {name: values[0] for source in (urlsplit(target).query, body.decode("utf-8", "replace")) for name, values in parse_qs(source).items()}
        action = str(fields.get("Action", "Unknown"))
    resource = _resource(service, fields, region, account)
    full = f"{service}:{action}"
    holder = None if full in CREATIONS or resource == NO_RESOURCE else _holder(service, resource, account)
    return AwsCall(action=full, resource=resource, path=target, holder=holder, policy=_policy(full, fields), context={})


def _fields(body: bytes) -> dict[str, object]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _resource(service: str, fields: Mapping[str, object], region: str, account: str) -> str:
    prefix = f"arn:aws:{service}:{region}:{account}:"
    if service == "sqs" and (queue := _text(fields, "QueueUrl", "QueueName").rpartition("/")[2]):
        return prefix + queue
    if service == "dynamodb" and (table := _text(fields, "TableName", "ResourceArn") or _only_table(fields)):
        return table if table.startswith("arn:") else f"{prefix}table/{table}"
    if service == "kms" and (key := _text(fields, "KeyId", "TargetKeyId") or _sealed_by(fields)):
        return key if key.startswith("arn:") else prefix + (key if key.startswith(ALIAS) else f"key/{key}")
    return NO_RESOURCE


def _holder(service: str, resource: str, account: str) -> str:
    """What `services.aws.resource_policy` asks the state for."""
    if service == "sqs":
        return f"{account}/{resource.rpartition(':')[2]}"
    if service == "dynamodb":
        return resource.partition("/index/")[0].partition("/stream/")[0]
    return resource if ALIAS in resource else resource.rpartition("/")[2]


def _only_table(fields: Mapping[str, object]) -> str:
    """The one table of a batch."""
    items = fields.get("RequestItems")
    return next(iter(items)) if isinstance(items, dict) and len(items) == 1 else ""


def _sealed_by(fields: Mapping[str, object]) -> str:
    """The key that a ciphertext names."""
    try:
        return base64.b64decode(_text(fields, "CiphertextBlob"), validate=True)[:KEY_ID_CHARACTERS].decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _policy(action: str, fields: Mapping[str, object]) -> str | None:
    """The policy that a call puts."""
    if action in ("kms:PutKeyPolicy", "kms:CreateKey", "dynamodb:PutResourcePolicy"):
        return _text(fields, "Policy") or None
    if action == "dynamodb:CreateTable":
        return _text(fields, "ResourcePolicy") or None
    if action in ("sqs:SetQueueAttributes", "sqs:CreateQueue"):
        attributes = fields.get("Attributes")
        if isinstance(attributes, dict):
            return _text(attributes, "Policy") or None
        number = next((name.split(".")[1] for name, value in fields.items() if value == "Policy" and name.startswith("Attribute.") and name.endswith(".Name")), None)
        return None if number is None else _text(fields, f"Attribute.{number}.Value") or None
    return None


def _text(fields: Mapping[str, object], *names: str) -> str:
    """The first of some fields that is there."""
    return next((value for name in names if isinstance(value := fields.get(name), str) and value), "")
