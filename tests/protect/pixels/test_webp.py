from __future__ import annotations

import pytest
from PIL import Image

from protect.pixels.containers.riff import OPACITY, Chunk, joined, parse
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import file_of, painted, photo, translucent

PICTURE = (b"VP8 ", b"VP8L", OPACITY)


def _others(data: bytes) -> list[Chunk]:
    return [chunk for chunk in parse(data)[0] if chunk.kind not in PICTURE]


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize("lossless", [True, False])
def test_all_other_chunks_stay_byte_for_byte(opaque: bool, lossless: bool) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a caption"
    image = photo() if opaque else translucent()
    data = file_of(image, "WEBP", lossless=lossless, icc_profile=b"profile" * 9, exif=exif, xmp=b"<x/>", quality=70)
    chunks, _ = parse(data)
    data = joined([*chunks, Chunk(b"prIv", b"odd")], b"")
    assert obstacle(data) is None
    released = rewrite(data, painted(data))
    assert _others(released) == _others(data) and len(_others(data)) == 5
    assert [c.kind for c in parse(released)[0]] == [c.kind for c in parse(data)[0]]


def test_the_lossless_stay_lossless_and_the_lossy_lossy() -> None:
    lossless, lossy = file_of(photo(), "WEBP", lossless=True), file_of(photo(), "WEBP", quality=80)
    assert [c.kind for c in parse(rewrite(lossless, painted(lossless)))[0]] == [b"VP8L"]
    assert [c.kind for c in parse(rewrite(lossy, painted(lossy)))[0]] == [b"VP8 "]
    profiled = file_of(photo(), "WEBP", lossless=True, icc_profile=b"x" * 300)
    wanted = painted(profiled)
    assert (read_rgba(rewrite(profiled, wanted)) == wanted).all()


@pytest.mark.parametrize("quality", [30, 50, 65, 75, 80, 85, 90, 95])
@pytest.mark.parametrize("method", [0, 4, 6])
def test_lossy_files_keep_their_size_and_look(quality: int, method: int) -> None:
    data = file_of(photo(320, 240), "WEBP", quality=quality, method=method)
    before = read_rgba(data)
    again = rewrite(data, before)
    assert 0.93 < len(again) / len(data) < 1.07
    assert psnr(before, read_rgba(again)) > (40 if quality >= 75 else 37)


def test_opacity_may_come_and_go() -> None:
    plain = file_of(photo(), "WEBP", quality=80)
    cleared = read_rgba(plain).copy()
    cleared[:40, :40, 3] = 0
    found = read_rgba(rewrite(plain, cleared))
    assert (found[..., 3] == cleared[..., 3]).all() and psnr(on_white(found), on_white(cleared)) > 38
    seen_through = file_of(translucent(), "WEBP", quality=80, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    filled = read_rgba(seen_through).copy()
    filled[..., 3] = 255
    released = rewrite(seen_through, filled)
    assert read_rgba(released)[..., 3].min() == 255
    assert not parse(released)[0][0].content[0] & 0x10 and parse(seen_through)[0][0].content[0] & 0x10


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        (Chunk(b"C2PA", b"jumb"), "C2PA"),
        (Chunk(b"XMP ", b"<a dcterms:provenance='b'/>"), "C2PA"),
        (Chunk(b"EXIF", b"II*\0\x08\0\0\0\xff\xd8\xff\xe0 cut"), "preview in its metadata"),
    ],
)
def test_chunks_that_would_betray_or_break_are_obstacles(chunk: Chunk, reason: str) -> None:
    chunks, _ = parse(file_of(photo(), "WEBP", xmp=b"<x/>"))
    assert reason in (obstacle(joined([*chunks[:-1], chunk], b"")) or "")


def test_what_follows_the_end_stays_unless_it_is_a_picture() -> None:
    data = file_of(photo(), "WEBP")
    assert obstacle(data + b"note") is None and rewrite(data + b"note", painted(data)).endswith(b"note")
    assert "second picture" in (obstacle(data + file_of(photo(), "JPEG")) or "")
