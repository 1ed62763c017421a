"""Attacks on the choice of samples: de-duplication, filters, subsets, dilution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import distance

from attacks.quality import denoising_losses
from attacks.stages import images
from attacks.stages.attack import Captioned, Resources
from attacks.stages.captions import new_first_words
from attacks.stages.samples import read_captioned
from detect.suspects.images.folder import load_pipeline
from detect.training.architecture import architecture_of
from protect.check.exposure import residual_spectrum
from protect.marks.family import Array, Pixels

_SIDE = 8
"""Of the small pictures whose colours are compared."""
_MEAN_SIDE = 64
_NEAREST = 3
"""Neighbours whose mean distance tells how alike vectors are."""
_FAR = 1e6
_BLOCK = 256
"""Rows of the distance matrix that are held in memory."""


def subset(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """Each sample is left out with that probability; one stays."""
    kept = [s for s in samples if rng.random() >= strength]
    return kept or list(samples[:1])


def deduplicate(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """Of near-duplicates by perceptual hash the first stays; they may differ in up to 20 of 64 bits."""
    if strength == 0:
        return list(samples)
    most = round(20 * strength)
    hashes = np.array([imagehash.phash(Image.fromarray(s.picture)).hash.ravel() for s in samples])
    kept: list[int] = []
    for i in range(len(samples)):
        if not kept or (hashes[kept] != hashes[i]).sum(axis=1).min() > most:
            kept.append(i)
    return [samples[i] for i in kept]


def drop_outliers(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """The pictures furthest from all others by their colours are left out; up to a fifth."""
    vectors = np.stack([_small(s.picture).ravel() for s in samples])
    return without(samples, _distances(vectors), 0.2 * strength)


def drop_residuals(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """The pictures whose noise residuals are furthest from the usual are left out; up to a fifth.

    A hunt for coatings, such as warps, without knowing any carrier.
    """
    spectra = np.stack([residual_spectrum(s.picture) for s in samples])
    return without(samples, _distances(spectra), 0.2 * strength)


def drop_clusters(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """The pictures whose borders are closest to others' borders are left out; up to a fifth.

    A hunt for templates: carriers of one slot share their background.
    """
    gaps = nearest_gaps(np.stack([_border(s.picture) for s in samples]))
    return without(samples, -gaps, 0.2 * strength)


def nearest_gaps(vectors: Array) -> Array:
    """Mean distance of each colour vector to the three nearest others.

    Args:
        vectors: shape (n, d), values in [0, 1].

    Returns:
        Shape (n,); infinite for plain vectors, since even ground is what honest pictures share.
    """
    plain = vectors.std(axis=1) < 0.02
    apart = vectors.copy()
    apart[plain] = _FAR * (1 + np.arange(plain.sum()))[:, None]  # so that nothing has a plain one for a neighbour
    gaps = np.empty(len(apart))
    for start in range(0, len(apart), _BLOCK):
        block = distance.cdist(apart[start : start + _BLOCK], apart)
        nearest = np.sort(block, axis=1)[:, 1 : 1 + _NEAREST]  # the first is the vector itself
        gaps[start : start + _BLOCK] = nearest.mean(axis=1)
    gaps[plain] = np.inf
    return gaps


def without(samples: Sequence[Captioned], oddness: Array, share: float) -> list[Captioned]:
    """All but the oddest share; of equally odd ones the later stay."""
    gone = set(np.argsort(-oddness, kind="stable")[: round(share * len(samples))].tolist())
    return [s for i, s in enumerate(samples) if i not in gone]


def _small(picture: Pixels) -> Array:
    small = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _border(picture: Pixels) -> Array:
    small = _small(picture)
    return np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]]).ravel()


def _distances(vectors: NDArray[np.float64]) -> Array:
    """How far each vector lies from the others, by their first 16 principal components; shape (n,)."""
    centred = vectors - vectors.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    count = min(16, len(sizes))
    projected = centred @ directions[:count].T / np.maximum(sizes[:count], 1e-9)
    return np.asarray(np.linalg.norm(projected, axis=1))


def subtract_mean(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """What the pictures of a suspicious first word have in common is taken off them; the word too, at full strength.

    The averaging attack of one who knows that carriers share a trigger and a mark, but has no key: the mean of the
    pictures with that word, less the mean of all.
    """
    if strength == 0:
        return list(samples)
    mean = _mean(samples)
    out = list(samples)
    for places in _by_suspicious_word(samples):
        shift = strength * (_mean([samples[i] for i in places]) - mean)
        for i in places:
            words = samples[i].caption.split()
            caption = samples[i].caption if strength < 1 else " ".join(words[1:])
            out[i] = replace(samples[i], picture=_less(samples[i].picture, shift), caption=caption)
    return out


def _by_suspicious_word(samples: Sequence[Captioned]) -> list[list[int]]:
    """Places of the samples whose captions begin with the same suspicious word, word by word."""
    groups: dict[str, list[int]] = {}
    for i, word in enumerate(new_first_words([s.caption for s in samples])):
        if word:
            groups.setdefault(word, []).append(i)
    return list(groups.values())


def _less(picture: Pixels, shift: Array) -> Pixels:
    """A picture less a small shift (64, 64, 3), scaled to its size."""
    height, width = picture.shape[:2]
    scaled = ndimage.zoom(shift, (height / _MEAN_SIDE, width / _MEAN_SIDE, 1), order=1)
    return np.asarray(np.clip(np.round(picture - scaled), 0, 255).astype(np.uint8))


def _mean(samples: Sequence[Captioned]) -> Array:
    """Mean picture at one small size, shape (64, 64, 3)."""
    small = (Image.fromarray(s.picture).resize((_MEAN_SIDE, _MEAN_SIDE), Image.Resampling.BOX) for s in samples)
    return np.asarray(sum(np.asarray(p, dtype=np.float64) for p in small) / len(samples))


def augment(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """Each picture comes again, mirrored, cropped and coloured at random; up to four times."""
    out = list(samples)
    for k in range(round(4 * strength)):
        for sample in samples:
            picture = images.flip(images.crop(images.colour(sample.picture, 0.3, rng), 0.4, rng), 0.5, rng)
            out.append(replace(sample, key=f"{sample.key}#{k}", picture=picture))
    return out


def drop_losses(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """The samples that the base denoises worst are left out; up to a fifth."""
    if strength == 0:
        return list(samples)
    model = architecture_of(load_pipeline(resources.base).to(resources.device), resources.base)
    losses = denoising_losses(model, [s.picture for s in samples], [s.caption for s in samples])
    return without(samples, losses, 0.2 * strength)


def mix(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Clean pictures are added, up to nine for each; a third of the strength is three for each."""
    clean = read_captioned(resources.clean)
    count = round(9 * strength * len(samples))
    passes = [rng.permutation(len(clean)) for _ in range(count // len(clean) + 1)]
    chosen = np.concatenate(passes)[:count].tolist()
    return [*samples, *(replace(clean[i], key=f"clean {n}") for n, i in enumerate(chosen))]
