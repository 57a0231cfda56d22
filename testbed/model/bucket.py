"""S3 buckets that are there from the beginning, and their policies. Programs in the lab make others with S3's own API.

Source: CloudFormation, "AWS::S3::Bucket", "AWS::S3::BucketPolicy"; S3 user guide, "Bucket naming rules" (documented).
NOT MODELLED: ACLs, Block Public Access, replication and whatever else is not about who may reach it by which way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.geography import REGIONS
from testbed.model.policy_document import LONGEST_BUCKET_POLICY, policy_faults, policy_text
from testbed.model.values import Fault, id_faults, unknown_faults

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket in a Region. `bucket_name` is unique in the lab (its id if not given); `policy_document` is its bucket policy, as JSON or as a dictionary."""

    id: str
    region: str
    bucket_name: str = ""
    policy_document: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bucket_name", self.bucket_name or self.id)
        object.__setattr__(self, "policy_document", policy_text(self.policy_document))

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the bucket by itself."""
        return (
            *id_faults(self.id),
            *unknown_faults(self.id, "region", self.region, REGIONS),
            *self._name_faults(),
            *policy_faults(self.id, "policy_document", self.policy_document, LONGEST_BUCKET_POLICY),
        )

    def _name_faults(self) -> Iterator[Fault]:
        if not BUCKET_NAME.fullmatch(self.bucket_name) or ".." in self.bucket_name:
            yield Fault(resource=self.id, problem=f"bucket_name {self.bucket_name!r} is none that S3 takes", remedy="use 3 to 63 lower-case letters, digits, hyphens and dots")
