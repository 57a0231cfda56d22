"""A request that waits while an identity provider is asked: a task, and what becomes of it if the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from services.alb.config import Authenticate, JwtValidation
from services.alb.jwt_validation import Token, Validation
from services.alb.login import Known, Login, Turned, Visit
from services.alb.oidc import Refused
from services.alb.request_log import Record
from services.alb.session import Session
from services.common.http import Exchange

if TYPE_CHECKING:
    from services.alb.balancer import ListenerApplication

CLIENT_CLOSED = 460


class LoggingIn:
    """The `RequestEvents` of an exchange meanwhile; a body that comes early is kept for what follows."""

    def __init__(self, application: ListenerApplication, exchange: Exchange, record: Record) -> None:
        self._application = application
        self._exchange = exchange
        self._record = record
        self._task: asyncio.Task[None] | None = None
        exchange.events = self

    def complete(self, login: Login, answer: Coroutine[Any, Any, Turned]) -> None:
        """Answer with `answer` once it is there."""

        async def completed() -> None:
            turned = await answer
            self._exchange.events = None
            self._application.turn(self._exchange, self._record, turned)

        self._task = login.start(completed())

    def renew(self, login: Login, authenticate: Authenticate, session: Session, visit: Visit, admitted: Callable[[Known | Turned], None]) -> None:
        """Renew the session, then go on with `admitted`."""

        async def renewed() -> None:
            fresh, cookies = await login.renew(authenticate, session, visit.cookie_field)
            self._exchange.events = None
            if not self._exchange.ended:
                self._exchange.resume_request()
            known = login.admit(authenticate, fresh, visit)
            if isinstance(known, Known):
                known.cookies = cookies
            admitted(known)

        self._task = login.start(renewed())

    def validate(self, validation: Validation, wanted: JwtValidation, token: Token, go_on: Callable[[], None]) -> None:
        """Fetch the issuer's keys, then go on if the token is good."""

        async def validated() -> None:
            refused: Refused | None = None
            try:
                validation.check(token, await validation.fetch_keys(wanted), wanted)
            except Refused as error:
                refused = error
            self._exchange.events = None
            if not self._exchange.ended:
                self._exchange.resume_request()
            if refused is None:
                go_on()
            else:
                self._application.turn(self._exchange, self._record, Turned(status=refused.status, reason=refused.reason))

        self._task = validation.start(validated())

    # -- services.common.http.RequestEvents

    def request_continued(self, body: bytes, ended: bool) -> None:
        self._exchange.body += body
        self._exchange.ended = ended
        if not ended:
            self._exchange.pause_request()

    def request_aborted(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._record.error_reason = "client closed"
        self._application.log.finished(self._exchange, self._record, CLIENT_CLOSED)

    def response_paused(self) -> None:
        """Nothing has been sent."""

    def response_resumed(self) -> None:
        """Nothing has been sent."""
