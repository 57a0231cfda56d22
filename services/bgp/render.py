"""A speaker's configuration as BIRD 2's own: pure text, in the order of the configuration.

Each neighbour has a table of its own, joined to the router's tables by pipes: out of it goes only what the neighbour itself has told (`proto`), into it what it is to hear.
BIRD ranks by preference before BGP's attributes; the preferences follow the metrics, so that BIRD and the kernel agree on what wins.
Source: BIRD 2 user's guide, chapters "Configuration", "Filters" and "Protocols" (documented).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.bgp.config import Accept, Advertise, Bfd, Config, Neighbour, PrefixRange, Table

HIGHEST_PREFERENCE = 60_000
LONGEST_PREFIX = 32
DEFAULT_LOCAL_PREFERENCE = 100
SHORTEST_HOLD_S, SHORTEST_KEEPALIVE_S = 3, 1
KEEPALIVES_IN_HOLD = 3


def bird_configuration(config: Config, time_scale: float = 1.0) -> str:
    """The text of bird.conf; BGP's timers are divided by `time_scale`."""
    return "\n".join(_lines(config, time_scale)) + "\n"


def _lines(config: Config, time_scale: float) -> Iterator[str]:
    preferences = _preferences(config)
    yield "log stderr all;"
    yield f"router id {config.router_id};"
    yield "protocol device { scan time 10; }"
    if any(neighbour.bfd is not None for neighbour in config.neighbours):
        yield "protocol bfd { accept ipv4 direct; }"
    for table in config.tables:
        yield f"ipv4 table '{table.name}';"
        yield from _static(config, table, preferences)
        if table.kernel is not None:
            yield from _kernel(table, min((neighbour.metric for neighbour in config.neighbours if table.name in neighbour.propagates_to), default=1))
    for neighbour in config.neighbours:
        yield f"ipv4 table 'of-{neighbour.name}';"
        yield from _pipes(neighbour)
        yield from _bgp(config, neighbour, preferences[neighbour.metric], time_scale)


def _preferences(config: Config) -> dict[int, int]:
    """BIRD's preference of each metric: the lower metric is preferred."""
    metrics = sorted({neighbour.metric for neighbour in config.neighbours} | {originated.metric for originated in config.originated})
    return {metric: HIGHEST_PREFERENCE - place for place, metric in enumerate(metrics)}


def _static(config: Config, table: Table, preferences: dict[int, int]) -> Iterator[str]:
    own = [originated for originated in config.originated if originated.table == table.name]
    if own:
        yield f"protocol static 'originated-{table.name}' {{"
        yield f"  ipv4 {{ table '{table.name}'; }};"
        yield from (f"  route {originated.prefix} unreachable {{ preference = {preferences[originated.metric]}; }};" for originated in own)
        yield "}"


def _kernel(table: Table, metric: int) -> Iterator[str]:
    """One metric for all that a table learns: BIRD replaces a route in the kernel by one of the same metric, and would leave the old one beside a new one of another."""
    yield f"protocol kernel 'kernel-{table.name}' {{"
    yield f"  kernel table {table.kernel};"
    yield f"  metric {metric};"
    if table.paths > 1:
        yield f"  merge paths on limit {table.paths};"
    yield f"  ipv4 {{ table '{table.name}'; import none; export where source = RTS_BGP; }};"
    yield "}"


def _pipes(neighbour: Neighbour) -> Iterator[str]:
    heard = {neighbour.associated} if neighbour.associated is not None else set()
    for table in sorted(heard | set(neighbour.propagates_to)):
        told = f'where proto = "{neighbour.name}"' if table in neighbour.propagates_to else "none"
        hears = f'where proto != "{neighbour.name}"' if table in heard else "none"
        yield f"protocol pipe '{neighbour.name}:{table}' {{ table 'of-{neighbour.name}'; peer table '{table}'; export {told}; import {hears}; }}"


def _bgp(config: Config, neighbour: Neighbour, preference: int, time_scale: float) -> Iterator[str]:
    local_asn = neighbour.local_asn if neighbour.local_asn is not None else config.asn
    hold_s = max(SHORTEST_HOLD_S, round(neighbour.hold_s / time_scale))
    keepalive_s = max(SHORTEST_KEEPALIVE_S, min(round(neighbour.keepalive_s / time_scale), hold_s // KEEPALIVES_IN_HOLD))
    yield f"protocol bgp '{neighbour.name}' {{"
    if neighbour.origin:
        yield f'  description "{neighbour.origin}";'
    yield "  debug { states };"
    yield f"  local {f'{neighbour.local_address} ' if neighbour.local_address is not None else ''}as {local_asn};"
    yield f"  neighbor {neighbour.address} as {neighbour.asn};"
    yield "  direct;"
    if neighbour.device is not None:
        yield f'  interface "{neighbour.device}";'
    if neighbour.relays:
        yield "  rr client;"
    if neighbour.password is not None:
        yield f'  password "{neighbour.password}";'
    if neighbour.passive:
        yield "  passive on;"
    yield f"  hold time {hold_s}; keepalive time {keepalive_s}; startup hold time {hold_s};"
    yield "  connect delay time 1; connect retry time 1; error wait time 1, 2; error forget time 30;"
    yield "  graceful restart off;"
    yield f"  bfd {_bfd(neighbour.bfd)};"
    yield "  ipv4 {"
    yield f"    table 'of-{neighbour.name}';"
    if neighbour.accept.limit is not None:
        yield f"    receive limit {neighbour.accept.limit} action disable;"
    yield "    next hop self;"
    yield "    import filter {"
    yield from (f"      {statement}" for statement in _accept(neighbour, local_asn, preference))
    yield "    };"
    yield "    export filter {"
    yield from (f"      {statement}" for statement in _advertise(neighbour.advertise, local_asn))
    yield "    };"
    yield "  };"
    yield "}"


def _bfd(bfd: Bfd | None) -> str:
    if bfd is None:
        return "off"
    return f"{{ interval {bfd.interval_ms} ms; multiplier {bfd.multiplier};{' passive on;' if bfd.passive else ''} }}"


def _accept(neighbour: Neighbour, local_asn: int, preference: int) -> Iterator[str]:
    accept: Accept = neighbour.accept
    yield from _only(accept.prefixes)
    if accept.rejected:
        yield f"if net ~ [ {', '.join(_pattern(prefix) for prefix in accept.rejected)} ] then reject;"
    if accept.needs_as_path:
        yield "if bgp_path.len = 0 then reject;"
    yield f"preference = {preference};"
    yield f"krt_metric = {neighbour.metric};"
    if neighbour.mtu_bytes is not None:
        yield f"krt_mtu = {neighbour.mtu_bytes};"
    otherwise = accept.local_preference
    if otherwise is None and neighbour.asn != local_asn:
        otherwise = DEFAULT_LOCAL_PREFERENCE
    if otherwise is not None:
        yield f"bgp_local_pref = {otherwise};"
    for (high, low), local_preference in reversed(accept.local_preferences):  # the last assignment holds
        yield f"if ({high},{low}) ~ bgp_community then bgp_local_pref = {local_preference};"
    yield f"if ! defined(bgp_med) then bgp_med = {accept.missing_med};"
    yield from (f"bgp_community.add(({high},{low}));" for high, low in accept.communities)
    yield "accept;"


def _advertise(advertise: Advertise, local_asn: int) -> Iterator[str]:
    if not advertise.learned:
        yield "if source = RTS_BGP then reject;"
    if not advertise.originated:
        yield "if source != RTS_BGP then reject;"
    yield from _only(advertise.prefixes)
    if advertise.med is not None:
        yield f"bgp_med = {advertise.med};"
    yield from (f"bgp_path.prepend({local_asn});" for _ in range(advertise.prepend))
    yield from (f"bgp_community.add(({high},{low}));" for high, low in advertise.communities)
    yield "accept;"


def _only(prefixes: tuple[PrefixRange, ...] | None) -> Iterator[str]:
    if prefixes is None:
        return
    if not prefixes:
        yield "reject;"
        return
    yield f"if ! (net ~ [ {', '.join(_pattern(prefix) for prefix in prefixes)} ]) then reject;"


def _pattern(allowed: PrefixRange) -> str:
    longest = min(allowed.longest, LONGEST_PREFIX) if allowed.longest is not None else allowed.prefix.prefixlen
    return f"{allowed.prefix}{{{allowed.prefix.prefixlen},{longest}}}"
