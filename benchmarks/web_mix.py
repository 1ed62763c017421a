"""Which pictures of a web-like mix can carry a mark, by family, and why the others cannot.

python -m benchmarks.web_mix [--pictures 2000]

The mix is that of a set in which version 0.1 could mark 824 of 2,000: lossy WebP 707, JPEG turned by EXIF 302, palette
PNG 88, AVIF 41. The pictures are made here: smooth colours with things on them, with the metadata that cameras and
editors write. Every picture that can carry a mark is marked, written back and read again.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.common import Clock, interval, write_result
from protect.embed.score import scored_view
from protect.keys.tree import KeyTree, prf_rng, secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite

FAMILIES = ("template", "card", "spread", "tint", "warp")
SECRET = secret_from_seed(0, "web mix")
_DECOYS = 999


def scene(index: int, mode: str = "RGB") -> Image.Image:
    """A smooth ground with a few coloured things, between 240 and 560 pixels a side."""
    rng = np.random.default_rng(index)
    width, height = (int(side) for side in rng.integers(240, 560, 2))
    ground = Image.fromarray(rng.integers(40, 216, (4, 5, 3), dtype=np.uint8))
    picture = np.array(ground.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    for _ in range(6):
        top, left = rng.integers(0, height - 40), rng.integers(0, width - 40)
        tall, wide = rng.integers(20, height // 2), rng.integers(20, width // 2)
        picture[top : top + tall, left : left + wide] += rng.integers(-90, 90, 3, dtype=np.int16)
    picture += rng.normal(0, 6, picture.shape).astype(np.int16)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).convert(mode)


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = orientation, "Maker", "Model"
    return exif


def lossy_webp(i: int) -> bytes:
    """As content networks serve pictures."""
    return saved(scene(i), "WEBP", quality=60 + i % 35)


def turned_jpeg(i: int) -> bytes:
    """As telephones store pictures."""
    return saved(scene(i), "JPEG", quality=85 + i % 12, exif=_exif(3 + i % 6))


def palette_png(i: int) -> bytes:
    """As old editors store graphics."""
    return saved(scene(i).quantize(64 + i % 192), "PNG")


def avif(i: int) -> bytes:
    """As newer sites store pictures."""
    return saved(scene(i), "AVIF", quality=60 + i % 30)


def plain_jpeg(i: int) -> bytes:
    """As everybody stores pictures; one in thirty is grey, one in ten progressive."""
    return saved(scene(i, "L" if i % 30 == 0 else "RGB"), "JPEG", quality=70 + i % 28, progressive=i % 10 == 0)


def png(i: int) -> bytes:
    """With and without transparency."""
    return saved(scene(i, "RGBA" if i % 3 == 0 else "RGB"), "PNG")


def cmyk_jpeg(i: int) -> bytes:
    """As printers store pictures."""
    return saved(scene(i, "CMYK"), "JPEG")


def moving_gif(i: int) -> bytes:
    """Two pictures in turn."""
    return saved(scene(i), "GIF", save_all=True, append_images=[scene(i + 1).resize(scene(i).size)])


def deep_png(i: int) -> bytes:
    """Grey of 16 bit."""
    grey = np.asarray(scene(i, "L"), dtype=np.uint16) * 257
    return saved(Image.fromarray(grey), "PNG")


SHARES: tuple[tuple[Callable[[int], bytes], int], ...] = (
    (lossy_webp, 707),
    (turned_jpeg, 302),
    (palette_png, 88),
    (avif, 41),
    (plain_jpeg, 700),
    (png, 134),
    (cmyk_jpeg, 8),
    (moving_gif, 12),
    (deep_png, 8),
)
"""Pictures of each kind among 2,000."""


def outcome(data: bytes, family_name: str, index: int) -> tuple[str, float, bool]:
    """Why a picture cannot carry a mark (empty if it can), its PSNR, and whether the mark reads back first of all."""
    family = make_family(family_name, {})
    reason = obstacle(data)
    if reason is None:
        reason = family.obstacle(read_rgba(data))
    if reason:
        return reason, 0.0, False
    slot = KeyTree(SECRET).slot(index)
    before = read_rgba(data)
    after = read_rgba(rewrite(data, family.plant(before, slot.planted, prf_rng(SECRET, "placement", index))))
    ids = np.concatenate([np.array([slot.planted], dtype=np.uint64), slot.decoys(_DECOYS)])
    pair = scored_view(family, on_white(before)) if family.paired else None
    scores = family.score(Answers(scored_view(family, on_white(after)), pair), ids)
    return "", psnr(on_white(before), on_white(after)), bool(scores[0] > scores[1:].max())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2_000)
    args = parser.parse_args()
    clock = Clock()
    whole = sum(count for _, count in SHARES)
    kinds = [kind for kind, count in SHARES for _ in range(round(count * args.pictures / whole))]
    found: dict[str, object] = {}
    for name in FAMILIES:
        reasons: Counter[str] = Counter()
        first, qualities = 0, list[float]()
        for index, kind in enumerate(kinds):
            reason, quality, ranks_first = outcome(kind(index), name, index)
            reasons[f"{kind.__name__}: {reason}" if reason else ""] += 1
            first += ranks_first
            qualities += [] if reason else [min(quality, 99.0)]
        can = reasons.pop("", 0)
        found[name] = {
            "can_carry": interval(can, len(kinds)),
            "mark_ranks_first_of_1000_when_read_back": interval(first, can) if can else None,
            "psnr_median": float(np.median(qualities)) if qualities else None,
            "set_aside": dict(reasons.most_common()),
        }
        print(name, can, len(kinds), first, reasons.most_common(6), flush=True)
    mix = {kind.__name__: kinds.count(kind) for kind, _ in SHARES}
    data = {"mix": mix, "families": found, "target": "painted marks: can carry >= .95 (version 0.1: .41)"}
    write_result("web_mix", data, clock())


if __name__ == "__main__":
    main()
