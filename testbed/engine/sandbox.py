"""The sandbox: a lab's own user, network, mount, process, IPC and UTS namespaces.

    caller ──fork──► launcher ──unshare, fork──► init (PID 1) ──fork──► the same program, going on inside
       │ relays exit code, SIGTERM…  │                  │ mounts /proc /sys /run /tmp /dev/shm, reaps
       └──────── waits ──────────────┴──── waits ───────┘

`enter` returns only in the last of them: the program that called it goes on there with all that it had in memory, its terminal,
its standard streams and its process group, so that debuggers, Ctrl-C and coverage work. The caller itself only waits, and leaves with
the same exit code. Each process dies with the one before it, and init's death ends everything inside: kill -9 of any leaves nothing.

Root is not needed where the kernel allows unprivileged user namespaces; as root no user namespace is made.
Inside, nothing of the host's network is visible, not even a route to it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from testbed.engine import syscalls
from testbed.engine.errors import RealiseError
from testbed.engine.netlink import bring_loopback_up

INSIDE = "TESTBED_SANDBOX"
TEMPORARY = "/tmp"
MASKED = ("/run", TEMPORARY, "/dev/shm")
RUN = Path("/run/testbed")
HOST_NAME = "testbed"
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
RELAYED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
_OK = b"\x01"


def inside() -> bool:
    """Whether this process lives in a sandbox already."""
    return INSIDE in os.environ


def enter(keep: Iterable[Path] = ()) -> None:
    """Go on inside a new sandbox, as a child of its init; at once if already inside.

    `keep` are paths that must stay visible although they lie under a masked directory (/run, /tmp, /dev/shm), or are /tmp itself; the working directory, the
    interpreter and this package are kept anyway. Raises RealiseError, in the caller, if the machine refuses.
    """
    if inside():
        return
    keep = tuple(keep)
    visible, masked = _visible(keep), tuple(path for path in MASKED if path != TEMPORARY or Path(TEMPORARY) not in keep)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    sys.stdout.flush()
    sys.stderr.flush()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *RELAYED})
    launcher = os.fork()
    if launcher == 0:
        here.close()
        _launch(there, visible, masked)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return
    there.close()
    _relay(here, launcher, blocked)


def with_system_programs(path: str) -> str:
    """A search path on which nft, ip, tc and tcpdump are found as well: an ordinary user's often ends before the sbin folders."""
    folders = path.split(os.pathsep) if path else []
    return os.pathsep.join([*folders, *(folder for folder in SYSTEM_FOLDERS if folder not in folders)])


def _relay(here: socket.socket, launcher: int, blocked: Iterable[int]) -> None:
    """In the caller: learn who goes on inside, pass signals to it, and leave as it leaves. Returns never, but may raise."""
    message, ancillary, _, _ = here.recvmsg(4096, socket.CMSG_SPACE(12))
    if message != _OK:
        _, status = os.waitpid(launcher, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        reason = message.decode(errors="replace") or f"the launcher ended with status {status}"
        raise RealiseError(f"cannot make a sandbox: {reason}", "run `testbed doctor`; it tries each capability and names what is missing")
    inner = struct.unpack("3i", ancillary[0][2][:12])[0]

    def pass_on(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner, number)

    for number in RELAYED:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the one inside as well
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    while True:
        try:
            _, status = os.waitpid(launcher, 0)
            break
        except InterruptedError:
            continue
    os._exit(_exit_code(status))


def _launch(there: socket.socket, visible: tuple[Path, ...], masked: tuple[str, ...]) -> None:
    """In the launcher: make the namespaces, fork init; returns only in the program inside."""
    syscalls.die_with_parent()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *RELAYED)}
    _ignore_terminal()
    uid, gid = os.getuid(), os.getgid()
    try:
        if uid != 0:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            syscalls.map_to(0, 0, uid, gid)
        syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)
        init = os.fork()
    except OSError as error:
        there.send(str(error).encode())
        os._exit(1)
    if init != 0:
        there.close()
        _, status = os.waitpid(init, 0)
        os._exit(_exit_code(status))
    syscalls.die_with_parent()
    try:
        _furnish(visible, masked)
        program = os.fork()
    except (OSError, RealiseError) as error:
        there.send(str(error).encode())
        os._exit(1)
    if program != 0:
        there.close()
        _reap(program)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.update({INSIDE: "1", "PATH": with_system_programs(os.environ.get("PATH", ""))})
    there.send(_OK)
    there.close()


def _ignore_terminal() -> None:
    for number in (signal.SIGINT, *RELAYED):
        signal.signal(number, signal.SIG_IGN)


def _reap(program: int) -> None:
    """PID 1: collect every orphan; leave when the program leaves, which ends all the others."""
    syscalls.set_process_name("testbed-init")
    _close_all_descriptors()
    while True:
        pid, status = os.wait()
        if pid == program:
            os._exit(_exit_code(status))


def _close_all_descriptors() -> None:
    os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _exit_code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _visible(keep: Iterable[Path]) -> tuple[Path, ...]:
    """The paths that must survive the masking, without those inside others."""
    wanted = {Path.cwd(), Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[2], *keep}
    under = sorted({path for path in wanted if str(path) not in MASKED and any(path.is_relative_to(mask) for mask in MASKED) and path.exists()})
    return tuple(path for path in under if not any(other != path and path.is_relative_to(other) for other in under))


def _furnish(visible: tuple[Path, ...], masks: tuple[str, ...]) -> None:
    """Private mounts, a /proc and /sys of our own, empty /run, /tmp and /dev/shm, a host name, a loopback, and many descriptors."""
    working_directory = Path.cwd()
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    kept = [(path, path.is_dir(), os.open(path, os.O_PATH)) for path in visible]  # leads there still when the path does not
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    syscalls.mount("sysfs", "/sys", "sysfs", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    for masked in masks:
        syscalls.mount("tmpfs", masked, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=1777")
    for path, is_folder, descriptor in kept:
        (path if is_folder else path.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            path.touch()
        syscalls.bind(f"/proc/self/fd/{descriptor}", str(path), recursive=True)
        os.close(descriptor)
    if str(working_directory) not in masks:  # there, the old directory stays ours, beneath the new mount
        os.chdir(working_directory)
    for path in (RUN, Path("/run/netns")):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    syscalls.set_hostname(HOST_NAME)
    bring_loopback_up()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
