"""A terminal lent to another process: a pseudo-terminal whose far end is its controlling terminal, joined to the caller's own.

What is typed reaches the far end as bytes, Ctrl-C among them, which its terminal turns into a signal there.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable


def lend(run: Callable[[int], int]) -> int:
    """Call `run` with the far end's descriptor (it closes it), carry bytes to and fro until it returns, and return what it returned."""
    near, far = os.openpty()
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    result: list[int] = []
    ended_read, ended_write = os.pipe2(os.O_CLOEXEC)

    def call() -> None:
        try:
            result.append(run(far))
        finally:
            os.write(ended_write, b"!")

    def resize(*_: object) -> None:
        fcntl.ioctl(near, termios.TIOCSWINSZ, fcntl.ioctl(keyboard, termios.TIOCGWINSZ, b"\0" * 8))

    resize()
    before = termios.tcgetattr(keyboard)
    usual = signal.signal(signal.SIGWINCH, resize)
    thread = threading.Thread(target=call, name="terminal")
    try:
        tty.setraw(keyboard)
        thread.start()
        _carry(near, keyboard, screen, ended_read)
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, usual)
        thread.join()
        for descriptor in (near, ended_read, ended_write):
            os.close(descriptor)
    return result[0] if result else 1


def _carry(near: int, keyboard: int, screen: int, ended: int) -> None:
    poll = select.poll()
    for descriptor in (near, keyboard, ended):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if near in ready:
            try:
                os.write(screen, os.read(near, 65536))
            except OSError:  # nobody has the far end open any more
                poll.unregister(near)
        elif ended in ready:
            return
        if keyboard in ready:
            typed = os.read(keyboard, 4096)
            if typed:
                os.write(near, typed)
            else:
                poll.unregister(keyboard)
