from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from protect.pixels import jxl_header
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import exif_with_thumbnail, file_of, painted, photo, translucent


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("width", [160, 157])
def test_bmp_changes_nothing_but_pixels(width: int, downwards: bool) -> None:
    data = file_of(photo(width), "BMP", dpi=(300, 300)) + b"note"
    if downwards:
        data = data[:22] + struct.pack("<i", -120) + data[26:]
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert len(released) == len(data) and released[:54] == data[:54] and released.endswith(b"note")
    assert np.array_equal(read_rgba(released), wanted) and rewrite(data, read_rgba(data)) == data


def test_bmp_of_32_bit_keeps_the_fourth_byte() -> None:
    plain = file_of(photo(), "BMP")
    cells = np.frombuffer(plain[54:], dtype=np.uint8).reshape(-1, 3)
    rows = np.concatenate([cells, np.full((len(cells), 1), 0, dtype=np.uint8)], axis=1).tobytes()
    data = plain[:28] + struct.pack("<HI", 32, 0) + plain[34:54] + rows
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert np.array_equal(read_rgba(released), wanted) and not any(released[57::4])


def test_bmp_palettes_move() -> None:
    data = file_of(photo().quantize(90), "BMP")
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert len(released) == len(data) and psnr(read_rgba(released), wanted) > 34


def test_bmp_that_cannot_be_written_has_its_reason() -> None:
    assert "bits a pixel" in (obstacle(file_of(photo().convert("1"), "BMP")) or "")
    seen_through = struct.pack(
        "<IiiHHIIiiII4I52x", 108, 8, 8, 1, 32, 3, 256, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF << 24
    )
    with_opacity = b"BM" + struct.pack("<III", 122 + 256, 0, 122) + seen_through + bytes(range(256))
    assert read_rgba(with_opacity)[..., 3].min() < 255 and "opacity" in (obstacle(with_opacity) or "")
    old = file_of(photo(), "BMP")
    core = b"BM" + struct.pack("<IIIIHHHH", 26 + len(old) - 54, 0, 26, 12, 160, 120, 1, 24) + old[54:]
    assert read_rgba(core).shape == (120, 160, 4) and "OS/2" in (obstacle(core) or "")


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("colours", [16, 100, 256])
def test_gif_keeps_its_blocks(colours: int, interlace: int) -> None:
    image = photo().quantize(colours)
    data = file_of(image, "GIF", comment=b"a caption", transparency=5, interlace=interlace, duration=100)
    assert obstacle(data) is None
    before = read_rgba(data)
    assert np.array_equal(read_rgba(rewrite(data, before)), before) and (before[..., 3] == 0).any()
    wanted = painted(data)
    released = rewrite(data, wanted)
    found = read_rgba(released)
    assert np.array_equal(found[..., 3], wanted[..., 3]) and b"a caption" in released
    assert psnr(on_white(found), on_white(wanted)) > (22 if colours == 16 else 33)
    assert released[:13] == data[:13] and released[-1:] == data[-1:]


def test_gif_that_cannot_be_written_has_its_reason() -> None:
    assert "4 colours" in (obstacle(file_of(photo().quantize(4), "GIF")) or "")
    larger = bytearray(file_of(photo().quantize(64), "GIF"))
    larger[6:8] = struct.pack("<H", 200)
    assert "smaller than the picture" in (obstacle(bytes(larger)) or "")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("contained", [True, False])
def test_jxl_keeps_its_boxes(mode: str, lossless: bool, contained: bool) -> None:
    exif = exif_with_thumbnail(file_of(photo(32, 24), "JPEG"))
    options = {"use_container": True, "exif": exif, "xmp": b"<x/>"} if contained else {}
    data = file_of(translucent().convert(mode), "JXL", lossless=lossless, quality=85, **options)
    assert obstacle(data) is None
    wanted = painted(data)
    if mode == "L":
        wanted[..., :3] = np.asarray(Image.fromarray(wanted).convert("L"))[..., None]
    released = rewrite(data, wanted)
    assert psnr(on_white(read_rgba(released)), on_white(wanted)) > (90 if lossless else 36)
    kinds = [b.kind for b in jxl_header.boxes(data) if b.kind != b"jxlp"] if contained else []
    assert [b.kind for b in jxl_header.boxes(released) if b.kind != b"jxlp"][: len(kinds)] == kinds
    if contained:
        start = released.index(exif[:60])
        assert released[start : start + 90] == data[data.index(exif[:60]) :][:90] and b"<x/>" in released
        assert exif not in released


def test_jxl_that_cannot_be_written_has_its_reason() -> None:
    contained = file_of(photo(), "JXL", use_container=True, xmp=b"<a dcterms:provenance='b'/>")
    plain = file_of(photo(), "JXL", use_container=True, xmp=b"<x/>")
    boxes = {kind: struct.pack(">I", 12) + kind + b"abcd" for kind in (b"jumb", b"jbrd", b"brob", b"jxli")}
    deep = Image.fromarray(np.zeros((40, 40), dtype=np.uint16))
    assert "C2PA" in (obstacle(contained) or "") and "C2PA" in (obstacle(plain + boxes[b"jumb"]) or "")
    assert "into a JPEG again" in (obstacle(plain + boxes[b"jbrd"]) or "")
    assert "compressed metadata" in (obstacle(plain + boxes[b"brob"]) or "")
    assert "index of frames" in (obstacle(plain + boxes[b"jxli"]) or "")
    assert "deep JPEG XL" in (obstacle(file_of(deep, "JXL")) or "")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(8, 8), (64, 48), (300, 200), (301, 203), (512, 512), (160, 90)])
def test_jxl_headers_tell_size_and_kind(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, size)
    for lossless in (True, False):
        for contained in (True, False):
            data = file_of(image, "JXL", lossless=lossless, use_container=contained)
            assert jxl_header.size(data) == size
            assert jxl_header.is_lossy_and_plain(data) == (not lossless, True)
