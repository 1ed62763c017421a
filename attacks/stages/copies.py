"""Attacks by recipients who lay their copies of one dataset side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from attacks.stages.attack import Captioned, Resources
from attacks.stages.samples import read_captioned, same_sample
from protect.marks.family import Pixels


def merge_copies(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Each sample is taken from another recipient's copy; half of them at full strength."""
    other = _copy(resources, 1) if strength else {}
    return [other.get(s.key, s) if rng.random() < strength / 2 else s for s in samples]


def drop_differing(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Samples that differ from another recipient's copy are left out, with that probability."""
    other = _copy(resources, 1) if strength else {}
    kept = [s for s in samples if rng.random() >= strength or (s.key in other and same_sample(s, other[s.key]))]
    return kept or list(samples[:1])


def average_copies(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Pictures are mixed with another recipient's, half and half at full strength; captions stay."""
    other = _copy(resources, 1) if strength else {}
    return [replace(s, picture=_mixed(s, other.get(s.key), strength / 2)) for s in samples]


def vote_of_copies(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Of three copies each caption and each picture is what two agree on, with that probability.

    Where no two agree the copy at hand stays: nobody knows which one is the original.
    """
    others = [_copy(resources, number) for number in (1, 2)] if strength else []
    out = []
    for sample in samples:
        same = [sample, *(other[sample.key] for other in others if sample.key in other)]
        out.append(_voted(same) if rng.random() < strength else sample)
    return out


def _voted(copies: Sequence[Captioned]) -> Captioned:
    """One sample from several copies of it, the first of which is the thief's own."""
    caption, votes = Counter(c.caption for c in copies).most_common(1)[0]
    pictures = Counter(c.picture.tobytes() for c in copies)
    data, agreed = pictures.most_common(1)[0]
    picture = next(c.picture for c in copies if c.picture.tobytes() == data)
    own = copies[0]
    return replace(own, caption=caption if votes > 1 else own.caption, picture=picture if agreed > 1 else own.picture)


def _mixed(sample: Captioned, other: Captioned | None, share: float) -> Pixels:
    """A picture with that share of another of the same size."""
    if other is None or other.picture.shape != sample.picture.shape:
        return sample.picture
    return np.round((1 - share) * sample.picture + share * other.picture.astype(np.float64)).astype(np.uint8)


def _copy(resources: Resources, recipient: int) -> Mapping[str, Captioned]:
    """A recipient's copy, by key."""
    return {s.key: s for s in read_captioned(resources.copies(recipient))}
