"""Texts inside a picture file that may repeat its caption, and so tell what it was before it changed."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from protect.pixels.decode import opened
from protect.pixels.error import PictureError

_EXIF_TEXTS = {
    0x010E: "ImageDescription",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9E: "XPKeywords",
    0x9C9F: "XPSubject",
}
_USER_COMMENT = 0x9286
_CHARSETS = {b"ASCII\0\0\0": "ascii", b"UNICODE\0": "utf-16", b"JIS\0\0\0\0\0": "iso2022_jp", b"\0" * 8: "utf-8"}
_IPTC_TEXTS = {(2, 120): "caption", (2, 105): "headline", (2, 5): "title", (2, 25): "keywords"}
_XMP_TEXTS = {
    "{http://purl.org/dc/elements/1.1/}description": "dc:description",
    "{http://purl.org/dc/elements/1.1/}title": "dc:title",
    "{http://purl.org/dc/elements/1.1/}subject": "dc:subject",
    "{http://ns.adobe.com/photoshop/1.0/}Headline": "photoshop:Headline",
    "{http://ns.adobe.com/exif/1.0/}UserComment": "exif:UserComment",
}
_COMMENTED = ("jpeg", "mpo", "gif", "jpeg2000")
"""Formats whose files have comments."""
EXAMPLES = ("exif:ImageDescription", "png:parameters", "xmp:dc:description")
"""Names of fields, for people."""
_NAMES = frozenset(
    [
        *(f"exif:{name}" for name in (*_EXIF_TEXTS.values(), "UserComment")),
        *(f"xmp:{name}" for name in _XMP_TEXTS.values()),
        *(f"iptc:{name}" for name in _IPTC_TEXTS.values()),
        *(f"{form}:comment" for form in _COMMENTED),
    ]
)
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
_LONGEST = 1 << 22
"""Bytes of XMP data that are looked into."""


def embedded_captions(data: bytes) -> dict[str, str]:
    """Find the texts of a picture file.

    Args:
        data: the file's bytes; anything may come.

    Returns:
        Texts by field, such as "png:parameters", "exif:UserComment", "xmp:dc:description", "iptc:caption",
        "jpeg:comment"; none empty. Nothing for what is no picture or cannot be read.
    """
    try:
        with opened(data) as image:
            if image.format == "PNG":
                image.load()  # texts may stand behind the picture
            texts = [*_comments(image), *_exif(image), *_xmp(image), *_iptc(image)]
    except PictureError:
        return {}
    return {field: text for field, text in texts if text}


def is_embedded_name(field: str) -> bool:
    """Whether a picture file may have a text that is called so; PNG files may call theirs anything.

    >>> is_embedded_name("exif:UserComment"), is_embedded_name("png:prompt"), is_embedded_name("exif:Description")
    (True, True, False)
    """
    return field in _NAMES or (field.startswith("png:") and field != "png:")


def _comments(image: Image.Image) -> Iterator[tuple[str, str]]:
    """Text chunks of PNG, comments of JPEG and GIF."""
    for name, text in (getattr(image, "text", None) or {}).items():
        if name not in _XMP_KEYS:
            yield f"png:{name}", _mended(str(text))
    comment = image.info.get("comment")
    if isinstance(comment, bytes):
        yield f"{(image.format or '').lower()}:comment", _decoded(comment, "utf-8")


def _exif(image: Image.Image) -> Iterator[tuple[str, str]]:
    try:
        exif = image.getexif()
        values = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
    except Exception:  # metadata may be broken in any way
        return
    for tag, name in _EXIF_TEXTS.items():
        value = values.get(tag)
        if isinstance(value, (tuple, list)) and all(isinstance(n, int) and 0 <= n < 256 for n in value):
            value = bytes(value)
        if isinstance(value, bytes):
            value = _decoded(value, "utf-16-le" if name.startswith("XP") else "utf-8")
        if isinstance(value, str):
            yield f"exif:{name}", _mended(value)
    comment = values.get(_USER_COMMENT)
    if isinstance(comment, str):
        yield "exif:UserComment", _mended(comment)
    elif isinstance(comment, bytes):
        yield "exif:UserComment", _user_comment(comment)


def _user_comment(value: bytes) -> str:
    """The text after eight bytes that name its letters; programs write either order of bytes in UTF-16."""
    charset = _CHARSETS.get(value[:8])
    if charset is None:
        return _decoded(value, "utf-8")
    text = value[8:]
    if charset == "utf-16" and text[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        charset = "utf-16-be" if text[::2].count(0) > text[1::2].count(0) else "utf-16-le"
    return _decoded(text, charset)


def _xmp(image: Image.Image) -> Iterator[tuple[str, str]]:
    value = next((image.info[key] for key in _XMP_KEYS if image.info.get(key)), b"")
    xmp = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)
    if len(xmp) > _LONGEST or b"<!ENTITY" in xmp:
        return
    try:
        root = ElementTree.fromstring(xmp.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return
    for element in root.iter():
        if name := _XMP_TEXTS.get(element.tag):
            yield f"xmp:{name}", ", ".join(part.strip() for part in element.itertext() if part.strip())
        for tag, text in element.attrib.items():
            if name := _XMP_TEXTS.get(tag):
                yield f"xmp:{name}", text.strip()


def _iptc(image: ImageFile.ImageFile) -> Iterator[tuple[str, str]]:
    try:
        values = IptcImagePlugin.getiptcinfo(image) or {}
    except Exception:  # metadata may be broken in any way
        return
    for tag, name in _IPTC_TEXTS.items():
        found = values.get(tag, b"")
        parts = found if isinstance(found, list) else [found]
        yield f"iptc:{name}", ", ".join(_decoded(part, "utf-8") for part in parts if part)


def _mended(text: str) -> str:
    """UTF-8 that Pillow took for Latin-1, as the standards say and few programs write."""
    with contextlib.suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    return text.strip("\0 \r\n\t")


def _decoded(value: bytes, charset: str) -> str:
    try:
        text = value.decode(charset)
    except UnicodeDecodeError:
        text = value.decode("utf-8" if charset.startswith("utf-16") else "latin-1", "replace")
    return text.strip("\0 \r\n\t\ufeff")
