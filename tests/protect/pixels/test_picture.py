from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from protect.errors import InputError
from protect.pixels.captions import embedded_captions
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import PictureError, obstacle, pixel_count, read_rgba, rewrite
from tests.protect.pixels.pictures import ORIENTATION, file_of, painted, photo, translucent

LOSSLESS = {
    "png": lambda: file_of(photo(), "PNG"),
    "png with opacity": lambda: file_of(translucent(), "PNG"),
    "png grey": lambda: file_of(photo().convert("L"), "PNG"),
    "png grey with opacity": lambda: file_of(translucent().convert("LA"), "PNG"),
    "png palette": lambda: file_of(photo().quantize(200), "PNG"),
    "png 16 colours": lambda: file_of(photo().quantize(16), "PNG", bits=4),
    "webp lossless": lambda: file_of(translucent(), "WEBP", lossless=True, exact=True),
    "bmp": lambda: file_of(photo(), "BMP"),
    "bmp palette": lambda: file_of(photo().quantize(100), "BMP"),
    "bmp grey": lambda: file_of(photo().convert("L"), "BMP"),
    "tiff": lambda: file_of(photo(), "TIFF"),
    "tiff lzw": lambda: file_of(translucent(), "TIFF", compression="tiff_lzw"),
    "gif": lambda: file_of(photo().quantize(64), "GIF"),
    "jxl lossless": lambda: file_of(photo(), "JXL", lossless=True),
}
LOSSY = {
    "jpeg": lambda: file_of(photo(), "JPEG", quality=85),
    "jpeg grey": lambda: file_of(photo().convert("L"), "JPEG", quality=85),
    "jpeg progressive": lambda: file_of(photo(), "JPEG", quality=92, progressive=True, subsampling=0),
    "webp": lambda: file_of(photo(), "WEBP", quality=80),
    "webp with opacity": lambda: file_of(translucent(), "WEBP", quality=80),
    "avif": lambda: file_of(photo(), "AVIF", quality=75, speed=9),
    "heic": lambda: file_of(photo(), "HEIF", quality=70),
    "jxl": lambda: file_of(photo(), "JXL", quality=85),
}


@cache
def sample(name: str) -> bytes:
    return {**LOSSLESS, **LOSSY}[name]()


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_unchanged_pixels_come_back_and_the_size_hardly_changes(name: str) -> None:
    data = sample(name)
    assert obstacle(data) is None
    before = read_rgba(data)
    again = rewrite(data, before)
    after = read_rgba(again)
    if name in LOSSLESS:
        assert np.array_equal(before, after)
    else:
        assert psnr(on_white(before), on_white(after)) >= (50 if name.startswith("jpeg") else 40)
        assert np.array_equal(before[..., 3], after[..., 3])
    assert 0.93 < len(again) / len(data) < 1.07


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_changed_pixels_are_in_the_file_and_it_can_be_changed_again(name: str) -> None:
    data = sample(name)
    wanted = painted(data)
    if "grey" in name:
        wanted[..., :3] = np.asarray(Image.fromarray(wanted).convert("L"))[..., None]
    released = rewrite(data, wanted)
    found = read_rgba(released)
    few_colours = name in {"png palette", "png 16 colours", "bmp palette", "gif"}
    assert psnr(on_white(found), on_white(wanted)) > (33 if few_colours else 37)
    assert psnr(on_white(found), on_white(read_rgba(data))) < 32
    assert obstacle(released) is None
    assert rewrite(data, wanted) == released


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_turned_pictures_are_read_upright_and_stored_as_they_were(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options: dict[str, object] = {"quality": 95} if form in ("JPEG", "WEBP", "AVIF", "HEIF") else {}
    if form == "AVIF":
        options["speed"] = 10
    upright_photo = photo(96, 64)
    data = file_of(upright_photo, form, exif=exif if form == "TIFF" else exif.tobytes(), **options)
    seen = np.asarray(ImageOps.exif_transpose(_with_orientation(upright_photo, orientation)))
    assert psnr(read_rgba(data)[..., :3], seen) > 30
    assert obstacle(data) is None
    wanted = painted(data)
    released = rewrite(data, wanted)
    assert psnr(read_rgba(released), wanted) > 33
    assert _stored(released) == _stored(data)


def _with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    copy = image.copy()
    copy.getexif()[ORIENTATION] = orientation
    return copy


def _stored(data: bytes) -> tuple[tuple[int, int], object]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size, image.getexif().get(ORIENTATION)


def test_pixels_of_another_size_are_refused() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = file_of(photo(96, 64), "JPEG", exif=exif.tobytes())
    with pytest.raises(ValueError, match="do not fit"):
        rewrite(data, np.zeros((64, 96, 4), dtype=np.uint8))
    rewrite(data, np.zeros((96, 64, 4), dtype=np.uint8))


def test_every_mode_of_pillow_is_read_as_8_bit_rgba() -> None:
    deep = np.arange(160 * 120, dtype=np.uint16).reshape(120, 160) * 3
    assert np.array_equal(read_rgba(file_of(Image.fromarray(deep), "PNG"))[..., 0], (deep >> 8).astype(np.uint8))
    clear = file_of(photo().quantize(50), "PNG", transparency=3)
    with_key = file_of(photo(), "PNG", transparency=photo().getpixel((5, 5)))
    assert (read_rgba(clear)[..., 3] == 0).any() and read_rgba(with_key)[5, 5, 3] == 0
    for mode in ("1", "L", "LA", "RGB", "RGBA", "P"):
        assert read_rgba(file_of(translucent().convert(mode), "PNG")).shape == (120, 160, 4)
    assert read_rgba(file_of(photo().convert("CMYK"), "JPEG")).shape == (120, 160, 4)
    assert read_rgba(file_of(photo(), "JPEG2000")).shape == (120, 160, 4)


def test_of_animations_the_first_picture_is_read() -> None:
    first, second = photo(seed=1), photo(seed=2)
    data = file_of(first, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert np.array_equal(read_rgba(data)[..., :3], np.asarray(first))


def test_what_cannot_be_written_back_has_its_reason() -> None:
    first, second = photo(seed=1), photo(seed=2)
    several = {"save_all": True, "append_images": [second]}
    files = {
        "": b"",
        "text": b"hello",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "gif": file_of(first, "GIF", **several),
        "webp": file_of(first, "WEBP", **several),
        "apng": file_of(first, "PNG", **several),
        "avif": file_of(first, "AVIF", speed=10, **several),
        "tiff": file_of(first, "TIFF", **several),
        "mpo": file_of(first, "MPO", **several),
        "jp2": file_of(first, "JPEG2000"),
        "ppm": file_of(first, "PPM"),
        "cmyk": file_of(first.convert("CMYK"), "JPEG"),
        "cut": file_of(first, "PNG")[:3000],
        "cut jpeg": file_of(first, "JPEG")[:2000],
        "float": file_of(Image.fromarray(np.zeros((40, 40), dtype=np.float32)), "TIFF"),
    }
    found = {name: obstacle(data) or "" for name, data in files.items()}
    assert found[""] == found["text"] == found["svg"] == "not a picture"
    assert found["gif"] == found["webp"] == found["apng"] == found["avif"] == "animated"
    assert found["tiff"] == "several pictures in one file" and "second picture" in found["mpo"]
    assert found["jp2"] == "format JPEG2000 cannot be written back unchanged" and "PPM" in found["ppm"]
    assert found["cmyk"] == "CMYK colours cannot be written back"
    assert found["cut"].startswith("cannot be decoded (") and found["cut jpeg"].startswith("cannot be decoded (")
    assert "8 bit" in found["float"]


def test_a_refusal_is_an_input_error_in_one_line() -> None:
    with pytest.raises(PictureError, match=r"^not a picture$") as caught:
        read_rgba(b"hello")
    assert isinstance(caught.value, InputError)
    with pytest.raises(PictureError, match="cannot be decoded"):
        read_rgba(file_of(photo(), "PNG")[:3000])
    with pytest.raises(PictureError, match="floating-point"):
        read_rgba(file_of(Image.fromarray(np.zeros((40, 40), dtype=np.float32)), "TIFF"))


def test_pixel_count_is_read_from_the_header() -> None:
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF", "JXL"):
        image = photo(301, 203).quantize(9) if form == "GIF" else photo(301, 203)
        assert pixel_count(file_of(image, form)) == 301 * 203, form
    assert pixel_count(b"hello") == pixel_count(b"") == 0
    assert pixel_count(file_of(photo(), "PNG")[:60]) == 160 * 120


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "JXL", "AVIF", "HEIF"])
@pytest.mark.parametrize("limit", [15_000, 5_000])
def test_decompression_bombs_are_refused_without_a_warning(
    form: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(photo(), form)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert obstacle(data) == f"more than {limit:,} pixels (a decompression bomb?)"
    with pytest.raises(PictureError, match="decompression bomb"):
        read_rgba(data)
    assert embedded_captions(data) == {}


@pytest.mark.parametrize(("form", "module", "extra"), [("HEIF", "pillow_heif", "heic"), ("JXL", "pillow_jxl", "jxl")])
def test_a_missing_package_is_named(form: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from protect.pixels import optional_formats

    data = file_of(photo(), form)
    monkeypatch.setitem(sys.modules, module, None)
    plug_in = optional_formats._heif if form == "HEIF" else optional_formats._jxl
    plug_in.cache_clear()
    assert f"pip install 'tracemark[{extra}]'" in (obstacle(data) or "")
    with pytest.raises(PictureError, match="needs a further package"):
        read_rgba(data)


def test_many_threads_decode_damaged_files_without_a_warning() -> None:
    good, bad = file_of(photo(), "TIFF", compression="tiff_lzw"), file_of(photo(), "PNG")[:3000]
    broken = file_of(photo(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(obstacle, [good, bad, broken] * 40))
    assert found[::3] == [None] * 40 and all(found[1::3]) and found[2::3] == [None] * 40


@cache
def _seeds() -> list[bytes]:
    small, exif, texts = photo(48, 40), Image.Exif(), PngImagePlugin.PngInfo()
    exif[ORIENTATION], exif[0x010E] = 6, "a caption"
    texts.add_text("parameters", "a caption")
    texts.add_itxt("Title", "a caption", zip=True)
    palette, tags = small.quantize(32), exif.tobytes()
    return [
        file_of(small, "JPEG", exif=tags),
        file_of(small, "JPEG", progressive=True, restart_marker_blocks=3),
        file_of(small, "PNG", pnginfo=texts, exif=tags),
        file_of(palette, "PNG"),
        file_of(small, "WEBP", exif=tags),
        file_of(small, "WEBP", lossless=True),
        file_of(palette, "BMP"),
        file_of(small, "TIFF", compression="tiff_adobe_deflate"),
        file_of(palette, "GIF"),
        file_of(small, "AVIF", speed=10, exif=tags),
        file_of(small, "HEIF", exif=tags),
        file_of(small, "JXL", lossless=True, use_container=True, exif=tags),
        file_of(small, "ICO"),
        file_of(small, "JPEG2000"),
    ]


_change = st.tuples(
    st.integers(0, 400), st.sampled_from(["put", "cut", "insert", "end"]), st.binary(min_size=1, max_size=6)
)


@given(st.integers(0, 13), st.lists(_change, min_size=1, max_size=4))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_bytes_come_in_there_are_pixels_or_a_reason(which: int, changes: list[tuple[int, str, bytes]]) -> None:
    data = _seeds()[which]
    for place, kind, content in changes:
        place = min(place, len(data))
        rest = {"put": len(content), "cut": 2 * len(content), "insert": 0, "end": len(data)}[kind]
        data = data[:place] + (b"" if kind in ("cut", "end") else content) + data[place + rest :]
    assert pixel_count(data) >= 0
    assert all(embedded_captions(data).values())
    reason = obstacle(data)
    assert reason is None or (reason and "\n" not in reason and "0x" not in reason)
    try:
        pixels = read_rgba(data)
    except PictureError:
        assert reason is not None
        return
    if reason is None:
        assert read_rgba(rewrite(data, pixels)).shape == pixels.shape
