"""HTTP on the data path: what the balancers and the edge share.

    client ──bytes──▶ ServerConnection ──Exchange──▶ Application ──UpstreamRequest──▶ UpstreamPool ──bytes──▶ target or origin
           ◀─────────                  ◀─start/write─            ◀──Receiver events──

- `head`: heads of messages, header look-up, serialising. Pure.
- `server`: the client's side. `ServerConnection` parses and keeps order. - `admission`: which heads are refused. - `exchange`: what an `Application` gets per request.
- `http2`: the client's side over HTTP/2, with the same applications. - `transport`: what a connection's transport says.
- `upstream`: the other side. One `UpstreamPool` per destination; `send` with callbacks, or `fetch` for a whole response.
- `call`: one request on its way. - `connection`: one connection of a pool. - `failure`: why no response came, and the status that says so. - `deadline`: timers that cost nothing per request.
- `outbox`: writes of one turn of the loop, gathered. - `repeat`: heads that say what the one before them said, not parsed again.

Everything is a callback on the event loop: no task and no stream per request. Bodies are streamed; flow control goes both ways.
Parsing is llhttp's (httptools), strict: what it refuses is answered 400; frames and header compression are h2's.
"""

from services.common.http.admission import ServerSettings
from services.common.http.call import Call, Receiver, Timings, UpstreamRequest
from services.common.http.exchange import Application, Exchange, RequestEvents
from services.common.http.failure import Failure, FailureKind
from services.common.http.head import Headers, RequestHead, ResponseHead
from services.common.http.http2 import Http2Connection
from services.common.http.outbox import Outbox
from services.common.http.server import ServerConnection
from services.common.http.transport import HTTP_1_1, HTTP_2, ByNegotiation, client_certificate_of, note_server_name
from services.common.http.upstream import Destination, Timeouts, UpstreamPool, WholeResponse

__all__ = [
    "Application", "Call", "Destination", "Exchange", "Failure", "FailureKind", "Headers", "Outbox", "Receiver", "RequestEvents", "RequestHead", "ResponseHead",
    "ServerConnection", "ServerSettings", "Timeouts", "Timings", "UpstreamPool", "UpstreamRequest", "WholeResponse",
    "HTTP_1_1", "HTTP_2", "ByNegotiation", "Http2Connection", "client_certificate_of", "note_server_name",
]
