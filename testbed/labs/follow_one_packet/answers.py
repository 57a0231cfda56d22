"""Where the answers to the questions of "Follow one packet" are found."""

from testbed.labs.checking import CheckedLab

PAGE = "https://shop.example.com/products"
HTTP, POSTGRESQL = 80, 5432


def edge_location(lab: CheckedLab) -> str:
    """CloudFront names it in X-Amz-Cf-Pop: ``LHR50-C1``."""
    return lab["client"].curl(PAGE).headers["x-amz-cf-pop"][:3]


def second_request(lab: CheckedLab) -> str:
    """X-Cache of a page that was just fetched."""
    lab["client"].curl(PAGE)
    return lab["client"].curl(PAGE).cache


def balancer_admitted_by(lab: CheckedLab) -> str:
    """The rule at web-a's interface."""
    return lab.rules("alb-shop-a", "web-a", HTTP, "#ingress")[-1]


def database_admitted_by(lab: CheckedLab) -> str:
    """The last ACL on the request's way."""
    return lab.rules("web-a", "shop-db", POSTGRESQL, "acl-")[-1]


def reply_admitted_by(lab: CheckedLab) -> str:
    """The first ACL on the reply's way."""
    return lab.rules("web-a", "shop-db", POSTGRESQL, "acl-", leg="reply")[0]


def database_sees(lab: CheckedLab) -> str:
    """Nothing translates inside a VPC."""
    return str(lab["web-a"].address)


def internet_sees(lab: CheckedLab) -> str:
    """The NAT gateway's Elastic IP."""
    address = lab.seen_as("web-a", at="client")
    if address is None:
        raise LookupError("web-a does not reach client")
    return str(address)
