"""The check itself: a throw-away mark on some of the owner's pictures, per family, measured every way."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from protect.check.result import Check, FamilyCheck
from protect.check.subjects import LOOKED_AT, lacks_looks, make_families, subjects
from protect.check.survival import Treatment, treatments
from protect.check.trial import FEWEST, MOST, Original, Trial
from protect.errors import InputError
from protect.formats.record import Record, SetAside, normalised
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import KeyTree, prf_int
from protect.marks.family import FamilyOptions
from protect.pixels.picture import PictureError, obstacle
from protect.progress import Progress, no_progress

_LOOKED_THROUGH = 10
"""Pictures that are looked through, at most, for each one wanted: some families suit few."""
STAGE = "testing families on pictures"


def check(
    records: Iterable[Record],
    families: Sequence[str],
    family_options: Mapping[str, FamilyOptions],
    vae: Path,
    secret: bytes,
    *,
    store: Store = NO_STORE,
    pictures: int = 40,
    progress: Progress = no_progress,
) -> Check:
    """Test families on a dataset's own pictures, in memory; nothing is written.

    Args:
        records: the dataset's samples; gone through once. For families that need looks, up to 2,000 are looked at.
        families: their names.
        family_options: options by family.
        vae: diffusers pipeline (or VAE) folder for the round trip.
        secret: a throw-away secret: pictures and marks are drawn by it, and never used again.
        store: holds the pools and bases that families need.
        pictures: most pictures to test each family on.
        progress: called with (stage, done, total), for every family and picture.

    Returns:
        A result for each family, in their order; those that cannot be tested, or need not be, say why.

    Raises:
        InputError: on a bad dataset, family or VAE.
    """
    if not FEWEST <= pictures <= MOST:
        raise InputError(f"--pictures {pictures} is out of range", f"Allowed: {FEWEST} to {MOST:,}.")
    store = Store(store.folder)  # looks that are measured here are not kept
    laws = make_families(families, family_options, store)
    known, key, most = treatments(vae), KeyTree(secret).slot(0), _LOOKED_THROUGH * pictures
    looked_at = LOOKED_AT if any(lacks_looks(law, family_options.get(name, {})) for name, law in laws.items()) else 0
    drawn = _drawn(records, secret, max(most, looked_at))
    found = subjects(laws, family_options, drawn[:looked_at], store, progress)
    results = [one if isinstance(one, FamilyCheck) else Trial(one, key, known, pictures) for one in found]
    trials = [one for one in results if isinstance(one, Trial)]
    set_aside: list[SetAside] = []
    drawn = drawn[:most]
    total = min(pictures, len(drawn)) * len(trials)
    progress(STAGE, 0, total)
    for original in _originals(drawn, known, set_aside):
        for trial in trials:
            if not trial.finished:
                trial.add(original)
                progress(STAGE, sum(t.tested for t in trials), total)
        if all(trial.finished for trial in trials):
            break
    progress(STAGE, total, total)
    checks = (one.result() if isinstance(one, Trial) else one for one in results)
    return Check(tuple(checks), tuple(set_aside))


def _drawn(records: Iterable[Record], secret: bytes, count: int) -> list[Record]:
    """The samples that a throw-away secret draws, in its order."""

    def rank(record: Record) -> tuple[int, str]:
        return prf_int(secret, "check", normalised(record.key)), record.key

    return heapq.nsmallest(count, records, key=rank)


def _originals(
    records: Iterable[Record], known: Mapping[str, Treatment], set_aside: list[SetAside]
) -> Iterator[Original]:
    """The pictures that can be read and written back; the others are set aside."""
    for record in records:
        try:
            data = record.read()
            if reason := obstacle(data):
                set_aside.append(SetAside(record.key, reason))
                continue
            original = Original(normalised(record.key), data, known)
        except OSError as error:
            set_aside.append(SetAside(record.key, f"cannot be read ({error.strerror or error})"))
        except PictureError as error:
            set_aside.append(SetAside(record.key, error.what))
        else:
            yield original
