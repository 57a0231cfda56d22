"""The configured state of a running lab, in a form that can be compared: what the kernel holds in each node, without what only history explains.

Left out: numbers of interfaces and rules, counters, what the kernel learns (neighbours that are not permanent, cached routes), what it notes some time later (`operstate`; whether
the cable is in, LOWER_UP, it knows at once), and the order in which things were made.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any

from testbed.engine.lab import Lab

IP_PARTS = ("addresses", "routes", "rules", "neighbours")
LOOK = """
printf 'addr\\nroute show table all\\nrule\\nneigh show nud permanent\\n' | ip -j -batch -
nft -j list ruleset
cd /proc/sys/net && exec grep -rs . ipv4/conf ipv4/neigh ipv4/ip_forward ipv4/icmp_ratelimit ipv4/fwmark_reflect \\
    netfilter/nf_conntrack_tcp_timeout_established netfilter/nf_conntrack_udp_timeout netfilter/nf_conntrack_tcp_be_liberal
"""
LATER = "NO-CARRIER"
UNORDERED = frozenset(("addr_info", "elem"))
"""An interface's addresses, which say themselves whether they are secondary; elements of sets and maps."""
HISTORY = frozenset(("operstate", "ifindex", "link_index", "link_netnsid", "link", "handle", "packets", "bytes", "metainfo", "link-netns"))
LOOKS_AT_ONCE = 8

State = dict[str, dict[str, list[str]]]
"""Node → part → its entries, sorted."""


def configured_state(lab: Lab) -> State:
    """The state of every node."""
    names = sorted(lab.nodes)
    state: State = {}
    for begin in range(0, len(names), LOOKS_AT_ONCE):
        looks = {name: lab.popen(name, ("sh", "-c", LOOK), stdout=subprocess.PIPE) for name in names[begin : begin + LOOKS_AT_ONCE]}
        state |= {name: _parts(look.communicate()[0].decode()) for name, look in looks.items()}
    return state


def differences(one: State, other: State) -> list[str]:
    """What only one of two states has, one line each; empty if they are the same."""
    return [
        f"{node} {part}: {sign} {entry}"
        for node in sorted(one.keys() | other.keys())
        for part in (*IP_PARTS, "ruleset", "sysctls")
        for sign, mine, yours in (("-", one, other), ("+", other, one))
        for entry in sorted(set(mine.get(node, {}).get(part, ())) - set(yours.get(node, {}).get(part, ())))
    ]


def _parts(text: str) -> dict[str, list[str]]:
    decoder, end, listings = json.JSONDecoder(), 0, []
    for _ in (*IP_PARTS, "ruleset"):
        listing, end = decoder.raw_decode(text, end)
        listings.append(listing)
        end += len(text[end:]) - len(text[end:].lstrip())
    *tables, ruleset = listings
    return {
        **{name: sorted(_line(entry) for entry in table) for name, table in zip(IP_PARTS, tables, strict=True)},
        "ruleset": sorted(_of_ruleset(ruleset["nftables"])),
        "sysctls": sorted(text[end:].splitlines()),
    }


def _of_ruleset(entries: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each table, chain, map and rule. A rule carries its place in its chain, since their order decides."""
    places: Counter[tuple[str, str, str]] = Counter()
    for entry in entries:
        place = {}
        if "rule" in entry:
            chain = (entry["rule"]["family"], entry["rule"]["table"], entry["rule"]["chain"])
            places[chain] += 1
            place = {"place": places[chain]}
        if "dynamic" in entry.get("set", {}).get("flags", ()) or "size" in entry.get("set", {}):  # packets fill it (nft of Debian 12 shows the flag to nobody)
            entry = {"set": {key: value for key, value in entry["set"].items() if key != "elem"}}
        yield _line({**entry, **place})


def _line(entry: Any) -> str:
    return json.dumps(_timeless(entry), sort_keys=True)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) if key not in UNORDERED else sorted(_line(element) for element in inner) for key, inner in value.items() if key not in HISTORY}
    return [_timeless(inner) for inner in value if inner != LATER] if isinstance(value, list) else value
