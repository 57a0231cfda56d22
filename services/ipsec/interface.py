"""The interface at which a tunnel ends: charon's own TUN device, or an XFRM interface of the kernel; what lies on it while the tunnel is up.

    down   no address, no route; the handover's link is down: nothing enters, and the far end of the link sees no carrier
    up     address, MTU, routes through the tunnel; the handover's link up, its neighbour and its default route

Everything is done by `ip`, in the namespace of this process.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path

from services.ipsec.config import Config, Esp

TUN_OF = re.compile(r"^iff:\s*(\S+)", re.MULTILINE)
IP = "/usr/sbin/ip" if os.access("/usr/sbin/ip", os.X_OK) else "ip"
PROBE_ALGORITHM = ("aead", "rfc4106(gcm(aes))", "0x" + "11" * 20, "128")


class InterfaceError(Exception):
    """The interface cannot be made or configured; the message is what `ip` said."""


async def kernel_has_esp(config: Config) -> bool:
    """Whether this kernel has ESP and XFRM interfaces, tried out; or what the configuration says. Leaves nothing behind."""
    if config.esp is not Esp.AUTOMATIC:
        return config.esp is Esp.KERNEL
    number = interface_id(config)
    name, state = f"probe{number}", ("src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "spi", str(number))
    try:
        await _ip(("link", "add", name, "type", "xfrm", "dev", "lo", "if_id", str(number)), ("link", "del", name))
        await _ip(("xfrm", "state", "add", *state, "mode", "tunnel", *PROBE_ALGORITHM), ("xfrm", "state", "delete", *state))
    except InterfaceError:
        return False
    return True


async def make_xfrm(config: Config) -> str:
    """The kernel's interface of this tunnel, made anew."""
    name = f"ipsec{interface_id(config)}"
    if _exists(name):
        await _ip(("link", "del", name))
    await _ip(("link", "add", name, "type", "xfrm", "dev", "lo", "if_id", str(interface_id(config))))
    return name


def interface_id(config: Config) -> int:
    """The XFRM interface id: unique among the ends of a namespace, which have ports of their own."""
    return config.nat_t_port


def tun_of(pid: int) -> str | None:
    """The TUN device that a process holds, if it does."""
    folder = Path(f"/proc/{pid}/fdinfo")
    for entry in folder.iterdir():
        try:
            found = TUN_OF.search(entry.read_text())
        except FileNotFoundError:  # closed meanwhile
            continue
        if found is not None:
            return found[1]
    return None


async def raise_tunnel(config: Config, device: str) -> None:
    """What a tunnel that has come up needs."""
    commands: list[tuple[str, ...]] = [("link", "set", "dev", device, "up", "mtu", str(config.mtu_bytes))]
    if config.inside_address is not None:
        commands.append(("address", "replace", f"{config.inside_address}/{config.inside.prefixlen}", "dev", device))
    commands += [("route", "replace", str(route.destination), "dev", device, "metric", str(route.metric), "table", str(route.table)) for route in config.routes]
    if config.handover is not None:
        onward = config.handover
        commands += [
            ("link", "set", "dev", onward.device, "up"),
            ("neighbour", "replace", str(onward.next_hop), "lladdr", onward.mac, "nud", "permanent", "dev", onward.device),
            ("route", "replace", "default", "via", str(onward.next_hop), "dev", onward.device, "onlink", "table", str(onward.table)),
        ]
    await _ip(*commands)


async def lower_tunnel(config: Config, device: str | None) -> None:
    """Take a tunnel that is down out of use. Its interface stays up, without address and routes: charon lays routes of its own on it when a tunnel comes up."""
    commands: list[tuple[str, ...]] = []
    if device is not None and _exists(device):
        commands.append(("address", "flush", "dev", device))
        commands += [("route", "flush", "dev", device, "table", str(table)) for table in sorted({route.table for route in config.routes})]
    if config.handover is not None and _exists(config.handover.device):
        commands.append(("link", "set", "dev", config.handover.device, "down"))
    await _ip(*commands)


def _exists(device: str) -> bool:
    return device in (name for _, name in socket.if_nameindex())


async def _ip(*commands: tuple[str, ...]) -> None:
    """Carry out commands of `ip`, in one process. Raises InterfaceError."""
    process = await asyncio.create_subprocess_exec(
        IP, "-batch", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate("".join(f"{' '.join(command)}\n" for command in commands).encode())
    if process.returncode != 0:
        raise InterfaceError(f"ip {'; '.join(map(' '.join, commands))}: {said.decode(errors='replace').strip()}")
