"""The objects that an edge location keeps, bounded in bytes: the least recently used goes first.

An object larger than a quarter of the store is never kept (assumed; AWS keeps up to 50 GB, and a lab has no disk for that).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from services.cloudfront.cache_key import CacheKey
from services.cloudfront.freshness import Lifetime
from services.cloudfront.messages import Headers

ENTRY_OVERHEAD_BYTES = 512
LARGEST_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """One object. `head` is the serialised head of a hit up to where what differs from request to request follows,
    `length` what Content-Length says (of a body that is not there, for HEAD).

    `fresh_from_s` is when it was fetched or last found unchanged; `retry_at_s`: a stale copy is served without asking the origin until then.
    """

    status: int
    headers: Headers
    head: bytes
    body: bytes
    length: int | None
    fresh_from_s: float
    lifetime: Lifetime
    retry_at_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        return len(self.body) + len(self.head) + sum(len(name) + len(value) for name, value in self.headers) + ENTRY_OVERHEAD_BYTES


class Store:
    """Key to object, least recently used first."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._objects: OrderedDict[CacheKey, StoredResponse] = OrderedDict()
        self.held_bytes = 0

    @property
    def largest_body_bytes(self) -> int:
        """No body above this is kept."""
        return self._capacity_bytes // LARGEST_SHARE

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: CacheKey) -> StoredResponse | None:
        """The object under `key`, which becomes the most recently used."""
        found = self._objects.get(key)
        if found is not None:
            self._objects.move_to_end(key)
        return found

    def put(self, key: CacheKey, response: StoredResponse) -> None:
        """Keep `response`, evicting what was least recently used; too large a one only removes what it would replace."""
        self.remove((key,))
        if response.size_bytes > self._capacity_bytes or len(response.body) > self.largest_body_bytes:
            return
        self._objects[key] = response
        self.held_bytes += response.size_bytes
        while self.held_bytes > self._capacity_bytes:
            _, evicted = self._objects.popitem(last=False)
            self.held_bytes -= evicted.size_bytes

    def remove(self, keys: Iterable[CacheKey]) -> None:
        """Forget the objects under `keys`, where there are any."""
        for key in keys:
            removed = self._objects.pop(key, None)
            if removed is not None:
                self.held_bytes -= removed.size_bytes

    def keep_distributions(self, ids: frozenset[str]) -> None:
        """Forget the objects of every other distribution."""
        self.remove([key for key in self._objects if key.distribution not in ids])
