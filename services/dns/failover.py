"""Records of a balancer's zones: the addresses that are in DNS just now.

Values whose zone is healthy are answered; if no zone is, all are ("Target group health", documented: all zones unhealthy, all are answered).
How zones are is in small files (`services.common.zone_health`). Pure but for reading them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from services.dns.config import Config, Record

LOOK_S = 0.25
"""So often the files are looked at. AWS does not say how fast an address leaves DNS; what a client waits for is its resolver's TTL of 60 s."""


def health_files(config: Config) -> tuple[str, ...]:
    """The files on which the answers of `config` depend, sorted."""
    return tuple(sorted({each.health_file for record in _records(config) for each in record.failover}))


def in_force(config: Config, healthy: Callable[[str], bool]) -> Config:
    """`config` with the values of now in place of `failover`."""
    if not any(record.failover for record in _records(config)):
        return config

    def now(record: Record) -> Record:
        if not record.failover:
            return record
        well = tuple(each.value for each in record.failover if healthy(each.health_file))
        return replace(record, failover=(), values=well or tuple(each.value for each in record.failover))

    zones = tuple(
        replace(authority, zones=tuple(replace(zone, records=tuple(map(now, zone.records))) for zone in authority.zones)) for authority in config.authorities
    )
    return replace(config, authorities=zones)


def _records(config: Config) -> Iterator[Record]:
    return (record for authority in config.authorities for zone in authority.zones for record in zone.records)
