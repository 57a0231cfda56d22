"""What a node tells the kernel beside its maps (`services.common.slot_maps`): flows to forget, by conntrack."""

from __future__ import annotations

from services.common.slot_maps import run
from services.nlb.config import Target

NOTHING_FOUND = 1
"""conntrack's exit code where there is no such flow."""


async def end_flows(target: Target, protocols: tuple[str, ...]) -> None:
    """Forget the flows to a target: whoever sends the next packet of one of TCP gets a reset. Raises OSError."""
    for protocol in protocols:
        code, words = await run(("conntrack", "-D", "-p", protocol, "--reply-src", str(target.address), "--reply-port-src", str(target.port)), "")
        if code not in (0, NOTHING_FOUND):
            raise OSError(f"conntrack: {words}")
