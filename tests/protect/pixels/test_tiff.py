from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from protect.pixels.containers.tiff_directory import Directory, first_directory
from protect.pixels.measure import psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import file_of, painted, photo, translucent

MOVING = {273, 279, 324, 325}


def _tags(data: bytes) -> dict[int, bytes]:
    first: Directory = first_directory(data)
    return {tag: first.value(data, tag) for tag in first.entries if tag not in MOVING}


def _tagged(image: Image.Image, **options: object) -> bytes:
    """With an ICC profile, XMP, IPTC, a description, a resolution and a private tag."""
    tags = {270: "a caption", 315: "someone", 700: b"<x/>", 33723: b"\x1c\x02x\0\x09a caption", 65000: b"private"}
    return file_of(image, "TIFF", tiffinfo=tags, icc_profile=b"profile" * 9, dpi=(300, 300), **options)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_all_tags_stay_byte_for_byte_and_pixels_come_back(mode: str, compression: str | None) -> None:
    image = (translucent() if "A" in mode else photo()).convert(mode)
    data = _tagged(image, compression=compression)
    assert obstacle(data) is None
    wanted = painted(data)
    if mode in ("L", "LA"):
        wanted[..., :3] = np.asarray(Image.fromarray(wanted).convert("L"))[..., None]
    released = rewrite(data, wanted)
    assert _tags(released) == _tags(data) and len(_tags(data)) > 13
    assert np.array_equal(read_rgba(released), wanted)
    assert rewrite(data, read_rgba(data)) == data


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_predictors_stay(compression: str) -> None:
    data = file_of(photo(), "TIFF", compression=compression, tiffinfo={317: 2})
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert first_directory(released).number(released, 317, 1) == 2 and np.array_equal(read_rgba(released), wanted)


def test_strips_that_need_more_room_go_to_the_end() -> None:
    flat = Image.new("RGB", (160, 120), (7, 7, 7))
    data = file_of(flat, "TIFF", compression="tiff_lzw", strip_size=3000)
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 4), dtype=np.uint8)
    noise[..., 3] = 255
    released = rewrite(data, noise)
    assert len(released) > 10 * len(data) and np.array_equal(read_rgba(released), noise)
    assert np.array_equal(read_rgba(rewrite(released, read_rgba(data))), read_rgba(data))


def test_no_strip_of_the_original_remains() -> None:
    data = file_of(photo(), "TIFF", compression="tiff_lzw", strip_size=3000)
    first = first_directory(data)
    strips = zip(first.numbers(data, 273), first.numbers(data, 279), strict=True)
    wanted = read_rgba(data).copy()
    wanted[..., :3] = 255 - wanted[..., :3]
    released = rewrite(data, wanted)
    assert not any(data[start : start + length] in released for start, length in strips)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiles_and_both_orders_of_bytes(order: str) -> None:
    pixels = np.asarray(photo(150, 100))
    data = _tiled(pixels, order)
    assert obstacle(data) is None and np.array_equal(read_rgba(data)[..., :3], pixels)
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert len(released) == len(data) and np.array_equal(read_rgba(released), wanted)


def _tiled(pixels: np.ndarray, order: str, side: int = 64) -> bytes:
    """An uncompressed RGB file in tiles, the directory behind them."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)))
    tiles = [
        padded[top : top + side, left : left + side].tobytes()
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]
    offsets = [8 + n * len(tiles[0]) for n in range(len(tiles))]
    arrays_at = 8 + sum(map(len, tiles))
    arrays = struct.pack(f"{order}3H", 8, 8, 8) + bytes(2)
    arrays += struct.pack(f"{order}{len(tiles)}I", *offsets) + struct.pack(f"{order}{len(tiles)}I", *map(len, tiles))
    lengths_at = arrays_at + 8 + 4 * len(tiles)
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, arrays_at),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 4, 1, side),
        (323, 4, 1, side),
        (324, 4, len(tiles), arrays_at + 8),
        (325, 4, len(tiles), lengths_at),
    ]
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + packed
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}I", arrays_at + len(arrays)) + b"".join(tiles) + arrays + directory + bytes(4)


def test_previews_of_photoshop_are_replaced() -> None:
    small = file_of(photo().resize((40, 30)), "JPEG")
    content = struct.pack(">IIIIIIHH", 1, 40, 30, 120, 3600, len(small), 24, 1) + small
    block = b"8BIM" + struct.pack(">HHI", 1036, 0, len(content)) + content
    data = file_of(photo(), "TIFF", tiffinfo={34377: block})
    assert obstacle(data) is None
    wanted = read_rgba(data).copy()
    wanted[..., :3] = 255 - wanted[..., :3]
    released = rewrite(data, wanted)
    found = _tags(released)[34377]
    with Image.open(io.BytesIO(found[found.index(b"\xff\xd8\xff") :])) as image:
        shown = np.asarray(image)
    expected = np.asarray(Image.fromarray(wanted).convert("RGB").resize((40, 30), Image.Resampling.LANCZOS))
    assert psnr(shown, expected) > 25


def test_obstacles_have_their_reason() -> None:
    deep = Image.fromarray(np.zeros((40, 40), dtype=np.uint16))
    multiplied = bytearray(file_of(translucent(), "TIFF"))
    first_directory(bytes(multiplied)).put_numbers(multiplied, 338, (1,))
    found = {
        "8 bit": obstacle(file_of(deep, "TIFF")),
        "TIFF compression 7": obstacle(file_of(photo(), "TIFF", compression="jpeg")),
        "these colours": obstacle(file_of(photo().quantize(9), "TIFF")),
        "several pictures": obstacle(file_of(photo(), "TIFF", save_all=True, append_images=[photo(seed=2)])),
        "layers of Photoshop": obstacle(file_of(photo(), "TIFF", tiffinfo={37724: b"layers"})),
        "C2PA": obstacle(file_of(photo(), "TIFF", tiffinfo={700: b"<a dcterms:provenance='b'/>"})),
        "BigTIFF": obstacle(file_of(photo(), "TIFF", big_tiff=True)),
        "kind of opacity": obstacle(bytes(multiplied)),
    }
    assert {part: reason for part, reason in found.items() if part not in (reason or "")} == {}
