from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from protect.pixels.containers.jpeg_segments import DHT, EOI, SOS, Segment, markers, parse
from protect.pixels.measure import psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import exif_with_thumbnail, file_of, jpeg_with, painted, photo

XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0e\x1c\x02x\0\x09a caption"
PLAIN = {
    "exif": (0xE1, b"Exif\0\0" + exif_with_thumbnail(b"", orientation=3)),
    "xmp": (0xE1, XMP),
    "iptc": (0xED, IPTC),
    "icc": (0xE2, b"ICC_PROFILE\0\1\1" + bytes(range(200))),
    "comment": (0xFE, b"hello"),
    "density": (0xE0, b"JFIF\0\1\2\1\x01\x2c\x01\x2c\0\0"),
    "unknown": (0xE9, b"something of a maker"),
    "flashpix": (0xE2, b"FPXR\0\1\2\3"),
}


def _header(data: bytes) -> list[tuple[int, bytes]]:
    return [(s.marker, s.content) for s in parse(data).header if s.marker != DHT]


@pytest.mark.parametrize("name", PLAIN)
def test_every_segment_stays_byte_for_byte(name: str) -> None:
    data = jpeg_with(file_of(photo(), "JPEG", quality=88), PLAIN[name])
    assert obstacle(data) is None
    released = rewrite(data, painted(data))
    assert _header(released) == _header(data)
    assert PLAIN[name] in _header(released)


@pytest.mark.parametrize("fill", range(4))
def test_markers_are_found_behind_data_and_filling_bytes(fill: int) -> None:
    """Stuffed zeros and restart markers are data; any number of bytes 0xFF may stand before a marker."""
    head, scan, end = b"\xff\xd8", b"\xff\xda\0\x02" + b"\x10\xff\0\xff\xd0\xff\xff\xd7\xda\xff\xff\0", b"\xff" * fill
    file = parse(head + scan + end + scan + end + b"\xff\xd9" + b"tail\xff\xd9")
    assert file.scans == scan + end + scan + end + b"\xff\xd9" and file.tail == b"tail\xff\xd9"
    places = (2, len(scan) + fill + 2, len(file.scans))
    assert list(markers(file.scans)) == list(zip((SOS, SOS, EOI), places, strict=True))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("coding", ["standard", "optimised", "progressive", "restarts", "progressive restarts"])
def test_tables_sampling_and_way_of_coding_stay(subsampling: int, coding: str) -> None:
    options = {
        "standard": {},
        "optimised": {"optimize": True},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_blocks": 5},
        "progressive restarts": {"progressive": True, "restart_marker_rows": 1},
    }[coding]
    data = file_of(photo(), "JPEG", quality=83, subsampling=subsampling, dpi=(300, 300), **options)
    released = rewrite(data, painted(data))
    assert _header(released) == _header(data)
    assert [s.marker for s in parse(released).header] == [s.marker for s in parse(data).header]
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(released)) as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile) and isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling
        assert after.info.get("progressive") == before.info.get("progressive")
    standard = [bytes(s) for s in parse(file_of(photo(8, 8), "JPEG")).header if s.marker == DHT]
    kept = [bytes(s) for s in parse(released).header if s.marker == DHT]
    assert (kept == standard) == (coding in ("standard", "restarts"))


def test_rgb_without_a_change_of_colours_and_renamed_components_stay() -> None:
    rgb = file_of(photo(), "JPEG", quality=90, keep_rgb=True)
    renamed = _with_names(file_of(photo(), "JPEG", quality=90), (0, 1, 2))
    for data in (rgb, renamed):
        assert obstacle(data) is None
        wanted = painted(data)
        released = rewrite(data, wanted)
        assert _header(released) == _header(data)
        assert psnr(read_rgba(released), wanted) > 38


def _with_names(data: bytes, names: tuple[int, int, int]) -> bytes:
    changed = bytearray(data)
    frame, scan = data.index(b"\xff\xc0") + 10, data.index(b"\xff\xda") + 5
    for i, name in enumerate(names):
        changed[frame + 3 * i] = name
        changed[scan + 2 * i] = name
    return bytes(changed)


def test_huffman_tables_stay_in_one_segment_if_they_were() -> None:
    file = parse(file_of(photo(), "JPEG", optimize=True))
    tables = [s for s in file.header if s.marker == DHT]
    joined = Segment(DHT, b"".join(s.content for s in tables))
    data = b"\xff\xd8" + b"".join(map(bytes, [s for s in file.header if s.marker != DHT])) + bytes(joined) + file.scans
    released = parse(rewrite(data, painted(data)))
    assert [s.marker for s in released.header].count(DHT) == 1


def test_exif_over_two_segments_is_read_and_kept() -> None:
    thumbnail = file_of(photo(400, 300, seed=3), "JPEG", quality=100)
    exif = exif_with_thumbnail(thumbnail, orientation=6)
    assert len(exif) > 70_000
    parts = [(0xE1, b"Exif\0\0" + exif[start : start + 60_000]) for start in range(0, len(exif), 60_000)]
    data = jpeg_with(file_of(photo(), "JPEG"), *parts)
    assert obstacle(data) is None and read_rgba(data).shape == (160, 120, 4)
    released = rewrite(data, painted(data))
    before, after = _header(data), _header(released)
    assert [(m, len(c)) for m, c in before] == [(m, len(c)) for m, c in after] and before != after


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: jpeg_with(d, (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumbc2pa")), "C2PA"),
        (lambda d: jpeg_with(d, (0xE1, XMP + b"<rdf dcterms:provenance='self'/>")), "C2PA"),
        (lambda d: jpeg_with(d, (0xE1, XMP + b"<xmpGImg:image>AAAA</xmpGImg:image>")), "thumbnail in its XMP"),
        (lambda d: jpeg_with(d, (0xE1, XMP + b"<x GImage:Data='AAAA'/>")), "second picture in its XMP"),
        (lambda d: d + b"\0\0\0\x18ftypmp42" + bytes(99), "video after its end"),
        (lambda d: d + d, "second picture after its end"),
        (lambda d: d + b"PK\3\4" + bytes(99), "archive"),
        (lambda d: d.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "unknown kind of JPEG"),
        (lambda d: _with_sampling(d, 0x12), "colour sampling 1x2 1x1 1x1"),
        (lambda d: d.replace(b"\xff\xc0", b"\xff\xc9"), "arithmetic|decoded"),
        (lambda d: _with_late_comment(d), "between its scans"),
    ],
)
def test_obstacles_have_their_reason(change: object, reason: str) -> None:
    data = file_of(photo(), "JPEG", progressive="scans" in reason, subsampling=0)
    found = obstacle(change(data))  # type: ignore[operator]
    assert found is not None and any(part in found for part in reason.split("|"))


def _with_sampling(data: bytes, sampling: int) -> bytes:
    """The same data read with another sampling: its blocks are still enough."""
    place = data.index(b"\xff\xc0") + 11
    tall = file_of(photo(160, 240), "JPEG", subsampling=0)
    del data
    return tall[:place] + bytes((sampling,)) + tall[place + 1 :]


def _with_late_comment(data: bytes) -> bytes:
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    return data[:second] + b"\xff\xfe\0\7hello" + data[second:]


def test_zeros_and_short_notes_after_the_end_stay() -> None:
    data = file_of(photo(), "JPEG") + b"\0" * 100 + b"SEFT"
    assert obstacle(data) is None
    assert rewrite(data, painted(data)).endswith(b"\xff\xd9" + b"\0" * 100 + b"SEFT")


def _with_index(kind: int, word: bytes = b"") -> bytes:
    """A JPEG with a smaller picture after its end, as cameras write; `word` stands in the smaller one."""
    small = file_of(photo(80, 60), "JPEG", quality=95, comment=word)
    data = file_of(photo(seed=4), "MPO", save_all=True, append_images=[Image.open(io.BytesIO(small))])
    first, second = parse(data), parse(data).tail
    tail = jpeg_with(second, (0xFE, word)) if word else second
    index = next(n for n, s in enumerate(first.header) if s.content.startswith(b"MPF\0"))
    content = bytearray(first.header[index].content)
    entries = content.index(struct.pack("<III", 0x030000, first.end, 0)) + 16
    size, offset = struct.unpack_from("<II", content, entries + 4)
    struct.pack_into("<III", content, entries, kind, size + len(tail) - len(second), offset)
    header = [*first.header[:index], Segment(0xE2, bytes(content)), *first.header[index + 1 :]]
    return b"\xff\xd8" + b"".join(map(bytes, header)) + first.scans + tail


def _index(data: bytes) -> list[tuple[int, int]]:
    """Start and end of both pictures, as Pillow reads the index."""
    base = data.index(b"MPF\0") + 4
    with Image.open(io.BytesIO(data)) as image:
        entries = image._getmp()[0xB002]  # type: ignore[attr-defined]
    starts = [0, base + entries[1]["DataOffset"]]
    return [(start, start + entry["Size"]) for start, entry in zip(starts, entries, strict=True)]


def _second_picture(data: bytes) -> bytes:
    """What the index says is the second picture."""
    start, end = _index(data)[1]
    return data[start:end]


def test_large_previews_after_the_end_show_the_new_pixels_and_the_index_points_to_them() -> None:
    data = _with_index(0x010002)
    assert obstacle(data) is None
    wanted = painted(data)
    wanted[:60] = 250
    released = rewrite(data, wanted)
    assert released != data and len(released) != len(data)
    with Image.open(io.BytesIO(_second_picture(released))) as second:
        pixels = np.asarray(second)
    assert pixels.shape == (60, 80, 3) and pixels[:25].mean() > 240 > pixels[40:].mean()
    assert _index(released)[0] == (0, parse(released).end) and _index(released)[1][1] == len(released)


def test_gain_maps_after_the_end_stay_as_they_are_and_unknown_pictures_are_an_obstacle() -> None:
    data = _with_index(0, b"hdrgm:Version='1.0'")
    assert obstacle(data) is None
    released = rewrite(data, painted(data))
    assert _second_picture(released) == _second_picture(data) == parse(data).tail
    assert "second picture" in (obstacle(_with_index(0)) or "")
    assert "second picture" in (obstacle(_with_index(0x020002)) or "")
