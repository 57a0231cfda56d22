"""An endpoint for scenarios: whatever comes is answered by who it is, and whom it sees.

    python echo.py NAME TCP_PORT[,TCP_PORT …] UDP_PORT

To HTTP it says the same in a page that any cache might keep for an hour.
"""

import asyncio
import sys

NAME = sys.argv[1]
served = 0


def words(peer: tuple[str, int]) -> bytes:
    return f"{NAME} {peer[0]}".encode()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global served
    peer = writer.get_extra_info("peername")
    try:
        while data := await reader.read(65536):
            if data.startswith(b"GET "):
                served += 1
                body = words(peer) + f" {served}".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: public, max-age=3600\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            else:
                writer.write(words(peer))
            await writer.drain()
    except ConnectionError:
        return  # a health check, or a client that has gone
    finally:
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        self.transport.sendto(words(peer) + f" {len(data)}".encode(), peer)


async def main() -> None:
    for port in sys.argv[2].split(","):
        await asyncio.start_server(talk, "0.0.0.0", int(port))
    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=("0.0.0.0", int(sys.argv[3])))
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
