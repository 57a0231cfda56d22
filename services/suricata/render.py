"""What a firewall's Suricata reads: its settings and its rules. Pure.

Flows, not packets, are passed: a rule that passes a packet leaves a mark on its flow, and a last rule passes all that has the mark, in both directions.

Suricata asks rules by action, never as they are written. Strict order is made of that: alert rules are asked before pass rules there, and each drop or reject rule before a pass rule has a
silent twin among them, which marks the flow; a pass rule asks that no rule before it has left its mark. What no rule has taken meets the default actions, which come last.

    drop A ; pass B   ─▶   alert A (set before-1, silent) ; pass B (before-1 not set) ; drop A

Small on purpose: one thread for each direction, little memory, no protocol that the lab has no use for. It starts in 0.3 s and takes 25 MB.
Sources: Suricata user guide, "Rules Format", "Flow Keywords", "IPS mode", "Exception Policies"; Network Firewall developer guide, "Managing evaluation order for Suricata compatible rules",
"Stream exception policy options": DROP (documented), "Quotas": idle timeouts 350 s of TCP and 120 s of anything else (documented).
NOT MODELLED: in strict order, an alert rule after a pass rule that takes the same packet is told all the same; a TLS hello in several segments meets `aws:drop_established` before its name is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from services.suricata.config import Config, Rule

TCP_IDLE_S, OTHER_IDLE_S = 350, 120
ACTIONS = ("pass", "drop", "reject", "alert")
STRICT_ACTIONS = ("alert", "pass", "drop", "reject")
PASSED = "testbed.passed"
LABELS = re.compile(r'\s*(?:msg\s*:\s*"(?:\\.|[^"\\])*"|(?:sid|rev|gid|priority|classtype|reference|metadata)\s*:[^;]*|noalert)\s*;')
FIRST_OWN_SID = 4_000_000_000
"""From here on rules are the testbed's own: twins, marks, default actions."""
PASSED_SID, DEFAULTS_SID, TWINS_SID = FIRST_OWN_SID, FIRST_OWN_SID + 10, FIRST_OWN_SID + 1000
LOWEST_PRIORITY = 255
DEFAULT_CONDITIONS = {
    "strict": (("ip", ""),),
    "established": (("tcp", "flow:established; dsize:>0; "), ("udp", "flow:established; "), ("icmp", "flow:established; ")),
}
"""Of what looks at established flows only, TCP's empty segments are none: the last packet of the handshake is one."""


def rules_text(config: Config) -> str:
    """The rules, one on each line."""
    written = _in_strict_order(config.rules) if config.strict else (_passing(rule.text) for rule in config.rules)
    passed = (f'pass ip any any -> any any (msg:"passed before"; flowbits:isset,{PASSED}; sid:{PASSED_SID};)',) if any(_action(rule.text) == "pass" for rule in config.rules) else ()
    return "".join(f"{line}\n" for line in (*written, *_default_actions(config), *passed))


def defaults(config: Config) -> dict[int, str]:
    """The default actions by the sids of their rules."""
    return {sid: action for sid, action, _, _ in _defaults(config)}


def _in_strict_order(rules: tuple[Rule, ...]) -> Iterator[str]:
    passes = [number for number, rule in enumerate(rules) if _action(rule.text) == "pass"]
    last_pass, segment, twin = passes[-1] if passes else -1, 0, TWINS_SID
    before: list[int] = []
    for number, rule in enumerate(rules):
        action = _action(rule.text)
        if action == "pass":
            if before and before[-1] == segment:
                segment += 1
            yield _passing(rule.text, "".join(f"flowbits:isnotset,testbed.before-{each}; " for each in before))
            continue
        if action in ("drop", "reject") and number < last_pass:
            yield _twin(rule.text, f"testbed.before-{segment}", twin)
            twin += 1
            if segment not in before:
                before.append(segment)
        yield rule.text


def _passing(text: str, condition: str = "") -> str:
    """A pass rule that passes the flow; any other rule as it is."""
    if _action(text) != "pass":
        return text
    head, _, options = text.partition("(")
    return f"{head}({options.rstrip().removesuffix(')')} {condition}flowbits:set,{PASSED};)"


def _twin(text: str, mark: str, sid: int) -> str:
    """A silent rule with the same conditions, which leaves a mark on the flow."""
    head, _, options = text.partition("(")
    conditions = LABELS.sub("", options.rstrip().removesuffix(")")).strip()
    return f'alert {head.partition(" ")[2]}({conditions}{" " if conditions else ""}flowbits:set,{mark}; noalert; sid:{sid};)'


def _default_actions(config: Config) -> Iterator[str]:
    for sid, action, protocol, condition in _defaults(config):
        verb = action.removeprefix("aws:").partition("_")[0]
        condition += f"flowbits:isnotset,{PASSED}; " if verb == "alert" else ""
        yield f'{verb} {protocol} any any -> any any (msg:"{action}"; {condition}priority:{LOWEST_PRIORITY}; sid:{sid};)'


def _defaults(config: Config) -> Iterator[tuple[int, str, str, str]]:
    sid = DEFAULTS_SID
    for action in config.default_actions:
        for protocol, condition in DEFAULT_CONDITIONS[action.rpartition("_")[2]]:
            yield sid, action, protocol, condition
            sid += 1


def _action(text: str) -> str:
    return text.split(None, 1)[0]


def suricata_yaml(config: Config, folder: PurePosixPath, time_scale: float) -> str:
    """The settings. `folder` has the rules, and the socket on which events are heard."""
    tcp, other = (max(1, round(seconds / time_scale)) for seconds in (TCP_IDLE_S, OTHER_IDLE_S))
    actions = STRICT_ACTIONS if config.strict else ACTIONS
    lines = (
        "%YAML 1.1",
        "---",
        f"default-log-dir: {folder}",
        "default-rule-path: " + str(folder),
        "rule-files: [firewall.rules]",
        f"classification-file: {folder}/classification.config",
        f"reference-config-file: {folder}/reference.config",
        f"threshold-file: {folder}/threshold.config",
        f"action-order: [{', '.join(actions)}]",
        "stats: {enabled: no}",
        "unix-command: {enabled: no}",
        "logging:",
        "  default-log-level: notice",
        "  outputs: [{console: {enabled: yes, type: plain}}]",
        "outputs:",
        f"  - eve-log: {{enabled: yes, filetype: unix_stream, filename: {folder}/events.socket, types: [{{alert: {{tagged-packets: no, metadata: yes}}}}, netflow]}}",
        "af-packet:",
        *_end(config.inward, config.outward, 1),
        *_end(config.outward, config.inward, 2),
        "runmode: workers",
        "max-pending-packets: 256",
        "host-mode: router",
        "exception-policy: ignore",
        "host: {hash-size: 256, prealloc: 16, memcap: 1mb}",
        "ippair: {hash-size: 256, prealloc: 16, memcap: 1mb}",
        "flow: {memcap: 32mb, hash-size: 256, prealloc: 64, emergency-recovery: 30, managers: 1, recyclers: 1}",
        "flow-timeouts:",
        f"  default: {{new: {other}, established: {other}, closed: 1, emergency-closed: 0, bypassed: {other}}}",
        f"  tcp: {{new: {tcp}, established: {tcp}, closed: 1, emergency-closed: 0, bypassed: {tcp}}}",
        f"  udp: {{new: {other}, established: {other}, bypassed: {other}}}",
        f"  icmp: {{new: {other}, established: {other}, bypassed: {other}}}",
        "defrag: {memcap: 4mb, hash-size: 256, trackers: 256, max-frags: 1024, prealloc: no, timeout: 30}",
        "stream:",
        "  {memcap: 32mb, checksum-validation: no, inline: yes, midstream: no, midstream-policy: drop-flow, prealloc-sessions: 64, reassembly: {memcap: 32mb, depth: 1mb, segment-prealloc: 64}}",
        "detect: {profile: low, inspection-recursion-limit: 3000}",
        "mpm-algo: ac",
        "spm-algo: bm",
        "pcre: {match-limit: 3500, match-limit-recursion: 1500}",
        "app-layer:",
        "  error-policy: ignore",
        "  protocols:",
        *(f"    {name}: {{enabled: yes}}" for name in ("ftp", "smtp", "ssh")),
        "    dns: {tcp: {enabled: yes, detection-ports: {dp: 53}}, udp: {enabled: yes, detection-ports: {dp: 53}}}",
        "    http: {enabled: yes, libhtp: {default-config: {personality: IDS, request-body-limit: 100kb, response-body-limit: 100kb}}}",
        "    tls: {enabled: yes, detection-ports: {dp: 443}}",
    )
    return "".join(f"{line}\n" for line in lines)


def _end(interface: str, other: str, cluster: int) -> Iterator[str]:
    yield f"  - {{interface: {interface}, copy-iface: {other}, copy-mode: ips, threads: 1, cluster-id: {cluster}, cluster-type: cluster_flow, defrag: no, use-mmap: yes, tpacket-v3: no, ring-size: 512, checksum-checks: no}}"
