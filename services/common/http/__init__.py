"""HTTP/1.1 on the data path: what the balancers and the edge share.

    client ──bytes──▶ ServerConnection ──Exchange──▶ Application ──UpstreamRequest──▶ UpstreamPool ──bytes──▶ target or origin
           ◀─────────                  ◀─start/write─            ◀──Receiver events──

- `head`: heads of messages, header look-up, serialising. Pure.
- `server`: the client's side. `ServerConnection` parses and keeps order; an `Application` gets an `Exchange` per request.
- `upstream`: the other side. One `UpstreamPool` per destination; `send` with callbacks, or `fetch` for a whole response.
- `connection`: one connection of a pool. - `failure`: why no response came, and the status that says so. - `deadline`: timers that cost nothing per request.

Everything is a callback on the event loop: no task and no stream per request. Bodies are streamed; flow control goes both ways.
Parsing is llhttp's (httptools), strict: what it refuses is answered 400.
"""

from services.common.http.failure import Failure, FailureKind
from services.common.http.head import Headers, RequestHead, ResponseHead
from services.common.http.server import Application, Exchange, RequestEvents, ServerConnection, ServerSettings
from services.common.http.upstream import Call, Destination, Receiver, Timeouts, Timings, UpstreamPool, UpstreamRequest, WholeResponse

__all__ = [
    "Application", "Call", "Destination", "Exchange", "Failure", "FailureKind", "Headers", "Receiver", "RequestEvents", "RequestHead", "ResponseHead",
    "ServerConnection", "ServerSettings", "Timeouts", "Timings", "UpstreamPool", "UpstreamRequest", "WholeResponse",
]
