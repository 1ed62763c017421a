from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin, PngImagePlugin

from protect.pixels.images import obstacle, psnr, read_rgba, rewrite_pixels
from tests.protect.conftest import draw


def _rewritten(path: Path) -> Path:
    pixels = read_rgba(path).copy()
    pixels[:4, :4, :3] = 9
    target = path.with_name("out" + path.suffix)
    target.write_bytes(rewrite_pixels(path, pixels))
    return target


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_keeps_tables_sampling_exif_and_icc(tmp_path: Path, subsampling: int, progressive: bool) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x010E] = "a box"
    draw(0).save(
        path,
        quality=83,
        subsampling=subsampling,
        progressive=progressive,
        exif=exif,
        icc_profile=b"not a real one",
        dpi=(300, 300),
    )
    with Image.open(path) as before, Image.open(_rewritten(path)) as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile) and isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before) == subsampling
        assert bool(after.info.get("progressive")) == progressive
        assert after.getexif()[0x010E] == "a box" and after.info["icc_profile"] == b"not a real one"
        assert after.info["dpi"] == before.info["dpi"] and after.size == before.size


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "RGB"), ("b.png", "RGBA"), ("c.png", "L"), ("d.webp", "RGBA"), ("e.bmp", "RGB")]
)
def test_format_and_mode_stay(tmp_path: Path, name: str, mode: str) -> None:
    path = tmp_path / name
    draw(1, mode="RGBA" if mode == "RGBA" else "RGB").convert(mode).save(path, lossless=True)
    before = read_rgba(path)
    after = _rewritten(path)
    with Image.open(path) as original, Image.open(after) as picture:
        assert picture.mode == mode and picture.format == original.format
    assert np.array_equal(read_rgba(after)[8:], before[8:])


def test_obstacles_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    draw(0).save(good)
    assert obstacle(good, 24) is None
    small, grey16, cmyk = tmp_path / "s.png", tmp_path / "g.png", tmp_path / "c.jpg"
    draw(0).resize((1, 1)).save(small)
    Image.fromarray(np.zeros((40, 40), dtype=np.uint16)).save(grey16)
    draw(0).convert("CMYK").save(cmyk)
    gif = tmp_path / "a.gif"
    draw(0).save(gif, save_all=True, append_images=[draw(1)])
    cut, text = tmp_path / "cut.png", tmp_path / "text.png"
    cut.write_bytes(good.read_bytes()[:120])
    text.write_text("hello")
    palette, turned, lossy = tmp_path / "p.png", tmp_path / "t.jpg", tmp_path / "l.webp"
    draw(0).convert("P").save(palette)
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(0).save(turned, exif=exif)
    draw(0).save(lossy, quality=80)
    everything = (small, grey16, cmyk, gif, cut, text, palette, turned, lossy)
    found = {p.name: obstacle(p, 24) or "" for p in everything}
    assert "colour mode P" in found["p.png"] and "orientation" in found["t.jpg"] and "lossy" in found["l.webp"]
    assert "smaller than 24" in found["s.png"] and "colour mode" in found["g.png"] and "CMYK" in found["c.jpg"]
    assert found["a.gif"] == "animated" and "decoded" in found["cut.png"] and found["text.png"] == "not a picture"


def test_what_would_be_lost_on_saving_sets_a_picture_aside(tmp_path: Path) -> None:
    clear = tmp_path / "clear.png"
    draw(0).save(clear, transparency=(255, 255, 255))
    assert "transparent colour" in (obstacle(clear, 24) or "")
    rows = b"".join(b"\0" + bytes(40 * 6) for _ in range(40))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    deep = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + deep)
    assert "16 bits" in (obstacle(tmp_path / "deep.png", 24) or "")


def test_texts_and_comments_stay(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "someone")
    texts.add_itxt("Title", "盒子", "zh", "题")
    texts.add(b"gAMA", struct.pack(">I", 45455))
    texts.add(b"sRGB", b"\0")
    draw(0).save(tmp_path / "a.png", pnginfo=texts)
    draw(0).save(tmp_path / "b.jpg", comment=b"hello")
    with Image.open(_rewritten(tmp_path / "a.png")) as png, Image.open(_rewritten(tmp_path / "b.jpg")) as jpg:
        assert png.text == {"Author": "someone", "Title": "盒子"} and png.info["gamma"] == 0.45455
        assert png.info["srgb"] == 0 and jpg.info["comment"] == b"hello"


def test_lossless_webp_with_a_profile_is_seen_as_lossless(tmp_path: Path) -> None:
    draw(0).save(tmp_path / "a.webp", lossless=True, icc_profile=b"x" * 300)
    assert obstacle(tmp_path / "a.webp", 24) is None


def test_decompression_bombs_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    draw(0).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "more than 1,000 pixels" in (obstacle(path, 24) or "")


def test_psnr() -> None:
    a = np.zeros((8, 8, 3), dtype=np.uint8)
    assert psnr(a, a) == float("inf")
    assert psnr(a, a + np.uint8(255)) == 0
