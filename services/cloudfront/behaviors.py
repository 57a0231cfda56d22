"""Which cache behaviour a path gets: the first in the distribution's order whose pattern matches.

Query string and cookies play no part; patterns are case-sensitive, a leading ``/`` is optional; ``*`` is any number of characters,
``/`` included, ``?`` exactly one. The last behaviour is the default, ``*``.

Source: CloudFront developer guide, "Values that you specify" (path pattern; documented).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.cloudfront.config import Behavior


def compile_pattern(path_pattern: str) -> re.Pattern[bytes]:
    """The pattern as a regular expression over whole paths."""
    absolute = path_pattern if path_pattern.startswith(("/", "*")) else "/" + path_pattern
    words = {"*": ".*", "?": "."}
    return re.compile("".join(words.get(character) or re.escape(character) for character in absolute).encode(), re.DOTALL)


class Behaviors:
    """The behaviours of one distribution, ready to be asked."""

    def __init__(self, behaviors: Sequence[Behavior]) -> None:
        self._patterns = tuple((compile_pattern(behavior.path_pattern), behavior) for behavior in behaviors[:-1])
        self._default = behaviors[-1]

    def select(self, path: bytes) -> Behavior:
        """The behaviour for `path` (without its query string)."""
        for pattern, behavior in self._patterns:
            if pattern.fullmatch(path):
                return behavior
        return self._default
