"""Render the shipped sample dataset from the Noto Color Emoji font.

Debian or Ubuntu::

    apt-get install fonts-noto-color-emoji unicode-data
    python examples/make_sample_dataset.py --output protect/assets/sample.tar

The result is one tar in webdataset form (``KEY.png`` and ``KEY.txt`` per sample). The same font, names,
Pillow and zlib give the same bytes. Sequences (flags, professions, skin tones) need a Pillow with RAQM.
"""

from __future__ import annotations

import argparse
import io
import re
import struct
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont, features

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
NAMES = Path("/usr/share/unicode/emoji/emoji-test.txt")
OUTPUT = Path(__file__).resolve().parent.parent / "protect" / "assets" / "sample.tar"
COUNT = 2400

SIZE = 96  # pixels a side
LEVELS = 32  # values kept per colour channel, so that the tar stays small
STRIKE = 109  # the only size of the bitmap font; its glyphs are 136 x 128 pixels
CANVAS = 136
GLYPH_TOP = 4  # centres 128 rows in 136

PLAIN, FLAG, GENDER, SKIN_TONE = range(4)  # in order of preference
MOST_FLAGS = 200
BORROWED_FLAGS = {"bv", "cp", "dg", "ea", "hm", "mf", "sj", "um"}  # territories with another's flag
LINE = re.compile(r"(?P<codes>[0-9A-F ]+?) *; fully-qualified +# \S+ E[\d.]+ (?P<name>.+)")
TONES = range(0x1F3FB, 0x1F400)
REGIONS = range(0x1F1E6, 0x1F200)
PEOPLE = (0x1F468, 0x1F469)
GENDER_SIGNS = (0x2640, 0x2642)
JOINER, EMOJI_STYLE = 0x200D, 0xFE0F


@dataclass(frozen=True, slots=True)
class Emoji:
    """One line of the Unicode list."""

    codes: tuple[int, ...]
    name: str

    @property
    def text(self) -> str:
        return "".join(map(chr, self.codes))

    @property
    def key(self) -> str:
        """Code points as in Noto's own file names: lower-case hex, without the style selector."""
        return "-".join(f"{code:x}" for code in self.codes if code != EMOJI_STYLE)

    @property
    def tones(self) -> int:
        return sum(code in TONES for code in self.codes)

    @property
    def region(self) -> str:
        """Two-letter code of a country's flag, else empty."""
        return "".join(chr(code - REGIONS[0] + ord("a")) for code in self.codes if code in REGIONS)

    @property
    def tier(self) -> int:
        if self.tones:
            return SKIN_TONE
        if self.region:
            return FLAG
        joined = JOINER in self.codes
        gendered = any(code in GENDER_SIGNS for code in self.codes) or self.codes[0] in PEOPLE
        return GENDER if joined and gendered else PLAIN


def caption_of(name: str) -> str:
    """A lower-case phrase with hardly any punctuation.

    >>> caption_of("man: medium skin tone, red hair")
    'noto emoji of man with medium skin tone and red hair'
    >>> caption_of("flag: St. Lucia")
    'noto emoji of flag of st lucia'
    """
    head, _, rest = name.lower().partition(": ")
    details = rest.split(", ") if rest else []
    if head == "keycap":
        head, details = f"keycap {rest.replace('#', 'hash').replace('*', 'asterisk')}", []
    if "bald" in details:
        head = f"bald {head}"
        details.remove("bald")
    looks = [detail for detail in details if detail.endswith(("tone", "hair", "beard"))]
    parts = [detail for detail in details if detail not in looks]
    phrase = head
    phrase += f" of {listed(parts)}" if parts else ""
    phrase += f" with {listed(looks)}" if looks else ""
    phrase = phrase.replace("’", "'").replace("&", "and").replace(" - ", " ")
    return "noto emoji of " + re.sub(r"[.!?()“”:]", "", phrase)


def listed(words: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def read_names(path: Path) -> list[Emoji]:
    """Fully qualified emoji with at most one skin tone, in order of preference."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := LINE.fullmatch(line):
            codes = tuple(int(code, 16) for code in match["codes"].split())
            found.append(Emoji(codes, match["name"]))
    found = [emoji for emoji in found if emoji.tones <= 1]
    return sorted(found, key=lambda emoji: (emoji.tier, emoji.region in BORROWED_FLAGS))


def load_font(path: Path) -> ImageFont.FreeTypeFont:
    engine = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
    return ImageFont.truetype(str(path), STRIKE, layout_engine=engine)


def render(emoji: Emoji, font: ImageFont.FreeTypeFont) -> Image.Image | None:
    """The glyph on white, RGB (SIZE, SIZE); None if the font does not draw it as one glyph."""
    if font.layout_engine == ImageFont.Layout.BASIC and len(emoji.codes) > 1:
        return None
    if font.getlength(emoji.text) > CANVAS:
        return None  # the font falls back to several glyphs side by side
    glyph = Image.new("RGBA", (CANVAS, CANVAS), (255, 255, 255, 0))
    ImageDraw.Draw(glyph).text((0, GLYPH_TOP), emoji.text, font=font, embedded_color=True)
    picture = Image.new("RGB", glyph.size, "white")
    picture.paste(glyph, mask=glyph.getchannel("A"))
    picture = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    top = LEVELS - 1
    picture = picture.point([round(round(value / 255 * top) / top * 255) for value in range(256)] * 3)
    return picture if ImageChops.invert(picture).getbbox() else None


def render_all(candidates: list[Emoji], font: ImageFont.FreeTypeFont) -> list[tuple[Emoji, Image.Image]]:
    """Every drawable candidate; of equal pictures, keys or captions only the first stays."""
    seen: set[bytes | str] = set()
    kept = []
    for emoji in candidates:
        picture = render(emoji, font)
        if picture is None:
            continue
        marks: set[bytes | str] = {picture.tobytes(), emoji.key, caption_of(emoji.name)}
        if seen.isdisjoint(marks):
            kept.append((emoji, picture))
            seen |= marks
    return kept


def choose(rendered: list[tuple[Emoji, Image.Image]], count: int) -> list[tuple[Emoji, Image.Image]]:
    """At most `count`, tier by tier; from a tier which does not fit, evenly spread picks."""
    chosen: list[tuple[Emoji, Image.Image]] = []
    for tier in (PLAIN, FLAG, GENDER, SKIN_TONE):
        group = sorted((pair for pair in rendered if pair[0].tier == tier), key=lambda pair: pair[0].key)
        room = min(len(group), count - len(chosen), MOST_FLAGS if tier == FLAG else len(group))
        chosen += [group[index * len(group) // room] for index in range(room)]
    return chosen


def png_bytes(picture: Image.Image) -> bytes:
    """An RGB PNG without row filters: for pictures of few colours a third smaller than Pillow's."""
    pixels = np.asarray(picture)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    streams = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):
        packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
        streams.append(packer.compress(rows) + packer.flush())
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", min(streams, key=len)), (b"IEND", b""))
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def write_tar(samples: list[tuple[Emoji, Image.Image]], path: Path) -> None:
    """Members sorted by name, with no time, owner or machine in them."""
    members = {}
    for emoji, picture in samples:
        members[f"{emoji.key}.png"] = png_bytes(picture)
        members[f"{emoji.key}.txt"] = caption_of(emoji.name).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(members.items()):
            member = tarfile.TarInfo(name)  # mtime, uid and gid are 0, the mode is 0644
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the sample dataset from the Noto Color Emoji font.")
    parser.add_argument("--font", type=Path, default=FONT, help="NotoColorEmoji.ttf (bitmaps, CBDT)")
    parser.add_argument("--names", type=Path, default=NAMES, help="Unicode's emoji-test.txt")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="tar to write")
    parser.add_argument("--count", type=int, default=COUNT, help="number of samples")
    arguments = parser.parse_args()
    if arguments.count < 1:
        parser.error(f"--count {arguments.count}: at least 1")
    for option, path, package in (
        ("font", arguments.font, "fonts-noto-color-emoji"),
        ("names", arguments.names, "unicode-data"),
    ):
        if not path.is_file():
            sys.exit(f"--{option} {path}: no such file\nGive another, or run: apt-get install {package}")
    try:
        font = load_font(arguments.font)
    except OSError as error:
        sys.exit(f"cannot load {arguments.font} at its bitmap size {STRIKE}: {error}\nGive the CBDT version.")
    samples = choose(render_all(read_names(arguments.names), font), arguments.count)
    if not samples:
        sys.exit(f"{arguments.font} draws none of the emoji in {arguments.names}\nCheck --font and --names.")
    write_tar(samples, arguments.output)
    print(f"{arguments.output}: {len(samples)} samples, {arguments.output.stat().st_size / 2**20:.1f} MiB")
    if len(samples) < arguments.count:
        print(f"fewer than --count {arguments.count}; RAQM for sequences: {features.check('raqm')}")


if __name__ == "__main__":
    main()
