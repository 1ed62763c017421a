from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from protect.pixels.containers.avif import Avif
from protect.pixels.containers.iso_boxes import parse
from protect.pixels.containers.iso_edits import with_parts
from protect.pixels.error import PictureError
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import obstacle, read_rgba, rewrite
from tests.protect.pixels.pictures import exif_with_thumbnail, file_of, painted, photo, translucent

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def _picture(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    quick: dict[str, object] = {"speed": 9} if form == "AVIF" else {}
    return file_of(image or photo(), form, **({"quality": 75} | quick | options))


def _changed_parts(before: bytes, after: bytes) -> tuple[set[bytes], set[bytes]]:
    """Kinds of items and of properties that differ."""
    old, new = parse(before), parse(after)
    items = {old.items[n].kind for n in old.items if old.content(n) != new.content(n)}
    numbers = range(1, len(old.properties) + 1)
    return items, {old.properties[n - 1].kind for n in numbers if old.property_content(n) != new.property_content(n)}


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_all_other_items_and_properties_stay_byte_for_byte(form: str) -> None:
    exif = exif_with_thumbnail(b"").replace(struct.pack("<HH", 0x0112, 3), struct.pack("<HH", 0x0111, 3))
    data = _picture(form, exif=exif, xmp=XMP, icc_profile=b"profile" * 20)
    assert obstacle(data) is None
    released = rewrite(data, painted(data))
    coded = b"av01" if form == "AVIF" else b"hvc1"
    items, properties = _changed_parts(data, released)
    assert items == {coded} and properties <= {b"hvcC"}
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(released)) as after:
        for name in ("exif", "xmp", "icc_profile"):
            assert before.info[name] == after.info[name]
        assert exif in released and before.size == after.size


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("AVIF", {"subsampling": "4:4:4"}),
        ("AVIF", {"subsampling": "4:2:2", "range": "limited"}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
        ("HEIF", {"chroma": "444"}),
        ("HEIF", {"chroma": "422"}),
        ("HEIF", {"quality": 40}),
    ],
)
def test_sampling_and_colours_stay(form: str, options: dict[str, object]) -> None:
    data = _picture(form, **options)
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert psnr(read_rgba(released), wanted) > (38 if options.get("quality") != 40 else 35)
    setting, place = (b"av1C", 2) if form == "AVIF" else (b"hvcC", 16)
    old, new = parse(data), parse(released)
    before = old.property_content(old.property_number(old.primary, setting))
    after = new.property_content(new.property_number(new.primary, setting))
    assert before[place] == after[place]


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_grey_pictures_and_odd_sizes_come_back(form: str) -> None:
    for image in (photo().convert("L"), photo(151, 113), photo(64, 64)):
        data = _picture(form, image)
        assert obstacle(data) is None
        before = read_rgba(data)
        after = read_rgba(rewrite(data, before))
        assert before.shape[:2] == image.size[::-1] and psnr(before, after) > 38


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_opacity_stays_or_changes_with_the_pixels(form: str) -> None:
    data = _picture(form, translucent())
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    old, new = parse(data), parse(released)
    (number,) = old.sources(b"auxl", old.primary)
    assert old.content(number) == new.content(number)
    wanted[..., 3] = 255
    filled = rewrite(data, wanted)
    assert read_rgba(filled)[..., 3].min() >= 254 and psnr(on_white(read_rgba(filled)), on_white(wanted)) > 36


@pytest.mark.parametrize("size", [(160, 120), (200, 150)])
def test_heic_in_tiles_keeps_them(size: tuple[int, int]) -> None:
    data = _picture("HEIF", photo(*size), tile_size=64, exif=exif_with_thumbnail(file_of(photo(32, 24), "JPEG")))
    file = parse(data)
    assert file.items[file.primary].kind == b"grid" and obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    items, _ = _changed_parts(data, released)
    assert items == {b"hvc1", b"Exif"} and psnr(read_rgba(released), wanted) > 38
    assert 0.85 < len(released) / len(data) < 1.15


def test_heic_thumbnails_show_the_new_pixels() -> None:
    data = _picture("HEIF", photo(256, 192), thumbnails=[64])
    file = parse(data)
    (number,) = file.sources(b"thmb", file.primary)
    assert obstacle(data) is None
    wanted = read_rgba(data).copy()
    wanted[..., :3] = 255 - wanted[..., :3]
    released = rewrite(data, wanted)
    assert parse(released).content(number) != file.content(number)
    import pillow_heif

    small = pillow_heif.open_heif(io.BytesIO(released))[0].get_thumbnail(0)
    shown = np.asarray(Image.frombytes(small.mode, small.size, bytes(small.data), "raw", small.mode, small.stride))
    expected = np.asarray(Image.fromarray(wanted).convert("RGB").resize(small.size, Image.Resampling.LANCZOS))
    assert psnr(shown[..., :3], expected) > 26


def test_obstacles_have_their_reason() -> None:
    data = _picture("AVIF")
    deep = Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257)
    credentials = struct.pack(">I", 24 + 4) + b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"c2pa"
    found = {
        "c2pa": obstacle(data + credentials),
        "xmp": obstacle(_picture("AVIF", xmp=b"<a dcterms:provenance='b'/>")),
        "multiplied": obstacle(_picture("AVIF", translucent(), alpha_premultiplied=True)),
        "deep": obstacle(_picture("HEIF", deep)),
        "several": obstacle(file_of(photo(), "HEIF", save_all=True, append_images=[photo(seed=2)])),
    }
    for name, part in {
        "c2pa": "C2PA",
        "xmp": "C2PA",
        "multiplied": "multiplied by opacity",
        "deep": "more than 8 bit",
        "several": "several pictures",
    }.items():
        assert part in (found[name] or ""), name
    assert Avif().depth_obstacle(b"\x81\4\x0c\0") is None and Avif().depth_obstacle(b"\x81\4\x4c\0") is not None


def test_parts_that_grow_move_all_others() -> None:
    data = _picture("HEIF", translucent(), exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0", xmp=XMP)
    file = parse(data)
    setting = file.property_number(file.primary, b"hvcC")
    longer = with_parts(file, {file.primary: b"x" * 70_000}, {setting: b"y" * 500})
    again = parse(longer)
    for number in file.items:
        expected = b"x" * 70_000 if number == file.primary else file.content(number)
        assert again.content(number) == expected
    for number in range(1, len(file.properties) + 1):
        expected = b"y" * 500 if number == setting else file.property_content(number)
        assert again.property_content(number) == expected
    assert (
        with_parts(again, {file.primary: file.content(file.primary)}, {setting: file.property_content(setting)}) == data
    )


def test_damaged_boxes_are_refused() -> None:
    data = _picture("AVIF")
    for cut in range(0, 300, 7):
        with pytest.raises(PictureError):
            parse(data[:cut])
