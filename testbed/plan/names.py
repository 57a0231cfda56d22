"""Names that the kernel accepts, made from AWS's ids: readable where they fit, unique always."""

from __future__ import annotations

import hashlib

IFNAMSIZ = 15


def interface_name(prefix: str, resource_id: str) -> str:
    """`prefix` and the id, in at most 15 bytes; a long id keeps its head and gets six hexadecimal digits of its hash."""
    name = f"{prefix}{resource_id}"
    if len(name.encode()) <= IFNAMSIZ:
        return name
    digest = hashlib.blake2s(resource_id.encode(), digest_size=3).hexdigest()
    return f"{name[: IFNAMSIZ - 7]}-{digest}"


def identifier(*parts: str) -> str:
    """An nft identifier: letters, digits, dots and underscores of the parts, joined by dots; ``x.`` before a digit.

    Two ids that differ only in other characters would collide, so such an id gets four digits of its hash.
    """
    return ".".join(_identifier(part) for part in parts)


def _identifier(part: str) -> str:
    clean = "".join(c if c.isalnum() and c.isascii() else "_" for c in part)
    if clean.replace("_", "-") != part and clean != part:
        clean = f"{clean}_{hashlib.blake2s(part.encode(), digest_size=2).hexdigest()}"
    return clean if not clean[:1].isdigit() else f"x{clean}"
