"""One family under test: it plants a throw-away mark in picture after picture and keeps only what is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from PIL import Image

from protect.check.exposure import Hash, auc_of_spectra, perceptual_hash, residual_spectrum, share_of_near
from protect.check.result import FamilyCheck, Look
from protect.check.survival import Scores, Treatment, beside_originals
from protect.keys.tree import SlotKey
from protect.marks.family import Array, ChoosingFamily, MarkFamily, Pixels
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import PictureError, read_rgba, rewrite

DECOYS = 9_999
FEWEST, MOST = 5, 1_000
"""Pictures that a test needs, and can take."""
FEWEST_PAIRS = 9
"""Pictures that a test of a push needs: with fewer pairs of answers `lean` scores nothing."""
LOOKS = 12
"""Pictures that are kept for looking at."""
LOOK_SIDE = 480
"""Their longest side, in pixels."""
_EQUAL = 99.0
"""Decibels that stand for "no difference"."""
_COMPARED = 512
"""Longest side at which pictures are compared by structure, in pixels."""


class Original:
    """A picture of the owner's with what is computed of it once, for whichever family asks first.

    Raises:
        PictureError: if it cannot be read.
    """

    def __init__(self, key: str, data: bytes, treatments: Mapping[str, Treatment]) -> None:
        self.key, self.data, self.treatments = key, data, treatments
        self.picture = read_rgba(data)
        self._treated: dict[str, Pixels] = {}

    @cached_property
    def seen(self) -> Pixels:
        """On white, RGB, shape (H, W, 3)."""
        return on_white(self.picture)

    @cached_property
    def hash(self) -> Hash:
        """Its perceptual hash."""
        return perceptual_hash(self.seen)

    @cached_property
    def spectrum(self) -> Array:
        """The spectrum of its residual."""
        return residual_spectrum(self.seen)

    def treated(self, name: str) -> Pixels:
        """On white, after a treatment; RGB."""
        if name not in self._treated:
            self._treated[name] = self.treatments[name](self.seen)
        return self._treated[name]


class Trial:
    """A family under test with a throw-away slot key."""

    def __init__(self, family: MarkFamily, key: SlotKey, treatments: Mapping[str, Treatment], wanted: int) -> None:
        self.family, self._key, self._treatments, self._wanted = family, key, treatments, wanted
        self._marks = np.concatenate([np.array([key.planted], dtype=np.uint64), key.decoys(DECOYS)])
        self._scores = {name: Scores(family, self._marks) for name in treatments}
        self._refusals: Counter[str] = Counter()
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._hashes: list[tuple[Hash, Hash]] = []
        self._spectra: list[tuple[Array, Array, Array]] = []
        self._looks: list[Look] = []

    @property
    def tested(self) -> int:
        """Pictures tested so far."""
        return len(self._psnr)

    @property
    def finished(self) -> bool:
        """Whether enough pictures were tested."""
        return self.tested >= self._wanted

    def add(self, original: Original) -> None:
        """Test the family on one more picture, if the picture can carry its marks."""
        if reason := self.family.obstacle(original.picture):
            self._refusals[reason] += 1
            return
        try:
            marked, sham = (self._released(original, int(self._marks[place])) for place in (0, 1 + self.tested))
        except PictureError as error:
            self._refusals[error.what] += 1
            return
        self._measure(original, marked, sham)

    def _released(self, original: Original, mark: int) -> Pixels:
        """A carrier with this mark as people get it: written as its original was, read again, on white."""
        planted = self.family.plant(original.picture, mark, self._key.rng("placement", original.key))
        return on_white(read_rgba(rewrite(original.data, planted)))

    def _measure(self, original: Original, marked: Pixels, sham: Pixels) -> None:
        before, paired = original.seen, beside_originals(self.family)
        for name, treat in self._treatments.items():
            self._scores[name].add(treat(marked), original.treated(name) if paired else before)
        self._hashes.append((perceptual_hash(marked), original.hash))
        self._spectra.append((residual_spectrum(marked), residual_spectrum(sham), original.spectrum))
        if len(self._looks) < LOOKS:
            self._looks.append(Look(within(before, LOOK_SIDE), within(marked, LOOK_SIDE)))
        self._ssim.append(ssim(before, marked))
        self._psnr.append(min(psnr(before, marked), _EQUAL))

    def result(self) -> FamilyCheck:
        """What was measured."""
        refused, refusal = self._refusals.total(), next(iter(self._refusals.most_common(1)), ("", 0))[0]
        fewest = FEWEST_PAIRS if isinstance(self.family, ChoosingFamily) else FEWEST
        if self.tested < fewest:
            reason = f"{self.tested} picture(s) fit, {fewest} are needed" + (
                f"; of most others {refusal}" if refusal else ""
            )
            return FamilyCheck(self.family.name, self.tested, refused, refusal, unfit=reason)
        marked, shams, originals = (list(spectra) for spectra in zip(*self._spectra, strict=True))
        return FamilyCheck(
            self.family.name,
            self.tested,
            refused,
            refusal,
            survivals=tuple(scores.survival(name) for name, scores in self._scores.items()),
            psnr=float(np.median(self._psnr)),
            ssim=float(np.median(self._ssim)),
            duplicates=share_of_near([after for after, _ in self._hashes]),
            duplicates_before=share_of_near([before for _, before in self._hashes]),
            untouched_auc=auc_of_spectra(marked, shams if self.family.shams else originals),
            sham_auc=auc_of_spectra(marked, shams),
            looks=tuple(self._looks),
        )


def within(picture: Pixels, longest: int) -> Pixels:
    """An RGB picture scaled down, if need be, to a longest side."""
    image = Image.fromarray(picture)
    image.thumbnail((longest, longest))
    return np.asarray(image)


def ssim(a: Pixels, b: Pixels) -> float:
    """Structural similarity of two RGB pictures (kornia, window 11), large ones scaled down."""
    import torch
    from kornia.metrics import ssim as similarity

    tensors = (torch.from_numpy(within(p, _COMPARED).copy()).permute(2, 0, 1)[None].float() / 255 for p in (a, b))
    x, y = tensors
    return float(similarity(x, y, 11).mean())
