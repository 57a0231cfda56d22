"""What this machine can do: every kernel feature, program and limit that a lab wants, found or missing, with the remedy.

Decides nothing by version numbers or module lists: `check` makes a sandbox's namespaces in a child and *tries* each thing there, with the
tools and calls that the lab itself uses, then throws the child away. Nothing outside it changes.

    check ──fork──► launcher ──unshare, fork──► PID 1: mounts, links, nft, routes, TAP, nested user namespace …
      ▲                                            │ one JSON line per finding
      └────────────────── pipe ────────────────────┘ and the rest of the machine is read: programs, limits, memory, state folder

Invariants: a required check that is not found means that no lab can start; an optional one names what goes without it.
A finding that never came (the child died or hung) counts as not found. About 0.1 s.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import functools
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.engine import state, syscalls
from testbed.engine.errors import RealiseError
from testbed.engine.programs import PROGRAMS
from testbed.plan import Plan

SET_UP = "run `sh testbed/setup.sh install`"
COMMAND_TIMEOUT_S = 20.0
"""The first use of a feature loads its modules, which takes a slow machine, or one that emulates, seconds."""
SILENCE_S = COMMAND_TIMEOUT_S + 5.0
"""The child has hung when so long nothing was found."""
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))

NEIGHBOURS_WANTED = 4096
DESCRIPTORS_WANTED = 4096
MEMORY_WANTED_MIB = 1024
LONGEST_SOCKET_NAME = "/a-lab-of-24-characters-x/control.sock"
DISK_WANTED_MIB = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `detail` says what was seen or why it failed; `remedy` what to do about it, empty where nothing needs doing."""

    name: str
    found: bool
    required: bool
    detail: str
    remedy: str


class DelayLine(enum.StrEnum):
    """What holds frames back on a link with delay, jitter, loss or a rate."""

    NETEM = "netem"
    USERSPACE_WIRE = "userspace wire"


class Tagging(enum.StrEnum):
    """What puts 802.1Q tags on the frames of a VLAN."""

    KERNEL = "8021q"
    USERSPACE_WIRE = "userspace wire"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A kernel feature, tried by `commands` of `program` (ip or tc in batch mode, nft from standard input). `wanted_by` says what goes without it."""

    name: str
    program: str
    commands: str
    required: bool
    wanted_by: str
    module: str = ""


ESP_IN_AN_XFRM_INTERFACE = (
    "link add pf-x type xfrm dev lo if_id 7\n"
    "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x700 mode tunnel aead rfc4106(gcm(aes)) 0x" + "11" * 20 + " 128\n"
)
VLAN_ON_A_VETH = "link add name pf-v type veth peer name pf-w\nlink add link pf-v name pf-v.7 type vlan id 7\n"


def _table(body: str) -> str:
    return f"table ip testbed_preflight {{\n{body}\n}}\n"


def _prerouting(rule: str) -> str:
    return _table(f"chain pre {{ type filter hook prerouting priority -150;\n{rule}\n}}")


FEATURES = (
    Feature(name="nft: stateful filtering", program="nft", commands=_prerouting("ct state established ct mark set ct mark or 0x1 counter accept"), required=True, wanted_by="security groups", module="nf_conntrack"),
    Feature(name="nft: address translation", program="nft", required=True, wanted_by="internet and NAT gateways", module="nft_nat",
            commands=_table("chain post { type nat hook postrouting priority 100;\nsnat to 192.0.2.1\n}")),
    Feature(name="nft: interval verdict maps", program="nft", required=True, wanted_by="security groups", module="nf_tables",
            commands=_table('chain c {\n}\nmap m { type ifname . ipv4_addr . inet_proto . inet_service : verdict; flags interval; elements = { "e-x" . 192.0.2.0/24 . tcp . 80-443 : jump c }\n}')),
    Feature(name="nft: hashing", program="nft", commands=_prerouting("meta mark set jhash ip saddr . ip daddr mod 60 seed 0x1"), required=False, wanted_by="Network Load Balancers", module="nft_hash"),
    Feature(name="nft: rates by address", program="nft", required=True, wanted_by="Shield Standard", module="nft_limit",
            commands=_table("set r { type ipv4_addr; flags dynamic, timeout; size 64; timeout 60s; }\nchain c {\nupdate @r { ip saddr limit rate over 5/second burst 5 packets } counter drop\n}")),
    Feature(name="nft: packet traces", program="nft", commands=_prerouting("meta nftrace set 1"), required=True, wanted_by="`testbed explain`", module="nf_tables"),
    Feature(name="nft: log groups", program="nft", commands=_prerouting('log prefix "x" group 7 snaplen 96'), required=False, wanted_by="flow logs", module="nfnetlink_log"),
    Feature(name="policy routing", program="ip", commands="rule add fwmark 0x1/0xfff lookup 101\nroute add throw 10.0.0.0/16 table 101\nroute add blackhole 10.1.0.0/16\n", required=True, wanted_by="VPC route tables"),
    Feature(name="veth links", program="ip", commands="link add name pf-a type veth peer name pf-b\n", required=True, wanted_by="every link", module="veth"),
    Feature(name="bridges", program="ip", commands="link add name pf-br type bridge\n", required=False, wanted_by="drawing several offices on one LAN", module="bridge"),
    Feature(name="VLANs", program="ip", commands=VLAN_ON_A_VETH, required=False, wanted_by="Direct Connect's virtual interfaces (a userspace wire tags frames instead)", module="8021q"),
    Feature(name="VRF", program="ip", commands="link add name pf-vrf type vrf table 102\n", required=False, wanted_by="transit gateway route tables (policy rules do instead)", module="vrf"),
    Feature(name="VXLAN", program="ip", commands="link add name pf-vxlan type vxlan id 7 remote 192.0.2.1 dstport 4789\n", required=False, wanted_by="one lab over several machines", module="vxlan"),
    Feature(name="GRE", program="ip", commands="link add name pf-gre type gre local 192.0.2.1 remote 192.0.2.2\n", required=False, wanted_by="nothing yet: Connect peers are carried by TUN devices and raw sockets", module="ip_gre"),
    Feature(name="GENEVE", program="ip", commands="link add name pf-gnv type geneve id 7 remote 192.0.2.1\n", required=False, wanted_by="Gateway Load Balancers (a TUN device does instead)", module="geneve"),
    Feature(name="WireGuard", program="ip", commands="link add name pf-wg type wireguard\n", required=False, wanted_by="third-party VPN appliances", module="wireguard"),
    Feature(name="kernel ESP", program="ip", commands=ESP_IN_AN_XFRM_INTERFACE, required=False, wanted_by="Site-to-Site VPN (userspace ESP does instead)", module="esp4"),
    Feature(name="netem", program="tc", commands="qdisc add dev lo root netem delay 1ms\n", required=False, wanted_by="delay between cities (a userspace wire does instead)", module="sch_netem"),
)


def check(state_directory: Path | None = None) -> tuple[Check, ...]:
    """Everything a lab wants of this machine, in the order in which a person would repair it: kernel, programs, limits.

    `state_directory` is where labs keep their state; by default ``testbed`` under XDG_STATE_HOME.
    """
    return (*_kernel_checks(), *_program_checks(), *_limit_checks(), _state_check(state_directory or state.home()))


def missing(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """Those without which no lab can start."""
    return tuple(c for c in checks if c.required and not c.found)


@functools.cache
def has_netem() -> bool:
    """Whether links may use netem here: tried on the loopback of a throw-away network namespace. Needs to be in a sandbox, or root. About 10 ms, once."""
    try:
        result = subprocess.run(["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"], env=_environment(), capture_output=True, timeout=COMMAND_TIMEOUT_S)
    except FileNotFoundError:
        return False
    return result.returncode == 0


@functools.cache
def has_vlans() -> bool:
    """Whether the kernel has VLAN devices: tried in a throw-away network namespace. Needs to be in a sandbox, or root. About 10 ms, once."""
    try:
        result = subprocess.run(["unshare", "--net", "ip", "-batch", "-"], env=_environment(), input=VLAN_ON_A_VETH, text=True, capture_output=True, timeout=COMMAND_TIMEOUT_S)
    except FileNotFoundError:
        return False
    return result.returncode == 0


def tagging() -> Tagging:
    """Which implementation VLANs get here; asked in a sandbox, or as root."""
    return Tagging.KERNEL if has_vlans() else Tagging.USERSPACE_WIRE


def delay_line() -> DelayLine:
    """Which implementation links with delay, jitter, loss or a rate get here; asked in a sandbox, or as root."""
    return DelayLine.NETEM if has_netem() else DelayLine.USERSPACE_WIRE


# --- the kernel: tried in a child ------------------------------------------------------------------------------------------------------


def _kernel_checks() -> Iterator[Check]:
    findings = _findings()
    sandbox_error = findings.get("sandbox", "the child which tries them ended too early")
    namespaces = "network, mount, process, IPC and UTS" if os.geteuid() == 0 else "user, network, mount, process, IPC and UTS"
    yield Check(name="sandbox namespaces", found=not sandbox_error, required=True, detail=sandbox_error or namespaces, remedy=_sandbox_remedy() if sandbox_error else "")
    netem = findings.get("netem") == ""
    for name, required, remedy in (
        ("mounts of proc, sysfs and tmpfs", True, "run outside of containers that mask /proc (docker: --privileged)"),
        ("nested user namespace", True, "run outside of a chroot, and raise user.max_user_namespaces: PostgreSQL runs as another user in one"),
        ("TAP devices", not netem, "`sudo modprobe tun`, then `sudo chmod 666 /dev/net/tun` where udev does not: links with a delay are pairs of them without netem"),
        ("packet sockets", True, "use a kernel with CONFIG_PACKET; captures need it"),
    ):
        error = findings.get(name, "not tried: no sandbox")
        yield Check(name=name, found=not error, required=required, detail=error or "works", remedy=remedy if error else "")
    for feature in FEATURES:
        error = findings.get(feature.name, "not tried: no sandbox")
        remedy = f"`modprobe {feature.module}`, or use a distribution's kernel" if feature.module else "use a distribution's kernel"
        if "No such file or directory: " in error:
            remedy = SET_UP
        yield Check(name=feature.name, found=not error, required=feature.required, detail=error or f"for {feature.wanted_by}", remedy=f"{remedy}; wanted by {feature.wanted_by}" if error else "")


def _sandbox_remedy() -> str:
    if os.geteuid() == 0:
        return "run with CAP_SYS_ADMIN: outside of a container, or in a privileged one"
    if _read_sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return f"AppArmor restricts user namespaces: {SET_UP} to install the profile, and start the testbed from its .venv"
    if _read_sysctl("kernel/unprivileged_userns_clone") == "0":
        return "`sudo sysctl kernel.unprivileged_userns_clone=1`, or run as root"
    if _read_sysctl("user/max_user_namespaces") == "0":
        return "`sudo sysctl user.max_user_namespaces=10000`, or run as root"
    return "run outside of a chroot or container that forbids user namespaces, or as root"


def _findings() -> dict[str, str]:
    """What the child found: name → error, empty where the thing works."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            _in_child(writer)
        finally:
            os._exit(0)
    os.close(writer)
    received = bytearray()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(SILENCE_S * 1000):
        if not (chunk := os.read(reader, 65536)):
            break
        received += chunk
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    os.waitpid(child, 0)
    return dict(json.loads(line) for line in received.decode().splitlines())


def _in_child(writer: int) -> None:
    """Make the namespaces, then try everything as their PID 1."""

    def tell(name: str, error: str) -> None:
        os.write(writer, (json.dumps([name, error]) + "\n").encode())

    uid, gid = os.geteuid(), os.getegid()
    try:
        syscalls.die_with_parent()
        if uid != 0:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            syscalls.map_to(0, 0, uid, gid)
        syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)
        first = os.fork()
    except OSError as error:
        tell("sandbox", str(error))
        return
    if first != 0:
        os.waitpid(first, 0)
        return
    syscalls.die_with_parent()
    tell("sandbox", "")
    for name, attempt in (("mounts of proc, sysfs and tmpfs", _try_mounts), ("nested user namespace", _try_nested_user_namespace), ("TAP devices", _try_tap), ("packet sockets", _try_packet_socket)):
        tell(name, _error_of(attempt))
    for feature in FEATURES:
        tell(feature.name, _error_of(functools.partial(_try_feature, feature)))


def _error_of(attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


def _try_mounts() -> None:
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run"), ("tmpfs", "/dev/shm")):
        syscalls.mount(kind, target, kind, syscalls.MS_NOSUID | syscalls.MS_NODEV)


def _try_nested_user_namespace() -> None:
    """In a child: a user namespace within this one in which we are somebody else than root, as PostgreSQL demands."""
    child = os.fork()
    if child == 0:
        code = errno.EPERM
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            syscalls.map_to(1000, 1000, 0, 0)
            code = 0 if os.geteuid() == 1000 else errno.EPERM
        except OSError as error:
            code = error.errno or errno.EPERM
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise OSError(code, os.strerror(code))


def _try_tap() -> None:
    tun_set_iff, iff_tap, iff_no_pi, iff_vnet_header = 0x400454CA, 0x0002, 0x1000, 0x4000
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, tun_set_iff, struct.pack("16sH22x", b"pf-tap", iff_tap | iff_no_pi | iff_vnet_header))
    finally:
        os.close(descriptor)


def _try_packet_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)).close()


def _try_feature(feature: Feature) -> None:
    arguments = {"nft": ["nft", "-f", "-"], "ip": ["ip", "-batch", "-"], "tc": ["tc", "-batch", "-"]}[feature.program]
    result = subprocess.run(arguments, env=_environment(), input=feature.commands, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
    if result.returncode != 0:
        raise OSError(next((line.strip() for line in result.stderr.splitlines() if line.strip()), f"{feature.program} ended with {result.returncode}"))


def _environment() -> dict[str, str]:
    return {"PATH": SYSTEM_PATH, "LC_ALL": "C"}


# --- the rest of the machine: read ------------------------------------------------------------------------------------------------------


def find_program(name: str) -> str | None:
    """The path of a host program; PostgreSQL's server keeps its own out of PATH."""
    if found := shutil.which(name, path=SYSTEM_PATH):
        return found
    if name != "postgres":
        return None
    return max((str(path) for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")), default=None)


def require_programs(plan: Plan) -> None:
    """Raises RealiseError if a service of the plan runs a host program that is not installed."""
    for program in PROGRAMS:
        who = [service.name for service in plan.services if service.kind == program.service]
        if who and find_program(program.name) is None:
            others = f" and {len(who) - 1} more" if len(who) > 1 else ""
            raise RealiseError(f"{program.name} is not installed here, and this lab needs it for {who[0]}{others}", f"`apt install {program.package}`, or {SET_UP}")


def _program_checks() -> Iterator[Check]:
    for program in PROGRAMS:
        path = find_program(program.name)
        yield Check(name=program.name, found=path is not None, required=program.required, detail=path or f"not installed; wanted for {program.purpose}", remedy="" if path else f"`apt install {program.package}`, or {SET_UP}")


def _limit_checks() -> Iterator[Check]:
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = descriptors == resource.RLIM_INFINITY or descriptors >= DESCRIPTORS_WANTED
    yield Check(name="open files", found=enough, required=False, detail=f"at most {descriptors} (a node takes two)", remedy="" if enough else f"raise the hard limit (`ulimit -Hn {DESCRIPTORS_WANTED}`) for labs of over {descriptors // 3} nodes")
    cookies = _read_sysctl("net/ipv4/tcp_syncookies") is not None
    yield Check(name="SYN cookies", found=cookies, required=True, detail="there" if cookies else "the kernel was built without CONFIG_SYN_COOKIES; wanted by Shield Standard at edge locations",
                remedy="" if cookies else "run a kernel of Debian's or Ubuntu's, which have it")
    limit = _read_sysctl("net/ipv4/neigh/default/gc_thresh3")
    if limit is not None:  # the host's alone: a network namespace of one's own does not show it
        enough = int(limit) >= NEIGHBOURS_WANTED
        yield Check(name="neighbour table", found=enough, required=False, detail=f"{limit} entries, shared by all namespaces of this machine",
                    remedy="" if enough else f"`sudo sysctl net.ipv4.neigh.default.gc_thresh3={NEIGHBOURS_WANTED * 16}` for labs of hundreds of nodes")
    available = _available_memory_mib()
    enough = available >= MEMORY_WANTED_MIB
    yield Check(name="memory", found=enough, required=False, detail=f"{available} MiB available", remedy="" if enough else f"free some: a lab takes about 400 MiB, and {MEMORY_WANTED_MIB} are comfortable")


def _state_check(directory: Path) -> Check:
    """Whether labs can keep their state there: writable, not full, and a socket's path in it short enough for the kernel."""
    existing = next(path for path in (directory, *directory.parents) if _is_visible(path))
    length = len(os.fsencode(directory)) + len(LONGEST_SOCKET_NAME)
    free = shutil.disk_usage(existing).free >> 20
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        problem, remedy = f"{existing} is not writable", "let XDG_STATE_HOME name a folder of yours"
    elif length > state.SOCKET_PATH_BYTES:
        problem, remedy = f"{directory} is too long: a socket in it would need {length} bytes", f"let XDG_STATE_HOME name a shorter path (a socket's has at most {state.SOCKET_PATH_BYTES} bytes)"
    elif free < DISK_WANTED_MIB:
        problem, remedy = f"only {free} MiB are free in {existing}", f"make room for {DISK_WANTED_MIB} MiB"
    else:
        return Check(name="state folder", found=True, required=True, detail=str(directory), remedy="")
    return Check(name="state folder", found=False, required=True, detail=problem, remedy=remedy)


def _is_visible(path: Path) -> bool:
    """Whether it exists, as far as this user may look."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _available_memory_mib() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) >> 10


def _read_sysctl(path: str) -> str | None:
    """None where this kernel has no such setting, or does not show it here."""
    try:
        return Path("/proc/sys", path).read_text().strip()
    except FileNotFoundError:
        return None
