"""What the instance metadata service answers to one request. Pure.

    PUT /latest/api/token   X-Forwarded-For? 403.  No or bad lifetime? 400.  Else a token, in a packet that goes `http_put_response_hop_limit` hops
    GET anything            a token that is not good? 401.  None where one is required? 401.  Nothing there? 404.  Else the text
    other methods           405

Source: EC2 user guide, "Use the Instance Metadata Service" (documented: the token's request, X-Forwarded-For, 400, 401, 403, 404). Which error wins, 405 and
the bodies' words are assumed. NOT MODELLED: 503 where a client asks too fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from services.imds.config import Instance
from services.imds.metadata import look_up, tree
from services.imds.token import LONGEST_S, SHORTEST_S, Tokens

TOKEN_PATH = "/latest/api/token"
MOST_DIGITS = 9
TOKEN, TOKEN_TTL, FORWARDED_FOR = b"x-aws-ec2-metadata-token", b"x-aws-ec2-metadata-token-ttl-seconds", b"x-forwarded-for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response. `hops` is the IP TTL of its packets, None for the usual one; `token_left_s` is told in a header."""

    status: int
    body: str
    content_type: str = "text/plain"
    hops: int | None = None
    token_left_s: int | None = None


def answer(instance: Instance | None, method: str, path: str, fields: Mapping[bytes, bytes], tokens: Tokens, now_s: float) -> Answer:
    """The answer to `instance` (None: the address asking is no instance's). `fields` are the request's headers in lower case; `now_s` is a steady clock."""
    if instance is None or instance.http_endpoint != "enabled":
        return _error(HTTPStatus.FORBIDDEN)
    path = path.partition("?")[0]
    if path == TOKEN_PATH:
        return _token(instance, fields, tokens, now_s) if method == "PUT" else _error(HTTPStatus.METHOD_NOT_ALLOWED)
    if method not in ("GET", "HEAD"):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED)
    token, left_s = fields.get(TOKEN), None
    if token is not None:
        left_s = tokens.remaining_s(token.decode("latin-1"), instance.id, now_s)
    if left_s is None and (token is not None or instance.http_tokens == "required"):
        return _error(HTTPStatus.UNAUTHORIZED)
    text = look_up(tree(instance), path)
    return _error(HTTPStatus.NOT_FOUND) if text is None else Answer(status=HTTPStatus.OK, body=text, token_left_s=left_s)


def _token(instance: Instance, fields: Mapping[bytes, bytes], tokens: Tokens, now_s: float) -> Answer:
    if FORWARDED_FOR in fields:
        return _error(HTTPStatus.FORBIDDEN)
    wanted = fields.get(TOKEN_TTL, b"")
    if not wanted.isdigit() or len(wanted) > MOST_DIGITS or not SHORTEST_S <= int(wanted) <= LONGEST_S:
        return _error(HTTPStatus.BAD_REQUEST)
    ttl_s = int(wanted)
    return Answer(status=HTTPStatus.OK, body=tokens.issue(instance.id, ttl_s, now_s), hops=instance.http_put_response_hop_limit, token_left_s=ttl_s)


def _error(status: HTTPStatus) -> Answer:
    title = f"{status.value} - {status.phrase}"
    body = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        f'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n'
    )
    return Answer(status=status.value, body=body, content_type="text/html")
