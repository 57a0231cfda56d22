"""Why a tunnel does not come up, from what charon says in its log.

Source: the messages of strongSwan 5.9 and 6.0 (measured).
"""

from __future__ import annotations

import re

KEYS = "the pre-shared keys differ"
PHASE1 = "IKE (phase 1): no proposal in common"
PHASE2 = "IPsec (phase 2): no proposal in common"
NO_ANSWER = "the peer does not answer"
UNKNOWN_PEER = "no connection is configured for this peer"

CAUSES = (
    (re.compile(r"MAC mismatched|AUTHENTICATION_FAILED|no shared key found"), KEYS),
    (re.compile(r"no matching CHILD_SA config|no acceptable (?:proposal|ENCRYPTION_ALGORITHM|INTEGRITY_ALGORITHM|KEY_EXCHANGE_METHOD|DIFFIE_HELLMAN_GROUP) found.*CHILD|received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"), PHASE2),
    (re.compile(r"received proposals unacceptable|received NO_PROPOSAL_CHOSEN notify error"), PHASE1),
    (re.compile(r"no IKE config found"), UNKNOWN_PEER),
    (re.compile(r"giving up after \d+ retransmits|peer not responding"), NO_ANSWER),
)


def cause(line: str) -> str | None:
    """The cause that a line of charon's log names, or None."""
    return next((words for pattern, words in CAUSES if pattern.search(line)), None)
