from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from protect.pixels.captions import embedded_captions
from protect.pixels.containers.jpeg_segments import parse
from protect.pixels.measure import psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import exif_with_thumbnail, file_of, jpeg_with, photo, thumbnail_in

MAKER_NOTE = b"MAKER note \1\2\3"


def _thumbnail(width: int = 40, height: int = 30, **options: object) -> bytes:
    return file_of(photo().resize((width, height)), "JPEG", **options)


def _inverted(data: bytes) -> np.ndarray:
    """The negative: no preview of the original is like it."""
    pixels = read_rgba(data).copy()
    pixels[..., :3] = 255 - pixels[..., :3]
    return pixels


def _small(pixels: np.ndarray, width: int = 40, height: int = 30) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exif_thumbnails_show_the_new_pixels_and_nothing_else_of_exif_moves(form: str) -> None:
    thumbnail = _thumbnail(quality=80)
    exif = exif_with_thumbnail(thumbnail)
    if form == "JPEG":
        data = jpeg_with(file_of(photo(), form), (0xE1, b"Exif\0\0" + exif))
    elif form == "AVIF":
        data = file_of(photo(), form, exif=_without_orientation(exif), speed=10)
    else:
        data = file_of(photo(), form, exif=exif)
    assert obstacle(data) is None
    wanted = _inverted(data)
    released = rewrite(data, wanted)
    old, new = data.index(MAKER_NOTE), released.index(MAKER_NOTE)
    start = new + len(MAKER_NOTE)
    found = released[start : start + len(thumbnail)]
    assert found != thumbnail and found.endswith(b"\xff\xd9")
    shown = read_rgba(found)[..., :3]
    assert shown.shape == (30, 40, 3) and psnr(shown, _small(wanted)) > 25
    assert released[new - 60 : start] == data[old - 60 : old + len(MAKER_NOTE)]


def _without_orientation(exif: bytes) -> bytes:
    """The same with a tag that Pillow does not look at in place of the orientation."""
    return exif.replace(struct.pack("<HHI", 0x0112, 3, 1), struct.pack("<HHI", 0x0111 - 2, 3, 1))


@pytest.mark.parametrize("quality", [20, 60, 95])
def test_a_thumbnail_that_needs_more_bytes_gets_a_lower_quality(quality: int) -> None:
    flat = Image.new("RGB", (160, 120), (90, 90, 90))
    plain = file_of(flat.resize((64, 48)), "JPEG", quality=quality)
    room = plain[:-2] + b"\xff" * 400 + plain[-2:]
    data = jpeg_with(file_of(flat, "JPEG"), (0xE1, b"Exif\0\0" + exif_with_thumbnail(room)))
    assert obstacle(data) is None
    wanted = read_rgba(file_of(photo(seed=8), "PNG"))
    released = rewrite(data, wanted)
    exif = next(s.content[6:] for s in parse(released).header if s.content.startswith(b"Exif"))
    assert thumbnail_in(exif).shape == (48, 64, 3) and len(exif) == len(exif_with_thumbnail(room))
    assert thumbnail_in(exif).std() > 5


def test_thumbnails_of_another_shape_have_black_bars() -> None:
    data = jpeg_with(file_of(photo(180, 120), "JPEG"), (0xE1, b"Exif\0\0" + exif_with_thumbnail(_thumbnail(64, 48))))
    wanted = np.full((120, 180, 4), 255, dtype=np.uint8)
    exif = next(s.content[6:] for s in parse(rewrite(data, wanted)).header if s.content.startswith(b"Exif"))
    shown = thumbnail_in(exif)
    assert shown[:2].max() < 30 and shown[-2:].max() < 30 and shown[10:-10].min() > 220


def test_grey_thumbnails_stay_grey() -> None:
    small = file_of(photo().convert("L").resize((40, 30)), "JPEG")
    data = jpeg_with(file_of(photo().convert("L"), "JPEG"), (0xE1, b"Exif\0\0" + exif_with_thumbnail(small)))
    released = rewrite(data, _inverted(data))
    exif = next(s.content[6:] for s in parse(released).header if s.content.startswith(b"Exif"))
    with Image.open(io.BytesIO(exif[exif.rindex(b"\xff\xd8\xff") :])) as image:
        assert image.mode == "L"


def _photoshop(resource: int, thumbnail: bytes) -> bytes:
    head = struct.pack(">IIIIIIHH", 1, 40, 30, 120, 3600, len(thumbnail), 24, 1)
    content = head + thumbnail
    block = b"8BIM" + struct.pack(">HHI", resource, 0, len(content)) + content + b"\0" * (len(content) % 2)
    return b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0e\x1c\x02x\0\x09a caption" + block


def test_thumbnails_of_photoshop_are_replaced_and_captions_stay() -> None:
    small = _thumbnail()
    data = jpeg_with(file_of(photo(), "JPEG"), (0xED, _photoshop(1036, small)))
    assert obstacle(data) is None
    wanted = _inverted(data)
    released = rewrite(data, wanted)
    content = next(s.content for s in parse(released).header if s.content.startswith(b"Photoshop"))
    place = content.index(b"\xff\xd8\xff")
    assert len(content) == len(_photoshop(1036, small)) and content[:place] == _photoshop(1036, small)[:place]
    assert psnr(read_rgba(content[place:])[..., :3], _small(wanted)) > 25
    assert embedded_captions(released) == embedded_captions(data) == {"iptc:caption": "a caption"}


def test_thumbnails_of_jfif_are_replaced() -> None:
    small = _thumbnail()
    raw = _small(np.asarray(photo()), 20, 15).tobytes()
    coded = (0xE0, b"JFXX\0\x10" + small)
    plain = (0xE0, b"JFXX\0\x13" + bytes((20, 15)) + raw)
    classic = b"JFIF\0\1\2\0\0\1\0\1" + bytes((20, 15)) + raw
    body = file_of(photo(), "JPEG")
    start = body.index(b"\xff\xdb")
    data = jpeg_with(b"\xff\xd8" + body[start:], (0xE0, classic), coded, plain)
    assert obstacle(data) is None
    wanted = _inverted(data)
    found = [s.content for s in parse(rewrite(data, wanted)).header if s.marker == 0xE0]
    assert [len(c) for c in found] == [len(classic), len(coded[1]), len(plain[1])]
    shown = np.frombuffer(found[0][14:], dtype=np.uint8).reshape(15, 20, 3)
    assert psnr(shown, _small(wanted, 20, 15)) > 30 and found[0][14:] == found[2][8:]
    assert psnr(read_rgba(found[1][6:])[..., :3], _small(wanted)) > 25


CMYK = file_of(photo().convert("CMYK"), "JPEG")
UNCOMPRESSED = exif_with_thumbnail(b"").replace(struct.pack("<H", 0x0201), struct.pack("<H", 0x0111))


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        ((0xED, _photoshop(1033, b"\xff\xd8\xff")), "old thumbnail of Photoshop"),
        ((0xE0, b"JFXX\0\x11" + bytes(2 + 768)), "thumbnail with a palette"),
        ((0xE1, b"Exif\0\0" + exif_with_thumbnail(_thumbnail()[:-40])), "preview in its metadata"),
        ((0xE1, b"Exif\0\0" + exif_with_thumbnail(CMYK)), "preview in its metadata"),
        ((0xE1, b"Exif\0\0" + UNCOMPRESSED), "uncompressed EXIF thumbnail"),
        ((0xE5, b"Maker\0\xff\xd8\xff\xe0 nothing that can be read"), "preview in its metadata"),
    ],
)
def test_previews_that_cannot_be_replaced_are_obstacles(segment: tuple[int, bytes], reason: str) -> None:
    assert reason in (obstacle(jpeg_with(file_of(photo(), "JPEG"), segment)) or "")


def test_previews_in_maker_notes_are_replaced() -> None:
    preview = _thumbnail(80, 60)
    exif = exif_with_thumbnail(_thumbnail(), maker_note=b"MAKER" + preview + b"end")
    data = jpeg_with(file_of(photo(), "JPEG"), (0xE1, b"Exif\0\0" + exif))
    wanted = _inverted(data)
    released = rewrite(data, wanted)
    found = released[released.index(b"MAKER") + 5 :][: len(preview)]
    assert psnr(read_rgba(found)[..., :3], _small(wanted, 80, 60)) > 25
    assert released[released.index(b"MAKER") + 5 + len(preview) :].startswith(b"end")
