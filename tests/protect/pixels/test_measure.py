from __future__ import annotations

import base64
import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from protect.pixels.error import PictureError
from protect.pixels.measure import data_uri, on_white, picture_at, png_bytes, psnr
from protect.pixels.palette import in_palette
from protect.pixels.quality import matching_quality
from protect.pixels.suffixes import PICTURE_SUFFIXES
from tests.protect.pixels.pictures import photo, translucent


def test_psnr() -> None:
    a = np.zeros((8, 8, 3), dtype=np.uint8)
    assert psnr(a, a) == float("inf")
    assert psnr(a, a + np.uint8(255)) == 0
    b, c = np.asarray(photo(seed=1)), np.asarray(photo(seed=2))
    assert psnr(b, c) == pytest.approx(10 * np.log10(255**2 / np.mean((b.astype(float) - c) ** 2)), abs=1e-9)
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(a, a[:4])


@pytest.mark.parametrize("size", [(7, 5), (700, 900)])
def test_psnr_sums_whole_numbers(size: tuple[int, int]) -> None:
    """Exact for the greatest differences too, and for views of larger arrays."""
    rng = np.random.default_rng(0)
    a, b = rng.choice(np.array([0, 1, 254, 255], dtype=np.uint8), (2, *size, 4))
    for before, after in ((a, b), (a[..., :3], b[..., :3]), (a[:, ::-1], b[:, ::-1]), (a[..., 0], b[..., 0])):
        squares = sum(((before.astype(np.int64) - after) ** 2).ravel().tolist())
        assert psnr(before, after) == float(10 * np.log10(255**2 * before.size / squares))


def test_psnr_and_on_white_need_little_memory() -> None:
    a = np.zeros((2000, 2000, 4), dtype=np.uint8)
    b = a + np.uint8(3)
    tracemalloc.start()
    psnr(a, b)
    on_white(b)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 45e6


def test_on_white_is_what_people_see_on_a_page() -> None:
    pixels = np.asarray(translucent())
    alpha = pixels[..., 3:].astype(float) / 255
    assert np.array_equal(on_white(pixels), np.round(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    opaque = np.asarray(photo().convert("RGBA"))
    assert np.array_equal(on_white(opaque), opaque[..., :3])


def test_squares_and_pages() -> None:
    pixels = np.asarray(photo(400, 300))
    assert picture_at(pixels, 64).shape == (64, 64, 3)
    square = np.asarray(photo(64, 64))
    assert picture_at(square, 64) is square
    head, _, body = data_uri(pixels).partition(",")
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert head == "data:image/png;base64" and image.size == (256, 192)
    with Image.open(io.BytesIO(png_bytes(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_palettes_are_exact_where_they_can_be() -> None:
    image = photo().quantize(64)
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette = np.concatenate([palette, np.full((len(palette), 1), 255, dtype=np.uint8)], axis=1)
    pixels = np.asarray(image.convert("RGBA"))
    numbers, same = in_palette(pixels, palette)
    assert np.array_equal(same, palette) and np.array_equal(palette[numbers], pixels)
    numbers, moved = in_palette(np.asarray(photo(seed=5).convert("RGBA")), palette)
    assert moved.shape == palette.shape and (moved[:, 3] == 255).all()
    assert psnr(moved[numbers][..., :3], np.asarray(photo(seed=5))) > 28


def test_a_moved_palette_is_nearly_as_good_as_a_new_one() -> None:
    old, new = photo(seed=1), photo(seed=9)
    flat = np.array(old.quantize(64).getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette = np.concatenate([flat, np.full((len(flat), 1), 255, dtype=np.uint8)], axis=1)
    numbers, moved = in_palette(np.asarray(new.convert("RGBA")), palette)
    fresh = np.asarray(new.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB"))
    assert psnr(moved[numbers][..., :3], np.asarray(new)) > psnr(fresh, np.asarray(new)) - 1


@pytest.mark.parametrize("wanted", range(0, 101, 7))
def test_the_quality_is_found_in_few_tries(wanted: int) -> None:
    tried = []

    def size_at(quality: int) -> int:
        tried.append(quality)
        return round(1000 * np.exp(quality / 40 + max(0, quality - 80) / 20))

    found = matching_quality(size_at, size_at(wanted))
    assert len(tried) <= 6 and abs(np.log(size_at(found) / size_at(wanted))) < 0.06


def test_a_size_that_cannot_be_had_ends_at_the_nearest_quality() -> None:
    assert matching_quality(lambda quality: 1000 + quality, 9000) == 100
    assert matching_quality(lambda quality: 1000 + quality, 10) == 0
    assert matching_quality(lambda quality: 500, 400) in range(101)


def test_a_file_without_a_coded_picture_of_its_own_has_no_quality() -> None:
    with pytest.raises(PictureError, match="no single coded picture"):
        matching_quality(lambda quality: 1000 + quality, 0)


def test_every_picture_like_ending_is_known() -> None:
    usual = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
    assert usual | {".avif", ".heic", ".heif", ".jxl", ".jp2", ".svg", ".dng"} <= PICTURE_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in PICTURE_SUFFIXES)
    assert not PICTURE_SUFFIXES & {".txt", ".json", ".npz", ".mp4", ".tar", ".parquet"}
