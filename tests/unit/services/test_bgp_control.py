"""BIRD's answers and log lines, as the server reads them."""

import asyncio
from pathlib import Path

import pytest

from services.bgp.control import ControlError, ask, changed, is_established, last_error

UP = """dxvif-a    BGP        ---        up     23:34:18.636  Established
  BGP state:          Established
    Neighbor address: 169.254.238.62%v-dxvif-a
"""
DOWN = """dxvif-a    BGP        ---        start  23:10:50.409  Idle          BFD session down
  BGP state:          Idle
    Last error:       BFD session down
"""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("2026-11-22 23:10:50.288 <TRACE> to-va: State changed to up", "to-va"),
        ("2026-11-22 23:10:50.409 <TRACE> vpn-a.1: State changed to flush", "vpn-a.1"),
        ("2026-11-22 23:10:50.409 <WARN> Protocol to-va hits route receive limit (3), action: disable", None),
        ("2026-11-22 23:10:49.529 <INFO> Started", None),
    ],
)
def test_a_change_of_state_is_told_by_the_log(line, name):
    assert changed(line) == name


def test_a_session_is_up_when_bgp_says_so():
    assert is_established(UP) and not is_established(DOWN)


def test_the_cause_is_birds_own_words():
    assert last_error(DOWN) == "BFD session down"
    assert last_error(UP) == ""


async def answered(folder: Path, answer: bytes) -> str:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"0001 BIRD 2.0.12 ready.\n")
        await reader.readline()
        writer.write(answer)
        writer.close()

    socket = folder / "b.ctl"
    server = await asyncio.start_unix_server(serve, socket)
    async with server:
        return await ask(socket, "show protocols")


def test_an_answer_loses_its_codes(tmp_path):
    answer = b"2002-Name       Proto\n1002-dxvif-a    BGP\n1006-  BGP state:  Established\n   Neighbor AS: 1\n0000 \n"
    assert asyncio.run(answered(tmp_path, answer)).splitlines()[:4] == ["Name       Proto", "dxvif-a    BGP", "  BGP state:  Established", "  Neighbor AS: 1"]


def test_a_refusal_is_an_error_in_birds_words(tmp_path):
    with pytest.raises(ControlError, match="syntax error"):
        asyncio.run(answered(tmp_path, b"9001 syntax error\n"))
