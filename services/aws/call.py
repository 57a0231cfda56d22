"""What a request asks of AWS: the action in IAM's words, and the resource it is asked of. Pure.

    S3         method, bucket, key and sub-resource (``?policy``)          s3:PutBucketPolicy    arn:aws:s3:::bucket[/key]
    others     X-Amz-Target, or Action= of the query protocol              sqs:SendMessage       arn:aws:sqs:region:account:queue

Sources: Service authorization reference, "Actions, resources, and condition keys for Amazon S3", "… DynamoDB", "… SQS", "… KMS" (documented).
NOT MODELLED: the second permission of an action that needs two (CopyObject's source); a multi-object delete is asked once, of ``bucket/*``.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCall:
    """`path` is the path-style target that the state understands; `bucket` is S3's, None elsewhere. `context` are condition keys of the call itself."""

    action: str
    resource: str
    path: str
    bucket: str | None = None
    changes_policy: bool = False
    context: Mapping[str, str]


def s3_call(method: str, target: str, host: str, suffixes: tuple[str, ...]) -> AwsCall:
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
    changes = not key and (action in ("PutBucketPolicy", "DeleteBucketPolicy", "CreateBucket", "DeleteBucket"))
    return AwsCall(action=f"s3:{action}", resource=resource, path=full, bucket=bucket, changes_policy=changes, context=context)


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
        return AwsCall(action=f"{service}:{named.rpartition('.')[2]}", resource=_resource(service, _fields(body), region, account), path=target, context={})
    form = {name: values[0] for source in (urlsplit(target).query, body.decode("utf-8", "replace")) for name, values in parse_qs(source).items()}
    return AwsCall(action=f"{service}:{form.get('Action', 'Unknown')}", resource=_resource(service, form, region, account), path=target, context={})


def _fields(body: bytes) -> dict[str, str]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return {name: value for name, value in document.items() if isinstance(value, str)} if isinstance(document, dict) else {}


def _resource(service: str, fields: Mapping[str, str], region: str, account: str) -> str:
    prefix = f"arn:aws:{service}:{region}:{account}:"
    if service == "sqs" and (queue := fields.get("QueueUrl", fields.get("QueueName", "")).rpartition("/")[2]):
        return prefix + queue
    if service == "dynamodb" and (table := fields.get("TableName", "")):
        return table if table.startswith("arn:") else f"{prefix}table/{table}"
    if service == "kms" and (key := fields.get("KeyId", "")):
        return key if key.startswith("arn:") else prefix + (key if key.startswith("alias/") else f"key/{key}")
    return NO_RESOURCE
