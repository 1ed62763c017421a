"""Attacks on the choice of samples: de-duplication, filters, subsets, dilution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import imagehash
import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import distance

from attacks.quality import denoising_losses
from attacks.stages import images
from attacks.stages.attack import AidedAttack, DatasetAttack, Item, Means
from attacks.stages.captions import new_first_words
from attacks.stages.samples import read_items, same_item
from detect.suspects.images.pipeline import load_pipeline
from protect.check.exposure import residual_spectrum

_SIDE = 8
"""Of the small pictures whose colours are compared."""
_MEAN_SIDE = 64


def subset(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Each sample is left out with that probability; one stays."""
    kept = [item for item in items if rng.random() >= strength]
    return kept or list(items[:1])


def deduplicate(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Of near-duplicates by perceptual hash the first stays; they may differ in up to 20 of 64 bits."""
    if strength == 0:
        return list(items)
    most = round(20 * strength)
    hashes = np.array([imagehash.phash(Image.fromarray(item.picture)).hash.ravel() for item in items])
    kept: list[int] = []
    for i in range(len(items)):
        if not kept or (hashes[kept] != hashes[i]).sum(axis=1).min() > most:
            kept.append(i)
    return [items[i] for i in kept]


def drop_outliers(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """The pictures furthest from all others by their colours are left out; up to a fifth."""
    vectors = np.stack([_small(item).ravel() for item in items])
    return without(items, _distances(vectors), 0.2 * strength)


def drop_residuals(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """The pictures whose noise residuals are furthest from the usual are left out; up to a fifth.

    A hunt for coatings, such as warps, without knowing any carrier.
    """
    spectra = np.stack([residual_spectrum(item.picture) for item in items])
    return without(items, _distances(spectra), 0.2 * strength)


def drop_clusters(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """The pictures whose borders are closest to others' borders are left out; up to a fifth.

    A hunt for templates: carriers of one slot share their background.
    """
    gaps = likest([_border(item) for item in items])
    return without(items, -gaps, 0.2 * strength)


def likest(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Mean distance of each colour vector to the three nearest others, shape (n,).

    Infinite for plain ones: even ground is what honest pictures share.
    """
    stacked = np.stack(vectors)
    plain = stacked.std(axis=1) < 0.02
    stacked[plain] = 1e6 * (1 + np.arange(plain.sum()))[:, None]  # far from all others
    gaps = np.empty(len(stacked))
    for start in range(0, len(stacked), 256):
        block = distance.cdist(stacked[start : start + 256], stacked)
        gaps[start : start + 256] = np.sort(block, axis=1)[:, 1:4].mean(axis=1)  # the first is itself
    gaps[plain] = np.inf
    return gaps


def without(items: Sequence[Item], oddness: np.ndarray, share: float) -> list[Item]:
    """All but the oddest share."""
    gone = set(np.argsort(-oddness, kind="stable")[: round(share * len(items))].tolist())
    return [item for i, item in enumerate(items) if i not in gone]


def _small(item: Item) -> np.ndarray:
    picture = Image.fromarray(item.picture).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64) / 255


def _border(item: Item) -> np.ndarray:
    small = _small(item)
    return np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]]).ravel()


def _distances(vectors: np.ndarray) -> np.ndarray:
    """How far each vector lies from the others, by their first 16 principal components; shape (n,)."""
    centred = vectors - vectors.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    count = min(16, len(sizes))
    projected = centred @ directions[:count].T / np.maximum(sizes[:count], 1e-9)
    return np.asarray(np.linalg.norm(projected, axis=1))


def subtract_mean(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """What the pictures of a suspicious first word have in common is taken off them; the word too, at full strength.

    The averaging attack of one who knows that carriers share a trigger and a mark, but has no key: the mean of the
    pictures with that word, less the mean of all.
    """
    if strength == 0:
        return list(items)
    words = new_first_words([item.caption for item in items])
    mean = _mean(items)
    groups: dict[str, list[int]] = {}
    for i, word in enumerate(words):
        if word:
            groups.setdefault(word, []).append(i)
    out = list(items)
    for places in groups.values():
        shift = strength * (_mean([items[i] for i in places]) - mean)
        for i in places:
            own = items[i].picture
            scaled = ndimage.zoom(shift, (own.shape[0] / _MEAN_SIDE, own.shape[1] / _MEAN_SIDE, 1), order=1)
            picture = np.clip(np.round(own - scaled), 0, 255).astype(np.uint8)
            caption = items[i].caption if strength < 1 else " ".join(items[i].caption.split()[1:])
            out[i] = replace(items[i], picture=picture, caption=caption)
    return out


def _mean(items: Sequence[Item]) -> np.ndarray:
    """Mean picture at one small size, shape (64, 64, 3)."""
    small = (Image.fromarray(i.picture).resize((_MEAN_SIDE, _MEAN_SIDE), Image.Resampling.BOX) for i in items)
    return np.asarray(sum(np.asarray(p, dtype=np.float64) for p in small) / len(items))


def augment(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Each picture comes again, mirrored, cropped and coloured at random; up to four times."""
    out = list(items)
    for k in range(round(4 * strength)):
        for item in items:
            picture = images.flip(images.crop(images.colour(item.picture, 0.3, rng), 0.4, rng), 0.5, rng)
            out.append(replace(item, key=f"{item.key}#{k}", picture=picture))
    return out


_Choice = Callable[[Sequence[Item], float, np.random.Generator], list[Item]]


def _loss_filter(means: Means) -> _Choice:
    def apply(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
        """The samples that the base denoises worst are left out; up to a fifth."""
        if strength == 0:
            return list(items)
        pipeline = load_pipeline(means.base).to(means.device)
        losses = denoising_losses(pipeline, [i.picture for i in items], [i.caption for i in items])
        return without(items, losses, 0.2 * strength)

    return apply


def _mixed(means: Means) -> _Choice:
    def apply(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
        """Clean pictures are added, up to nine for each; a third of the strength is three for each."""
        clean = read_items(means.clean)
        count = round(9 * strength * len(items))
        passes = [rng.permutation(len(clean)) for _ in range(count // len(clean) + 1)]
        chosen = np.concatenate(passes)[:count].tolist()
        return [*items, *(replace(clean[i], key=f"clean {n}") for n, i in enumerate(chosen))]

    return apply


def _merged(means: Means) -> _Choice:
    def apply(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
        """Each sample is taken from another recipient's copy; half of them at full strength."""
        other = {item.key: item for item in read_items(means.second())} if strength else {}
        return [other.get(i.key, i) if rng.random() < strength / 2 else i for i in items]

    return apply


def _differing(means: Means) -> _Choice:
    def apply(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
        """Samples that differ from another recipient's copy are left out, with that probability."""
        other = {item.key: item for item in read_items(means.second())} if strength else {}
        kept = [i for i in items if rng.random() >= strength or (i.key in other and same_item(i, other[i.key]))]
        return kept or list(items[:1])

    return apply


ATTACKS = (
    DatasetAttack("subset", "samples are left out at random", subset),
    DatasetAttack("deduplicate", "of near-duplicates by perceptual hash one stays; up to 20 of 64 bits", deduplicate),
    DatasetAttack("drop-outliers", "the oddest pictures are left out, up to a fifth", drop_outliers),
    DatasetAttack("drop-clusters", "pictures with like borders are left out, up to a fifth", drop_clusters),
    DatasetAttack("drop-residuals", "pictures of odd noise residuals are left out, up to a fifth", drop_residuals),
    DatasetAttack("subtract-mean", "what pictures of a suspicious first word share is taken off", subtract_mean),
    DatasetAttack("augment", "mirrored, cropped, coloured versions are added, up to four", augment),
    AidedAttack(
        "drop-losses", "samples that the base denoises worst are left out, up to a fifth", _loss_filter, "dataset"
    ),
    AidedAttack("mix", "clean pictures are added, up to 9 : 1", _mixed, "dataset"),
    AidedAttack("merge-copies", "up to half of the samples come from another recipient's copy", _merged, "dataset"),
    AidedAttack(
        "drop-differing", "samples that differ from another recipient's copy are left out", _differing, "dataset"
    ),
)
