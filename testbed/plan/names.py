"""Names that the kernel accepts, made from AWS's ids: readable where they fit, unique always."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

IFNAMSIZ = 15
CHAIN_NAME_SIZE = 120
OTHER = re.compile(r"[^A-Za-z0-9]")


def interface_name(prefix: str, resource_id: str) -> str:
    """`prefix` and the id, in at most 15 bytes; a long id keeps its head and gets six hexadecimal digits of its hash."""
    name = f"{prefix}{resource_id}"
    if len(name.encode()) <= IFNAMSIZ:
        return name
    digest = hashlib.blake2s(resource_id.encode(), digest_size=3).hexdigest()
    return f"{name[: IFNAMSIZ - 7]}-{digest}"


@lru_cache(maxsize=1 << 17)
def identifier(*parts: str) -> str:
    """An nft identifier of at most 120 bytes: letters, digits, dots and underscores of the parts, joined by dots; ``x`` before a digit.

    Two ids that differ only in other characters would collide, so such an id gets four digits of its hash; a long name ends in a hash of all of it.
    """
    name = ".".join(_identifier(part) for part in parts)
    if len(name) <= CHAIN_NAME_SIZE:
        return name
    digest = hashlib.blake2s(name.encode(), digest_size=6).hexdigest()
    return f"{name[: CHAIN_NAME_SIZE - 13]}_{digest}"


def mac_address(node: str, interface: str) -> str:
    """A locally administered unicast address for an interface that AWS shows to nobody: always the same for the same names."""
    digest = hashlib.blake2s(f"{node}/{interface}".encode(), digest_size=5).digest()
    return ":".join(["02", *(f"{byte:02x}" for byte in digest)])


@lru_cache(maxsize=1 << 16)
def _identifier(part: str) -> str:
    clean = OTHER.sub("_", part)
    if clean.replace("_", "-") != part and clean != part:
        clean = f"{clean}_{hashlib.blake2s(part.encode(), digest_size=2).hexdigest()}"
    return clean if not clean[:1].isdigit() else f"x{clean}"
