"""The check itself: a throw-away mark on some of the owner's pictures, per family, measured every way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protect.check.exposure import near_duplicates, residual_auc
from protect.check.survival import Survival, Treatment, jpeg, resized, survival, vae_round_trip
from protect.embed.verify import on_white
from protect.embed.write import Progress
from protect.errors import InputError
from protect.formats import open_dataset
from protect.keys.tree import decoy_ids, mark_id, prf_int, prf_rng
from protect.marks import make_family
from protect.marks.family import FamilyOptions, MarkFamily, Pixels
from protect.pixels.images import obstacle, psnr, read_rgba

DECOYS = 9_999
LOST = 1e-2
"""A mark that ranks no better than this after a treatment is called lost in it."""
KEPT = 20
"""Pictures that are kept for looking at."""


@dataclass(frozen=True, slots=True)
class FamilyCheck:
    """What was measured for one family; pictures are RGB."""

    family: str
    tested: int
    unfit: str
    """Why no picture could be tested; empty if some were."""
    survivals: tuple[Survival, ...] = ()
    psnr: float = 0.0
    """Median over carriers, in decibels."""
    ssim: float = 0.0
    """Median structural similarity to the originals."""
    duplicates: float = 0.0
    """Share of carriers with a near-duplicate among them; `duplicates_before` that of their originals."""
    duplicates_before: float = 0.0
    untouched_auc: float = 0.5
    """Carriers against the rest as it is released: how well a residual classifier finds carriers."""
    sham_auc: float = 0.5
    """Carriers against shams that bear a mark of their own each: what the shared mark itself gives away."""
    originals: tuple[Pixels, ...] = ()
    marked: tuple[Pixels, ...] = ()

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if self.unfit:
            return f"cannot be used: {self.unfit}"
        lost = [s.treatment for s in self.survivals if s.rank_p > LOST]
        if self.survivals[0].treatment in lost:
            return "does not read back even from its own carriers: choose another family"
        if any(treatment.startswith("VAE") for treatment in lost):
            return "lost in the VAE: a latent model cannot learn it; choose another family"
        seen = "plainly visible" if self.ssim < 0.8 else "visible" if self.psnr < 34 else "hardly visible"
        kept = f"survives all treatments but {', '.join(lost)}" if lost else "survives all treatments"
        return f"{kept}; {seen}" + (", carriers easily found by de-duplication" if self.found_by_dedup else "")

    @property
    def found_by_dedup(self) -> bool:
        """Whether marking made near-duplicates of a tenth of the carriers or more."""
        return self.duplicates - self.duplicates_before >= 0.1


def check(
    folder: Path,
    families: Sequence[str],
    family_options: dict[str, FamilyOptions],
    vae: Path,
    secret: bytes,
    *,
    pictures: int = 40,
    progress: Progress = lambda *_: None,
) -> list[FamilyCheck]:
    """Test families on a dataset's own pictures, in memory; nothing is written.

    Args:
        folder: the dataset.
        families: their names.
        family_options: options by family.
        vae: diffusers pipeline (or VAE) folder for the round trip.
        secret: a throw-away secret: pictures and marks are drawn by it, and never used again.
        pictures: most pictures to test each family on.
        progress: told (stage, done, total).

    Raises:
        InputError: on a bad dataset, family or VAE.
    """
    if pictures < 5:
        raise InputError(f"--pictures {pictures} is too few", "Allowed: 5 or more.")
    samples = open_dataset(folder).listing.samples
    order = sorted((s.key for s in samples), key=lambda key: (prf_int(secret, "check", key), key))
    treatments = {
        "none": lambda picture: picture,
        "JPEG 75": jpeg(75),
        "JPEG 50": jpeg(50),
        "resize to half": resized(0.5),
        "VAE round trip": vae_round_trip(vae),
    }
    laws = [make_family(name, family_options.get(name, {})) for name in families]
    found = []
    for done, family in enumerate(laws):
        progress("checking families", done, len(families))
        found.append(_check_family(folder, family, order, treatments, secret, pictures))
    progress("checking families", len(families), len(families))
    return found


def _check_family(
    folder: Path,
    family: MarkFamily,
    order: Sequence[str],
    treatments: dict[str, Treatment],
    secret: bytes,
    pictures: int,
) -> FamilyCheck:
    keys, reason = [], "the dataset has no pictures"
    for key in order:
        found = obstacle(folder / key, family.min_side)
        if found is None:
            keys.append(key)
        else:
            reason = found
        if len(keys) == pictures:
            break
    if len(keys) < 5:
        return FamilyCheck(family.name, len(keys), f"{reason} (and so on: {len(keys)} pictures fit, 5 are needed)")
    marks = np.concatenate(
        [
            np.array([mark_id(secret, "", "check", 0)], dtype=np.uint64),
            decoy_ids(secret, "", "check", 0, DECOYS),
        ]
    )
    sources = [read_rgba(folder / key) for key in keys]
    originals = [on_white(p) for p in sources]
    planted, shams = (
        [
            on_white(family.plant(p, int(mark), prf_rng(secret, "placement", key)))
            for p, key, mark in zip(sources, keys, chosen, strict=True)
        ]
        for chosen in (np.repeat(marks[:1], len(keys)), marks[1 : len(keys) + 1])
    )
    return FamilyCheck(
        family.name,
        len(keys),
        "",
        tuple(survival(family, name, treat, planted, originals, marks) for name, treat in treatments.items()),
        float(np.median([min(psnr(a, b), 99.0) for a, b in zip(originals, planted, strict=True)])),
        float(np.median([ssim(a, b) for a, b in zip(originals, planted, strict=True)])),
        near_duplicates(planted),
        near_duplicates(originals),
        residual_auc(planted, shams if family.shams else originals),
        residual_auc(planted, shams),
        tuple(originals[:KEPT]),
        tuple(planted[:KEPT]),
    )


def ssim(a: Pixels, b: Pixels) -> float:
    """Structural similarity (kornia, window 11)."""
    import torch
    from kornia.metrics import ssim as similarity

    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (a, b))
    return float(similarity(x, y, 11).mean())
