"""Redirect actions: the Location that a request is sent to.

``#{protocol}``, ``#{host}``, ``#{port}``, ``#{path}`` and ``#{query}`` stand for the request's own; ``#{path}`` has no leading slash, the template writes it.
The port is always written (``https://shop.example.com:443/``), as AWS does (observed in public captures).
Source: ELB user guide, "Action types" (documented).
A Location of more than 8 K is 507 (the status is documented, the length assumed).
"""

from __future__ import annotations

import re

from services.alb.config import Redirect

LONGEST_LOCATION_BYTES = 8 * 1024
_PLACEHOLDER = re.compile(r"#\{(protocol|host|port|path|query)\}")


def location(redirect: Redirect, *, protocol: str, host: str, port: int, path: str, query: str) -> str:
    """The Location for a request: `protocol` ``http`` or ``https``, `host` without port, `path` with its slash, `query` without its mark."""
    own = {"protocol": protocol, "host": host, "port": str(port), "path": path.removeprefix("/"), "query": query}

    def filled(template: str) -> str:
        return _PLACEHOLDER.sub(lambda match: own[match[1]], template)

    query = filled(redirect.query)
    return f"{filled(redirect.protocol).lower()}://{filled(redirect.host)}:{filled(redirect.port)}{filled(redirect.path)}{'?' if query else ''}{query}"
