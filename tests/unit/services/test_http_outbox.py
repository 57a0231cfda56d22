"""When writes are gathered, and that each connection's bytes keep their order."""

import asyncio
from collections.abc import Callable

from services.common.http.outbox import FEW, LOOK_AGAIN_AFTER, Outbox


class Sink:
    """A transport that notes what is written, in a list that several share."""

    def __init__(self, written: list[bytes]) -> None:
        self.closing = False
        self._written = written

    def write(self, data: bytes) -> None:
        self._written.append(data)

    def is_closing(self) -> bool:
        return self.closing


def outbox_to(written: list[bytes]) -> tuple[Outbox, Sink, Callable[[bytes], None]]:
    outbox, sink = Outbox(), Sink(written)
    return outbox, sink, outbox.writer(sink)  # type: ignore[arg-type]


def test_a_turn_of_many_writes_is_written_at_its_end_and_so_is_the_next():
    async def inside() -> None:
        written: list[bytes] = []
        _, _, write = outbox_to(written)
        for _ in range(2):
            for number in range(FEW):
                write(b"%d" % number)
            assert written == []
            await asyncio.sleep(0)
            assert written == [b"%d" % number for number in range(FEW)]
            written.clear()

    asyncio.run(inside())


def test_after_a_turn_of_few_writes_the_next_are_done_at_once_until_it_is_time_to_look_again():
    async def inside() -> None:
        written: list[bytes] = []
        _, _, write = outbox_to(written)
        write(b"first")
        assert written == []
        await asyncio.sleep(0)
        for _ in range(LOOK_AGAIN_AFTER):
            write(b"x")
        assert len(written) == 1 + LOOK_AGAIN_AFTER
        write(b"gathered")
        assert written[-1] == b"x"
        await asyncio.sleep(0)
        assert written[-1] == b"gathered"

    asyncio.run(inside())


def test_bytes_keep_their_order_across_the_changes():
    async def inside() -> None:
        written: list[bytes] = []
        outbox, _, write = outbox_to(written)
        expected = []
        for number in range(2000):
            expected.append(b"%d" % number)
            write(expected[-1])
            if number % 7 == 0 or number % 300 > 280:
                await asyncio.sleep(0)
            elif number % 100 == 0:
                outbox.flush()
        await asyncio.sleep(0)
        assert written == expected

    asyncio.run(inside())


def test_what_is_for_a_connection_that_has_ended_is_dropped():
    async def inside() -> None:
        written: list[bytes] = []
        outbox, sink, write = outbox_to(written)
        write(b"late")
        sink.closing = True
        outbox.flush()
        assert written == []

    asyncio.run(inside())
