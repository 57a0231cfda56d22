"""How far a request keeps to RFC 9112, and what becomes of it: desync mitigation. Pure.

                 monitor      defensive                              strictest
    Compliant    routed       routed                                 routed
    Acceptable   routed       routed                                 400
    Ambiguous    routed       routed, both connections then close    400
    Severe       400          400                                    400

Whatever the mode, framing to the target is this balancer's own, from what it parsed: with both lengths the chunks count, and the Content-Length ends here.
Severe requests are those that the parser refuses (differing Content-Lengths, folded or malformed header lines, bare control characters, unknown codings);
they never get as far as this module. Source: ELB user guide, "Desync mitigation mode", "Access logs" (classification reasons; documented; which
request is which beyond the two examples of the first page is assumed). NOT MODELLED: monitor mode routes Severe requests on AWS; here they are 400.
"""

from __future__ import annotations

import enum
import re

from services.alb.config import Desync
from services.common.http.head import RequestHead

_BODILESS = (b"GET", b"HEAD")
_TEXT = re.compile(rb"[\t\x20-\x7e]*")


class Classification(enum.StrEnum):
    COMPLIANT = "Compliant"
    ACCEPTABLE = "Acceptable"
    AMBIGUOUS = "Ambiguous"
    SEVERE = "Severe"


def classify(head: RequestHead) -> tuple[Classification, str]:
    """The class of a request that could be parsed, and AWS's word for the reason (empty: none)."""
    fields = head.fields
    has_length, is_chunked = b"content-length" in fields, b"transfer-encoding" in fields
    if has_length and is_chunked:
        return Classification.AMBIGUOUS, "BothTeClPresent"
    if has_length and sum(name.lower() == b"content-length" for name, _ in head.headers) > 1:
        return Classification.AMBIGUOUS, "DuplicateContentLength"
    if head.method in _BODILESS:
        if is_chunked:
            return Classification.AMBIGUOUS, "UndefinedTransferEncodingSemantics"
        if has_length and fields[b"content-length"].strip(b"0"):
            return Classification.AMBIGUOUS, "UndefinedContentLengthSemantics"
        if has_length:
            return Classification.ACCEPTABLE, "GetHeadZeroContentLength"
    if any(not _TEXT.fullmatch(value) for _, value in head.headers):
        return Classification.ACCEPTABLE, "NonCompliantHeader"
    if any(name.replace(b"_", b"-").lower() in (b"content-length", b"transfer-encoding") and b"_" in name for name, _ in head.headers):
        return Classification.ACCEPTABLE, "SuspiciousHeader"
    return Classification.COMPLIANT, ""


def is_routed(classification: Classification, mode: Desync) -> bool:
    """Whether a request goes to a target at all."""
    return classification is Classification.COMPLIANT or (mode is not Desync.STRICTEST and classification is not Classification.SEVERE)


def closes(classification: Classification, mode: Desync) -> bool:
    """Whether the connections on both sides end after the response."""
    return classification is Classification.AMBIGUOUS and mode is Desync.DEFENSIVE
