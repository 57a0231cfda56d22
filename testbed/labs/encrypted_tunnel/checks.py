"""Checks of "The encrypted tunnel"."""

import socket

from scapy.layers.inet import IP, UDP

from testbed.labs.checking import CheckedLab, check
from testbed.observe.vpn_telemetry import UP, VpnTelemetry

SSH, HTTPS, ESP_IN_UDP = 22, 443, 4500
INTERNET, LAN = "city-london", "router-office/l-pc"
SECRET = b"salaries of the board, confidential. "
LEDGER = SECRET * 1500
PATIENCE_S = 1.5


def download(lab: CheckedLab, text: bytes) -> bytes:
    """What pc reads of the text that ledger sends on port 443, as far as it comes."""
    received = bytearray()
    with lab["ledger"].socket() as listener, lab["pc"].socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", HTTPS))
        listener.listen()
        listener.settimeout(PATIENCE_S)
        client.settimeout(PATIENCE_S)
        try:
            client.connect((str(lab["ledger"].address), HTTPS))
            server, _ = listener.accept()
            with server:
                server.settimeout(PATIENCE_S)
                server.sendall(text)
                server.shutdown(socket.SHUT_WR)
                while data := client.recv(65536):
                    received.extend(data)
        except TimeoutError:
            return bytes(received)
    return bytes(received)


@check(step=1, points=3)
def test_both_tunnels_are_up(lab: CheckedLab) -> None:
    """Both tunnels of vpn-office are UP."""
    lab["pc"].tcp("ledger", HTTPS)
    up = lab.soon(lambda: all(tunnel.status == UP for tunnel in VpnTelemetry(lab).tunnels("vpn-office")))
    assert up, "; ".join(f"tunnel {tunnel.tunnel} is {tunnel.status}: {tunnel.status_message}" for tunnel in VpnTelemetry(lab).tunnels("vpn-office") if tunnel.status != UP)


@check(step=2, points=3)
def test_the_office_reads_its_books(lab: CheckedLab) -> None:
    """pc reaches ledger on port 443."""
    assert lab.soon(lambda: lab["pc"].tcp("ledger", HTTPS).passed)


@check(step=2, points=1, negative=True)
def test_nothing_but_https(lab: CheckedLab) -> None:
    """pc does not reach SSH on ledger."""
    assert not lab["pc"].tcp("ledger", SSH).passed


@check(step=2, points=1, negative=True)
def test_the_records_stay_where_they_are(lab: CheckedLab) -> None:
    """pc does not reach records, whose subnet has no business with the office."""
    assert not lab["pc"].tcp("records", HTTPS).passed


@check(step=3, points=2)
def test_a_whole_ledger(lab: CheckedLab) -> None:
    """pc downloads 50 kB from ledger."""
    lab.soon(lambda: lab["pc"].tcp("ledger", HTTPS).passed)
    received = download(lab, LEDGER)
    assert received == LEDGER, f"{len(received)} of {len(LEDGER)} bytes came"


@check(step=3, points=2)
def test_the_internet_reads_nothing(lab: CheckedLab) -> None:
    """While pc reads from ledger, the office's LAN shows the text, and the internet shows ESP and nothing else."""
    with lab.capture(INTERNET) as internet, lab.capture(LAN) as lan:
        received = download(lab, LEDGER)
        internet.wait_for(2)
    assert received == LEDGER, f"{len(received)} of {len(LEDGER)} bytes came"
    assert SECRET in b"".join(frame.data for frame in lan.frames), "the LAN does not show the text"
    assert SECRET not in b"".join(frame.data for frame in internet.frames), "the internet shows the text"
    strangers = [packet for packet in internet.packets if IP in packet and not (UDP in packet and ESP_IN_UDP in (packet[UDP].sport, packet[UDP].dport))]
    assert not strangers, f"the internet shows {strangers[0].summary()}"
