from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from protect.pixels.containers.png_chunks import SIGNATURE, Chunk, joined, parse
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import file_of, painted, photo, translucent

TEXTS = PngImagePlugin.PngInfo()
TEXTS.add_text("Author", "someone")
TEXTS.add_text("Long", "words " * 100, zip=True)
TEXTS.add_itxt("Title", "盒子", "zh", "题")
TEXTS.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
TEXTS.add(b"gAMA", struct.pack(">I", 45455))
TEXTS.add(b"sRGB", b"\0")
TEXTS.add(b"tIME", b"\x07\xe8\1\1\0\0\0")
TEXTS.add(b"prIv", b"of somebody")
TEXTS.add(b"enDs", b"behind the picture", after_idat=True)


def _others(data: bytes) -> list[Chunk]:
    chunks, _ = parse(data)
    return [chunk for chunk in chunks if chunk.kind != b"IDAT"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_all_other_chunks_stay_byte_for_byte(mode: str) -> None:
    data = file_of(translucent().convert(mode), "PNG", pnginfo=TEXTS, icc_profile=b"profile", dpi=(300, 300))
    assert obstacle(data) is None
    released = rewrite(data, painted(data))
    assert _others(released) == _others(data)
    assert released != data
    kinds = {chunk.kind for chunk in _others(data)}
    assert kinds >= {b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"tIME", b"prIv", b"pHYs", b"enDs"}


@pytest.mark.parametrize("pieces", [1, 8192])
def test_image_data_are_cut_as_they_were(pieces: int) -> None:
    chunks, tail = parse(file_of(photo(), "PNG"))
    coded = b"".join(c.content for c in chunks if c.kind == b"IDAT")
    length = len(coded) if pieces == 1 else pieces
    cut = [Chunk(b"IDAT", coded[start : start + length]) for start in range(0, len(coded), length)]
    data = joined([chunks[0], *cut, chunks[-1]], tail)
    lengths = [len(c.content) for c in parse(rewrite(data, painted(data)))[0] if c.kind == b"IDAT"]
    assert len(lengths) == 1 if pieces == 1 else set(lengths[:-1]) == {8192} and lengths[-1] <= 8192


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_interlaced_pictures_stay_interlaced(mode: str) -> None:
    image = photo(37, 23).quantize(16) if mode == "P" else photo(37, 23).convert(mode)
    data = _interlaced(file_of(image, "PNG", bits=4) if mode == "P" else file_of(image, "PNG"))
    assert obstacle(data) is None
    pixels = read_rgba(data)
    assert np.array_equal(pixels, np.asarray(image.convert("RGBA")))
    released = rewrite(data, pixels)
    assert parse(released)[0][0] == parse(data)[0][0] and np.array_equal(read_rgba(released), pixels)


def _interlaced(data: bytes) -> bytes:
    """The same picture in the seven passes of Adam7, without filters."""
    chunks, tail = parse(data)
    depth = chunks[0].content[8]
    with Image.open(io.BytesIO(data)) as image:
        numbers = np.asarray(image)
    numbers = numbers.reshape(*numbers.shape[:2], -1)
    rows = b""
    for top, left, down, across in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        for row in numbers[top::down, left::across]:
            flat = row.reshape(-1)
            if depth == 4:
                flat = np.append(flat, [0] * (len(flat) % 2)).astype(np.uint8)
                flat = flat[::2] << 4 | flat[1::2]
            rows += b"\0" + flat.tobytes()
    head = Chunk(b"IHDR", chunks[0].content[:-1] + b"\1")
    others = [chunk for chunk in chunks[1:-1] if chunk.kind != b"IDAT"]
    return joined([head, *others, Chunk(b"IDAT", zlib.compress(rows)), chunks[-1]], tail)


def test_sixteen_bit_grey_keeps_its_lower_bits() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (60, 80), dtype=np.uint16)
    data = file_of(Image.fromarray(deep), "PNG")
    assert obstacle(data) is None
    assert np.array_equal(_deep(rewrite(data, read_rgba(data))), deep)
    wanted = read_rgba(data).copy()
    wanted[10:20, 10:20, :3] = 77
    found = _deep(rewrite(data, wanted))
    assert (found[10:20, 10:20] >> 8 == 77).all() and np.array_equal(found & 255, deep & 255)


def _deep(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_four_bit_grey_comes_back_exactly() -> None:
    shades = np.random.default_rng(0).integers(0, 16, (20, 30), dtype=np.uint8)
    rows = b"".join(b"\0" + (row[::2] << 4 | row[1::2]).tobytes() for row in shades)
    data = _bare(30, 20, 4, 0, zlib.compress(rows))
    assert obstacle(data) is None and np.array_equal(read_rgba(data)[..., 0], shades * 17)
    assert np.array_equal(read_rgba(rewrite(data, read_rgba(data))), read_rgba(data))


def _bare(width: int, height: int, depth: int, colour: int, coded: bytes, *chunks: Chunk) -> bytes:
    head = Chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return joined([head, *chunks, Chunk(b"IDAT", coded), Chunk(b"IEND", b"")], b"")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_one_transparent_colour_stays_transparent_and_no_other_pixel_gets_it(mode: str) -> None:
    pixels = np.asarray(photo().convert(mode)).copy()
    pixels[:20, :20] = 7
    colour = 7 if mode == "L" else (7, 7, 7)
    data = file_of(Image.fromarray(pixels), "PNG", transparency=colour)
    assert obstacle(data) is None
    wanted = read_rgba(data).copy()
    assert (wanted[:20, :20, 3] == 0).all()
    wanted[50:60, 50:60] = (7, 7, 7, 255)
    released = rewrite(data, wanted)
    found = read_rgba(released)
    assert _others(released) == _others(data) and np.array_equal(found[..., 3], wanted[..., 3])
    assert psnr(on_white(found), on_white(wanted)) > 50


def test_palettes_keep_their_number_of_colours_and_move_to_the_new_pixels() -> None:
    data = file_of(photo().quantize(120), "PNG", pnginfo=TEXTS)
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    before, after = _others(data), _others(released)
    assert [(c.kind, len(c.content)) for c in after] == [(c.kind, len(c.content)) for c in before]
    assert {a.kind for a, b in zip(after, before, strict=True) if a != b} == {b"PLTE"}
    assert psnr(read_rgba(released), wanted) > 35
    rearranged = read_rgba(data)[::-1].copy()
    again = rewrite(data, rearranged)
    assert _others(again) == before and np.array_equal(read_rgba(again), rearranged)


def test_palettes_with_opacity_keep_it_and_may_become_opaque() -> None:
    data = file_of(translucent().quantize(64, method=Image.Quantize.FASTOCTREE), "PNG")
    assert obstacle(data) is None and read_rgba(data)[..., 3].min() == 0
    wanted = painted(data)
    found = read_rgba(rewrite(data, wanted))
    assert (
        psnr(on_white(found), on_white(wanted)) > 28 and np.abs(found[..., 3].astype(int) - wanted[..., 3]).max() < 40
    )
    opaque = wanted.copy()
    opaque[..., 3] = 255
    assert read_rgba(rewrite(data, opaque))[..., 3].min() == 255
    plain = file_of(photo().quantize(64), "PNG")
    cleared = read_rgba(plain).copy()
    cleared[:30, :30, 3] = 0
    released = rewrite(plain, cleared)
    assert (read_rgba(released)[:30, :30, 3] == 0).all() and [c.kind for c in _others(released)][1:3] == [
        b"PLTE",
        b"tRNS",
    ]


def test_a_palette_of_greys_stays_grey() -> None:
    data = file_of(photo().convert("L").quantize(64), "PNG")
    wanted = read_rgba(data).copy()
    wanted[20:50, 20:50, 0] = 255
    found = read_rgba(rewrite(data, wanted))
    assert np.array_equal(found[..., 0], found[..., 1]) and np.array_equal(found[..., 1], found[..., 2])


def _raw_profile(name: str, content: bytes) -> Chunk:
    text = f"\n{name}\n{len(content):8}\n{content.hex()}\n".encode()
    return Chunk(b"zTXt", b"Raw profile type " + name.encode() + b"\0\0" + zlib.compress(text))


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([Chunk(b"caBX", b"jumb c2pa")], "C2PA"),
        ([Chunk(b"iDOT", bytes(28))], "iDOT"),
        ([Chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<a dcterms:provenance='b'/>")], "C2PA"),
        ([Chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<xmpGImg:image/>"))], "thumbnail in its XMP"),
        ([_raw_profile("exif", b"Exif\0\0" + file_of(photo(30, 20), "JPEG"))], "preview in its texts"),
        ([Chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xd8\xff\xe0 cut")], "preview in its metadata"),
    ],
)
def test_chunks_that_would_betray_or_break_are_obstacles(chunks: list[Chunk], reason: str) -> None:
    first, *rest = parse(file_of(photo(), "PNG"))[0]
    assert reason in (obstacle(joined([first, *chunks, *rest], b"")) or "")


def test_depths_and_colours_that_cannot_be_written_have_their_reason() -> None:
    deep = _bare(40, 40, 16, 2, zlib.compress(b"".join(b"\0" + bytes(40 * 6) for _ in range(40))))
    clear = file_of(Image.fromarray(np.zeros((40, 40), dtype=np.uint16)), "PNG", transparency=3)
    assert obstacle(deep) == "colours of 16 bit cannot be written back"
    assert obstacle(clear) == "a transparent shade of 16 bit cannot be written back"
    assert obstacle(file_of(photo().convert("1"), "PNG")) == "it has 2 colours at most"
    assert obstacle(file_of(photo().quantize(4), "PNG")) == "it has 4 colours at most"
    assert "second picture" in (obstacle(file_of(photo(), "PNG") + file_of(photo(), "PNG")) or "")


def test_what_follows_the_end_stays() -> None:
    data = file_of(photo(), "PNG") + b"a note"
    assert obstacle(data) is None and rewrite(data, painted(data)).endswith(b"IEND\xaeB`\x82a note")
    assert data.startswith(SIGNATURE)
