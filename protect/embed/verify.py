"""`protect verify`: read every carrier back from disk; check its bytes, its caption and its mark."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from protect.alignments import slot_family
from protect.errors import InputError
from protect.files import sha256_file
from protect.formats import open_dataset
from protect.marks.family import MarkFamily, Pixels
from protect.pixels.images import read_rgba
from protect.release.record import Carrier, Release


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a carrier or a slot."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Outcome of reading a protected copy back."""

    carriers: int
    intact: int
    findings: tuple[Finding, ...]


def on_white(picture: Pixels) -> Pixels:
    """RGBA (H, W, 4) over white, RGB (H, W, 3)."""
    if picture[..., 3].min() == 255:
        return picture[..., :3]
    alpha = picture[..., 3:].astype(np.float64) / 255
    return np.asarray(np.round(picture[..., :3] * alpha + 255 * (1 - alpha))).astype(np.uint8)


def mark_score(family: MarkFamily, picture: Pixels, original: Pixels | None, mark: int) -> float | None:
    """The score of one mark on one carrier, RGBA (H, W, 4), seen on white.

    The original serves only families that cannot do without; None if it is wanted and not there.
    """
    if family.alone:
        twins = None
    elif original is None:
        return None
    else:
        twins = seen(family, on_white(original))
    return float(family.score(seen(family, on_white(picture)), twins, np.array([mark], dtype=np.uint64))[0])


def seen(family: MarkFamily, picture: Pixels) -> Pixels:
    """An RGB picture (H, W, 3) as scoring of carriers sees it: a batch of one, at the family's side if it has one."""
    if family.carrier_side is None:
        return picture[None]
    side = (family.carrier_side, family.carrier_side)
    return np.asarray(Image.fromarray(picture).resize(side, Image.Resampling.BOX))[None]


def verify(release: Release, folder: Path, progress: Callable[[str, int, int], None] = lambda *_: None) -> Verification:
    """Check every carrier of a protected copy.

    Args:
        release: the secret record.
        folder: the protected copy.
        progress: told (stage, done, total).

    Raises:
        InputError: if `folder` is not a dataset.
    """
    captions = {s.key: s.caption for s in open_dataset(folder).listing.samples}
    if not any(c.key in captions for c in release.carriers):
        raise InputError(
            f"{folder} holds none of the {len(release.carriers)} carriers of release {release.id}",
            "Give the protected copy that belongs to this release.",
        )
    families = [slot_family(release, k) for k in range(release.plan.slots)]
    findings: list[Finding] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        problems = pool.map(
            lambda c: _problem(c, folder, captions, families[c.slot], release.planted_id(c.slot)), release.carriers
        )
        for done, (carrier, problem) in enumerate(zip(release.carriers, problems, strict=True), 1):
            if problem:
                findings.append(Finding(carrier.key, problem))
            progress("verifying", done, len(release.carriers))
    return Verification(len(release.carriers), len(release.carriers) - len(findings), tuple(findings))


def _problem(carrier: Carrier, folder: Path, captions: dict[str, str], family: MarkFamily, mark: int) -> str | None:
    path = folder / carrier.key
    if not path.is_file():
        return "picture is missing"
    if captions.get(carrier.key) != carrier.caption:
        return "caption changed" if carrier.key in captions else "caption is missing"
    try:
        score = mark_score(family, read_rgba(path), None, mark)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return "picture cannot be read"
    if sha256_file(path) != carrier.sha256:
        if score is None:
            return "bytes changed"
        kept = "mark still strong" if score > 0.5 * carrier.score else "mark weakened"
        return f"bytes changed ({kept}: score {score:.3f}, released with {carrier.score:.3f})"
    return None if score is None or abs(score - carrier.score) < 1e-6 else "mark differs from the record"
