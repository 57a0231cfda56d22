"""Names that AWS makes: DNS names of load balancers, distributions, DB instances and instances, and what of ARNs is not the user's own.

The part that AWS draws at random is a hash of account, Region and id here, so that a topology always gets the same names.
Source: ELB user guide, "Application Load Balancers"; "Access logs for your Application Load Balancer"; CloudFront developer guide, "Values that you specify"; RDS user guide, "Finding the connection information" (forms documented).
"""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv4Address

from testbed.model.load_balancer import LoadBalancer


def load_balancer_name(account: str, region: str, balancer: LoadBalancer) -> str:
    """``alb-shop-1234567890.eu-west-1.elb.amazonaws.com``; an internal balancer's begins with ``internal-``."""
    digits = int.from_bytes(_digest(account, region, balancer.id)) % 10**10
    prefix = "internal-" if balancer.scheme == "internal" else ""
    return f"{prefix}{balancer.id}-{digits:010d}.{region}.elb.amazonaws.com"


def distribution_name(account: str, distribution_id: str) -> str:
    """``d111111abcdef8.cloudfront.net``."""
    return f"d{_letters(_digest(account, 'cloudfront', distribution_id), 13)}.cloudfront.net"


def accelerator_name(account: str, accelerator_id: str) -> str:
    """``a1234567890abcdef.awsglobalaccelerator.com`` (Global Accelerator developer guide, "AWS Global Accelerator components"; form documented)."""
    return f"a{_digest(account, 'globalaccelerator', accelerator_id).hex()[:16]}.awsglobalaccelerator.com"


def database_endpoint(account: str, region: str, database_id: str) -> str:
    """``shop-db.123456789abc.eu-west-1.rds.amazonaws.com``; the middle part belongs to account and Region, not to the database."""
    return f"{database_id}.{_letters(_digest(account, region, 'rds'), 12)}.{region}.rds.amazonaws.com"


def load_balancer_resource(account: str, region: str, balancer_id: str) -> str:
    """``app/alb-shop/50dc6c495c0c9188``: the end of an application balancer's ARN."""
    return f"app/{balancer_id}/{_digest(account, region, balancer_id).hex()[:16]}"


def target_group_arn(account: str, region: str, group_id: str) -> str:
    """``arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/tg-web/73e2d6bc24d8a067``."""
    return f"arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{group_id}/{_digest(account, region, group_id).hex()[:16]}"


def certificate_arn(account: str, region: str, host_name: str) -> str:
    """``arn:aws:acm:eu-west-1:111122223333:certificate/12345678-1234-1234-1234-123456789012``."""
    digest = _digest(account, region, "certificate", host_name).hex()
    return f"arn:aws:acm:{region}:{account}:certificate/{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def public_host_name(region: str, address: IPv4Address) -> str:
    """``ec2-198-51-100-10.eu-west-1.compute.amazonaws.com`` (VPC user guide, "DNS attributes for your VPC"; documented)."""
    domain = "compute-1" if region == "us-east-1" else f"{region}.compute"
    return f"ec2-{str(address).replace('.', '-')}.{domain}.amazonaws.com"


def private_host_name(region: str, address: IPv4Address) -> str:
    """``ip-10-0-1-10.eu-west-1.compute.internal`` (VPC user guide, "DNS attributes for your VPC"; documented)."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{str(address).replace('.', '-')}.{domain}"


def _digest(*parts: str) -> bytes:
    return hashlib.blake2s("/".join(parts).encode(), digest_size=16).digest()


def _letters(digest: bytes, count: int) -> str:
    return base64.b32encode(digest).decode().lower()[:count]
