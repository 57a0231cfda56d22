"""The balancer's own responses: small HTML pages with ``Server: awselb/2.0``, and the actions fixed-response and redirect.

Source: ELB user guide, "Troubleshoot your ALBs", "Action types" (documented); the pages' wording is from real responses captured in public repositories (561's is assumed).
"""

from __future__ import annotations

from services.common.http.head import Headers, reason_phrase

SERVER = b"awselb/2.0"
_PHRASES = {
    408: b"Request Time-out",
    414: b"Request-URI Too Large",
    503: b"Service Temporarily Unavailable",
    504: b"Gateway Time-out",
    561: b"Authentication Error",
}


def phrase(status: int) -> bytes:
    """The reason phrase that an ALB writes."""
    return _PHRASES.get(status) or reason_phrase(status)


def page(status: int) -> tuple[Headers, bytes]:
    """The headers and the body of an own response."""
    title = b"%d %b" % (status, phrase(status))
    body = b"<html>\r\n<head><title>%b</title></head>\r\n<body>\r\n<center><h1>%b</h1></center>\r\n</body>\r\n</html>\r\n" % (title, title)
    return [(b"Server", SERVER), (b"Content-Type", b"text/html")], body
