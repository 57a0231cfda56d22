"""TCP through a Site-to-Site VPN, against two routers with strongSwan configured by hand.

    pc ─ router-office ══ city ══ endpoint ─ vgw ─ vpc ─ web       the testbed's: security groups, route tables, a gateway that fails over
    near ─ left ══════ internet ══ right ─ far                     by hand: a swanctl.conf at either end; the office hides its hosts and clamps TCP, the far end is a bare router

Everything stands in one city, so that no wire delays. Both have the same cipher (AES128-GCM-16), the same plug-ins and the ESP of libipsec, in userspace, where one charon at either
end carries all; both run side by side in one sandbox and are measured in turn, in slices of a fraction of a second; a round's value is that of its best slice, and the ratios' medians are told. A rate is per second of the processor time of
the charon that has more of it, which is what bounds it: on an idle machine the same as by the clock, on a busy one not disturbed by who else runs; by the clock it is as told beside.

Which implementation of a cipher serves is a matter of the order of plug-ins: the last row is the testbed's order against OpenSSL's and against strongSwan's own software, by hand all three.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GOAL = 0.9
TESTBED, BY_HAND = "testbed", "by hand"
OPENSSL, SOFTWARE = "openssl", "gcm aes"
INTO, OUT_OF = "into the VPC", "out of the VPC"
ROUNDS, SLICES = 5, 5
WARM_S, POURING_S = 0.2, 0.4
PATIENCE_S = 20.0
PORT = 5003
OFFICE, CLOUD = "192.168.10.0/24", "10.0.0.0/16"
PC, WEB = "192.168.10.10", "10.0.1.10"
_fork = multiprocessing.get_context("fork")
Rates = tuple[float, float]
"""Gbit/s per second of the busier charon's time, and by the clock."""


def measure(rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Rows of {"name", "value", "unit", "against", "goal", "met"}; medians over `rounds`."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.vpn", str(rounds)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return rows(json.loads(done.stdout.strip().splitlines()[-1]))


def rows(values: dict[str, dict[str, list[Rates]]]) -> list[dict[str, Any]]:
    """Each direction against the peer, and the order of plug-ins against the others."""
    found = []
    for direction in (INTO, OUT_OF):
        own, peer = values[TESTBED][direction], values[BY_HAND][direction]
        told = f"strongSwan by hand ({_clock(peer):.3g} Gbit/s by the clock; testbed {_clock(own):.3g})"
        found.append(_row(f"TCP through a VPN, {direction}", _ratio(own, peer), told))
    own, (best, other) = values[BY_HAND][INTO], max(((values[name][INTO], name) for name in (OPENSSL, SOFTWARE)), key=lambda pair: _clock(pair[0]))
    found.append(_row("cipher order, to the best other", _ratio(own, best), f"{other} first ({_clock(best):.3g} Gbit/s; {SOFTWARE} {_clock(values[SOFTWARE][INTO]):.3g}; testbed's {_clock(own):.3g})"))
    return found


def _row(name: str, ratio: float, against: str) -> dict[str, Any]:
    return {"name": name, "value": round(ratio, 3), "unit": "x", "against": against, "goal": GOAL, "met": ratio >= GOAL}


def _ratio(own: list[Rates], peer: list[Rates]) -> float:
    return statistics.median(one / other for (one, _), (other, _) in zip(own, peer, strict=True))


def _clock(rates: list[Rates]) -> float:
    return statistics.median(by_clock for _, by_clock in rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A running tunnel: the hosts behind it, and the charons that carry it."""

    lab: Any
    near: str
    far: str
    charons: tuple[int, ...]


def topology() -> Any:
    """vpn_link, with the office in the Region's own city, and groups that let the measurement in."""
    from testbed.model import OnPremisesSite, SecurityGroup, SecurityGroupRule
    from topologies.vpn_link import vpn_link

    everything = (SecurityGroupRule(ip_protocol="-1", cidr_ip=OFFICE),)
    whole = vpn_link()

    def changed(each: Any) -> Any:
        if isinstance(each, OnPremisesSite):
            return replace(each, city="Dublin")
        return replace(each, security_group_ingress=everything) if isinstance(each, SecurityGroup) else each

    return replace(whole, name="vpn-bench", time_scale=1, resources=tuple(changed(each) for each in whole.resources))


@contextmanager
def _testbed() -> Iterator[Way]:
    from testbed.compile import compile_plan
    from testbed.engine.lab import Lab
    from testbed.resolve import resolve

    plan = compile_plan(resolve(topology()))
    plan = replace(plan, services=tuple(replace(service, config=service.config.replace('"automatic"', '"userspace"')) for service in plan.services if service.kind == "ipsec"))
    with Lab(plan) as lab:
        first = tuple(status.pid for status in lab.ps() if status.name.endswith(("vpn-office-1.ipsec", "vpn-office-tunnel-1.ipsec")))
        yield Way(lab=lab, near="pc", far="web", charons=tuple(_child(pid) for pid in first))


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@contextmanager
def _by_hand(name: str, plugins: str) -> Iterator[Way]:
    """Two routers and two hosts; what a person would write into their strongswan.conf and swanctl.conf."""
    from services.ipsec.buffers import enlarge
    from testbed.engine.lab import Lab

    with Lab(_plan_by_hand(name)) as lab, ExitStack() as stack:
        folder = Path("/run", "by-hand", name)
        folder.mkdir(parents=True)
        charons = []
        for side, address, peer, own_net, peer_net in (("right", "192.0.2.6", "192.0.2.1", CLOUD, OFFICE), ("left", "192.0.2.1", "192.0.2.6", OFFICE, CLOUD)):
            (folder / f"{side}.conf").write_text(_STRONGSWAN.format(plugins=plugins, socket=folder / f"{side}.vici"))
            (folder / f"{side}.swanctl").write_text(_SWANCTL.format(address=address, peer=peer, own_net=own_net, peer_net=peer_net))
            environment = {**os.environ, "STRONGSWAN_CONF": str(folder / f"{side}.conf")}
            log = stack.enter_context((folder / f"{side}.log").open("wb"))
            charon = stack.enter_context(lab.popen(side, [_charon()], env=environment, stdout=log, stderr=log))
            stack.callback(charon.terminate)
            charons.append(charon.pid)
            _until(lambda side=side: (folder / f"{side}.vici").exists())  # type: ignore[misc]
            _swanctl(lab, side, folder, "--load-all", "--file", str(folder / f"{side}.swanctl"))
            enlarge(charon.pid)
        _swanctl(lab, "left", folder, "--initiate", "--child", "net")
        yield Way(lab=lab, near="near", far="far", charons=tuple(charons))


_STRONGSWAN = """charon-systemd {{
  load = {plugins}
  journal {{
    default = -1
  }}
  plugins {{
    vici {{
      socket = unix://{socket}
    }}
  }}
}}
"""
_SWANCTL = """connections {{
  tunnel {{
    version = 2
    local_addrs = {address}
    remote_addrs = {peer}
    proposals = aes128gcm16-prfsha256-ecp256
    encap = yes
    local {{
      auth = psk
    }}
    remote {{
      auth = psk
    }}
    children {{
      net {{
        local_ts = {own_net}
        remote_ts = {peer_net}
        esp_proposals = aes128gcm16-ecp256
        replay_window = 1024
      }}
    }}
  }}
}}
secrets {{
  ike {{
    secret = "by hand"
  }}
}}
"""


def _charon() -> str:
    from services.ipsec.server import PROGRAMS

    return next(path for path in PROGRAMS if os.access(path, os.X_OK))


def _swanctl(lab: Any, side: str, folder: Path, *words: str) -> None:
    with lab.popen(side, ["swanctl", *words, "--uri", f"unix://{folder / side}.vici"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        said = program.communicate(timeout=PATIENCE_S)[0].decode()
    if program.returncode != 0:
        raise RuntimeError(f"swanctl {' '.join(words)}: {said}")


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("charon's control socket has not opened")
        time.sleep(0.01)


def _plan_by_hand(name: str) -> Any:
    from testbed.plan import Interface, Link, Node, NodeKind, Plan, Route
    from testbed.plan.names import mac_address

    everything = IPv4Network("0.0.0.0/0")
    ends = {
        "near": (("eth0", f"{PC}/24", "192.168.10.1"),),
        "internet": (("one", "192.0.2.2/30", None), ("other", "192.0.2.5/30", None)),
        "left": (("lan", "192.168.10.1/24", None), ("wan", "192.0.2.1/30", "192.0.2.2")),
        "right": (("wan", "192.0.2.6/30", "192.0.2.5"), ("lan", "10.0.0.1/16", None)),
        "far": (("eth0", f"{WEB}/16", "10.0.0.1"),),
    }
    interfaces = {(node, device): Interface(node=node, name=device, mac=mac_address(f"{name}-{node}", device), addresses=(IPv4Interface(address),)) for node, each in ends.items() for device, address, _ in each}
    forwards = (("ipv4/ip_forward", "1"),)
    return Plan(
        name=f"vpn-{name}".replace(" ", "-"),
        nodes=tuple(
            Node(
                name=node,
                kind=NodeKind.CUSTOMER_GATEWAY,
                sysctls=() if node in ("near", "far") else forwards,
                ruleset=_of_an_office() if node == "left" else None,
                routes=tuple(Route(destination=everything, device=device, via=IPv4Address(via)) for device, _, via in each if via is not None),
            )
            for node, each in sorted(ends.items())
        ),
        links=tuple(
            Link(a=interfaces[one], b=interfaces[other])
            for one, other in ((("far", "eth0"), ("right", "lan")), (("internet", "one"), ("left", "wan")), (("internet", "other"), ("right", "wan")), (("left", "lan"), ("near", "eth0")))
        ),
    )


def _of_an_office() -> Any:
    """What any router of an office has: its hosts' addresses hidden, and TCP clamped for the tunnel."""
    from testbed.plan import NftChain, NftRule, NftTable, Ruleset

    clamp = NftChain(name="clamp", hook="type filter hook forward priority mangle; policy accept;", rules=(NftRule(statement="tcp flags syn tcp option maxseg size set 1360"),))
    hide = NftChain(name="hide", hook="type nat hook postrouting priority srcnat; policy accept;", rules=(NftRule(statement='oifname "wan" masquerade'),))
    return Ruleset(tables=(NftTable(name="office", chains=(clamp, hide)),))


def rate(way: Way, sender: str, receiver: str) -> Rates:
    """One TCP connection at full speed through the tunnel."""
    address = WEB if receiver == way.far else PC
    with way.lab.socket(receiver, socket.AF_INET, socket.SOCK_STREAM) as listener, way.lab.socket(sender, socket.AF_INET, socket.SOCK_STREAM) as near:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, PORT))
        listener.listen(1)
        near.settimeout(PATIENCE_S)
        near.connect((address, PORT))
        near.settimeout(None)
        far, _ = listener.accept()
        process = _fork.Process(target=_pour, args=(near,), daemon=True)
        process.start()
        with far:
            far.settimeout(PATIENCE_S)
            _drain(far, WARM_S)
            before, began = [_used_s(charon) for charon in way.charons], time.monotonic()
            received = _drain(far, POURING_S)
            took_s = time.monotonic() - began
            busier_s = max(_used_s(charon) - used for charon, used in zip(way.charons, before, strict=True))
        process.terminate()
        process.join()
    return received * 8 / busier_s / 1e9, received * 8 / took_s / 1e9


def _used_s(process: int) -> float:
    """A process's time; its clock's number is made as MAKE_PROCESS_CPUCLOCK of linux/posix-timers.h does."""
    return time.clock_gettime(~process << 3 | 2)


def _pour(sock: socket.socket) -> None:
    data = bytes(256 * 1024)
    with suppress(BrokenPipeError, ConnectionResetError):
        while True:
            sock.sendall(data)


def _drain(sock: socket.socket, seconds: float) -> int:
    received, end = 0, time.monotonic() + seconds
    buffer = bytearray(256 * 1024)
    while time.monotonic() < end:
        received += sock.recv_into(buffer)
    return received


def run(rounds: int) -> dict[str, dict[str, list[Rates]]]:
    """Each round's rates, by path and direction."""
    from services.ipsec.strongswan import PLUGINS, USERSPACE_PLUGINS
    from testbed.engine import sandbox

    sandbox.enter()
    ours = " ".join((*PLUGINS, *USERSPACE_PLUGINS))
    with ExitStack() as stack:
        ways = {
            TESTBED: stack.enter_context(_testbed()),
            BY_HAND: stack.enter_context(_by_hand("tuned", ours)),
            OPENSSL: stack.enter_context(_by_hand(OPENSSL, f"openssl {ours}")),
            SOFTWARE: stack.enter_context(_by_hand("software", f"{SOFTWARE} {ours}")),
        }
        values: dict[str, dict[str, list[Rates]]] = {name: {INTO: [], OUT_OF: []} for name in ways}
        for way in ways.values():
            rate(way, way.near, way.far)
        for _ in range(rounds):
            slices: dict[tuple[str, str], list[Rates]] = {(name, direction): [] for name in ways for direction in (INTO, OUT_OF) if direction == INTO or name in (TESTBED, BY_HAND)}
            for number in range(SLICES):
                for name, direction in slices if number % 2 else reversed(slices):
                    way = ways[name]
                    slices[name, direction].append(rate(way, *((way.near, way.far) if direction == INTO else (way.far, way.near))))
            for (name, direction), found in slices.items():
                values[name][direction].append(max(found))
    return values


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
