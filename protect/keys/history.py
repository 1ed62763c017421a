"""How many commitments the owner made before one: each was a try to get a lucky key."""

from __future__ import annotations

from protect.errors import ReleaseError
from protect.keys.keyring import PENDING, RETIRED, WAITING, Keyring, read_secret
from protect.keys.keyring import RELEASES as COMPLETE
from protect.release.record import Release
from protect.release.stored import from_json


def commitments_before(keyring: Keyring, release: Release) -> int:
    """Commitments that this keyring made before a release's, by their dates; those of one second by their digests.

    Released, waiting, under way or retired, each counts once; rehearsals with throw-away keys too. A record that cannot
    be read counts as earlier. What its owner deleted is not counted: the keyring keeps an honest owner honest.
    """
    place = (release.created, release.commitment)
    found: dict[str, bool] = {}
    for folder in (COMPLETE, WAITING, RETIRED, PENDING):
        pattern = "*/release.json" if folder == PENDING else "*.json"
        for path in (keyring.home / folder).glob(pattern):
            try:
                other = from_json(read_secret(path), path)
            except ReleaseError:
                found[str(path)] = True
            else:
                found[other.commitment] = (other.created, other.commitment) < place
    return sum(found.values())
