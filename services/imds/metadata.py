"""An instance's metadata as a tree of texts, and how a path finds its way in it. Pure.

    latest/meta-data/instance-id                       a value
    latest/meta-data/placement/                        a listing: one name a line, those with more below end with a slash
    latest/dynamic/instance-identity/document          JSON
    latest/user-data                                   what the instance was launched with; 404 without

Source: EC2 user guide, "Instance metadata categories", "Instance identity documents" (documented). An instance's id is the topology's own.
NOT MODELLED: iam/ (there are no roles here), spot/, events/, tags/, ami-id, the identity document's signatures, IPv6.
"""

from __future__ import annotations

import json

from services.imds.config import Instance, Interface

Tree = dict[str, "str | Tree"]
VERSIONS = ("1.0", "2021-07-15", "2022-09-24", "latest")
INSTANCE_TYPE = "m7i.large"


def tree(instance: Instance) -> Tree:
    """Everything below ``/``: each version shows the same."""
    version: Tree = {"dynamic": {"instance-identity": {"document": _identity(instance)}}, "meta-data": _metadata(instance)}
    if instance.user_data is not None:
        version["user-data"] = instance.user_data
    return {name: version for name in VERSIONS}


def look_up(root: Tree, path: str) -> str | None:
    """The text at a path, None if there is nothing. A slash at the end makes no difference to a listing, and there is none below a value."""
    node: str | Tree = root
    names = [name for name in path.split("/") if name]
    for name in names:
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    if isinstance(node, str):
        return None if path.endswith("/") else node
    if not names:
        return "\n".join(node)  # versions are shown without slashes
    return "\n".join(f"{name}/" if isinstance(below, dict) else name for name, below in sorted(node.items()))


def private_host_name(address: object, region: str) -> str:
    """``ip-10-0-0-10.eu-west-1.compute.internal`` (EC2 user guide, "EC2 instance hostnames and domains": IP-based names; documented)."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{str(address).replace('.', '-')}.{domain}"


def _metadata(instance: Instance) -> Tree:
    primary = instance.interfaces[0]
    name = private_host_name(primary.addresses[0], instance.region)
    found: Tree = {
        "ami-launch-index": "0",
        "hostname": name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": INSTANCE_TYPE,
        "local-hostname": name,
        "local-ipv4": str(primary.addresses[0]),
        "mac": primary.mac,
        "network": {"interfaces": {"macs": {interface.mac: _interface(interface, instance) for interface in instance.interfaces}}},
        "placement": {"availability-zone": instance.availability_zone, "region": instance.region},
        "security-groups": "\n".join(primary.security_groups),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    public = dict(primary.public).get(primary.addresses[0])
    if public is not None:
        found["public-ipv4"] = str(public)
    return found


def _interface(interface: Interface, instance: Instance) -> Tree:
    found: Tree = {
        "device-number": str(interface.device_number),
        "interface-id": interface.id,
        "local-hostname": private_host_name(interface.addresses[0], instance.region),
        "local-ipv4s": "\n".join(map(str, interface.addresses)),
        "mac": interface.mac,
        "owner-id": instance.account,
        "security-group-ids": "\n".join(interface.security_groups),
        "security-groups": "\n".join(interface.security_groups),
        "subnet-id": interface.subnet_id,
        "subnet-ipv4-cidr-block": str(interface.subnet_cidr_block),
        "vpc-id": interface.vpc_id,
        "vpc-ipv4-cidr-block": str(interface.vpc_cidr_blocks[0]),
        "vpc-ipv4-cidr-blocks": "\n".join(map(str, interface.vpc_cidr_blocks)),
    }
    if interface.public:
        found["ipv4-associations"] = {str(public): str(private) for private, public in interface.public}
        found["public-ipv4s"] = "\n".join(str(public) for _, public in interface.public)
    return found


def _identity(instance: Instance) -> str:
    document = {
        "accountId": instance.account,
        "architecture": "x86_64",
        "availabilityZone": instance.availability_zone,
        "instanceId": instance.id,
        "instanceType": INSTANCE_TYPE,
        "privateIp": str(instance.interfaces[0].addresses[0]),
        "region": instance.region,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)
