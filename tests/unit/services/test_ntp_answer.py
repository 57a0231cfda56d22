"""One SNTP answer, field by field."""

import struct

import pytest

from services.ntp.answer import EPOCH_1900_S, answer, timestamp

SENT = struct.pack("!II", 0xAAAAAAAA, 0xBBBBBBBB)


def request(version=4, mode=3):
    return bytes((version << 3 | mode, 0, 6, 0xEC)) + bytes(36) + SENT


def test_the_client_finds_its_own_timestamp_and_the_servers_two():
    told = answer(request(), received_s=1000.25, sent_s=1000.5)
    assert told[24:32] == SENT
    assert struct.unpack_from("!IIII", told, 32) == (EPOCH_1900_S + 1000, 1 << 30, EPOCH_1900_S + 1000, 1 << 31)


@pytest.mark.parametrize("version", [1, 3, 4])
def test_the_answer_is_a_servers_of_stratum_3_in_the_version_asked(version):
    told = answer(request(version), 0.0, 0.0)
    assert (told[0] >> 6, told[0] >> 3 & 7, told[0] & 7, told[1], told[2], len(told)) == (0, version, 4, 3, 6, 48)


@pytest.mark.parametrize("datagram", [b"", request()[:47], request(mode=4), request(mode=6), request(version=0), request(version=5), b"testbed probe\n"])
def test_what_is_no_clients_request_gets_no_answer(datagram):
    assert answer(datagram, 0.0, 0.0) is None


def test_a_timestamp_wraps_in_2036():
    assert timestamp(2**32 - EPOCH_1900_S) == bytes(8)
