"""Which release a copy belongs to: found by what it holds, never by a folder's name."""

from __future__ import annotations

from collections.abc import Sequence

from protect.embed.verify import belongs
from protect.errors import ReleaseError
from protect.formats.dataset_format import Dataset
from protect.formats.record import Record, normalised
from protect.keys.keyring import Keyring, is_retired
from protect.release.record import Release


def release_of(copy: Dataset, keyring: Keyring, wanted: str | None = None) -> Release:
    """The release of which a copy holds most carriers, with their captions as released.

    Args:
        copy: a protected copy, under any name.
        keyring: holds the releases.
        wanted: id or name of the release; None to look for it.

    Raises:
        ReleaseError: if none of the releases, or more than one equally well, belongs to the copy; if it belongs to one
            that is retired.
    """
    if wanted:
        return keyring.load(wanted)
    held, problems = keyring.survey()
    found = _fitting(copy, held)
    if len(found) == 1:
        return found[0]
    if problems and not found:
        raise problems[0]
    if not found:
        _refuse_retired(copy, keyring)
    names = ", ".join(f"{r.id} ({r.name})" for r in found or held) or "none"
    what = f"{len(found)} releases fit {copy.root} equally well" if found else f"no release fits {copy.root}"
    raise ReleaseError(what, f"{'They are' if found else 'Held'}: {names}. Name one: --release ID.")


def _fitting(copy: Dataset, releases: Sequence[Release]) -> list[Release]:
    """The releases of which a copy holds most carriers, and more than half of them."""
    counts = _carriers_held(copy, releases)
    best = max(counts, default=0)
    pairs = zip(releases, counts, strict=True)
    return [release for release, count in pairs if count == best and 2 * count > len(release.carriers)]


def _refuse_retired(copy: Dataset, keyring: Keyring) -> None:
    """Say so if a copy belongs to a release that is retired."""
    retired = keyring.retired()
    if fitting := _fitting(copy, retired) if retired else []:
        raise is_retired(keyring, fitting[0])


def _carriers_held(copy: Dataset, releases: Sequence[Release]) -> list[int]:
    """How many carriers of each release a copy holds, in one pass over it."""
    wanted = {normalised(c.key) for release in releases for c in release.carriers}
    records: dict[str, Record] = {}
    for record in copy.records():
        if (key := normalised(record.key)) in wanted:
            records[key] = record
    return [belongs(release, records) for release in releases]
