from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import exif_with_thumbnail, file_of, jpeg_with, painted, photo, translucent


def _web_like() -> Iterator[tuple[str, bytes]]:
    """100 files as they come from the web: 35 lossy WebP, 15 turned JPEG, 4 palette PNG, 2 AVIF, 44 others."""
    for i in range(35):
        image = translucent(i) if i % 9 == 0 else photo(seed=i)
        yield "lossy webp", file_of(image, "WEBP", quality=(50, 70, 75, 80, 85, 90)[i % 6])
    for i in range(15):
        exif = exif_with_thumbnail(file_of(photo(40, 30, seed=i), "JPEG"), orientation=(3, 6, 8)[i % 3])
        yield "turned jpeg", jpeg_with(file_of(photo(seed=i), "JPEG", quality=92), (0xE1, b"Exif\0\0" + exif))
    for i in range(4):
        yield "palette png", file_of(photo(seed=i).quantize((256, 64, 128, 32)[i]), "PNG")
    for i in range(2):
        yield "avif", file_of(photo(seed=i), "AVIF", quality=60, speed=9)
    for i in range(28):
        options = {"progressive": i % 3 == 0, "optimize": i % 2 == 0, "subsampling": (2, 2, 0, 1)[i % 4]}
        yield "jpeg", file_of(photo(seed=i), "JPEG", quality=(75, 80, 85, 90, 95)[i % 5], **options)
    for i in range(3):
        yield "grey jpeg", file_of(photo(seed=i).convert("L"), "JPEG", quality=85)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a caption")
    for i in range(6):
        yield "png", file_of(photo(seed=i), "PNG", pnginfo=texts)
    for i in range(3):
        yield "png with opacity", file_of(translucent(i), "PNG")
    yield "grey png", file_of(photo().convert("L"), "PNG")
    yield "deep grey png", file_of(Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257), "PNG")
    yield "cmyk jpeg", file_of(photo().convert("CMYK"), "JPEG")
    yield "moving gif", file_of(photo(), "GIF", save_all=True, append_images=[photo(seed=1)])


def test_nearly_all_of_a_web_like_mix_can_be_written_back(capsys: pytest.CaptureFixture[str]) -> None:
    files = list(_web_like())
    reasons = Counter(reason for _, data in files if (reason := obstacle(data)))
    share = 1 - sum(reasons.values()) / len(files)
    with capsys.disabled():
        print(f"\nshare of a web-like mix that can be written back: {share:.2f}; set aside: {dict(reasons)}")
    assert len(files) == 100 and share >= 0.95
    assert set(reasons) == {"CMYK colours cannot be written back", "animated"}


def test_sizes_and_looks_of_a_web_like_mix_stay_close() -> None:
    ratios: dict[str, list[float]] = {}
    for name, data in list(_web_like())[::3]:
        if obstacle(data) is None:
            wanted = painted(data)
            if "grey" in name:
                wanted[..., :3] = np.asarray(Image.fromarray(wanted).convert("L"))[..., None]
            assert psnr(on_white(read_rgba(rewrite(data, wanted))), on_white(wanted)) > 32, name
            ratios.setdefault(name, []).append(len(rewrite(data, read_rgba(data))) / len(data))
    assert all(0.97 < np.median(values) < 1.03 for values in ratios.values()), ratios
