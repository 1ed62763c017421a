from __future__ import annotations

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from protect.pixels.captions import EXAMPLES, embedded_captions, is_embedded_name
from protect.pixels.picture import rewrite
from tests.protect.pixels.pictures import file_of, jpeg_with, painted, photo

XMP = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
    "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'>"
    "<rdf:Description photoshop:Headline='a headline'>"
    "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>a caption &amp; more 盒子</rdf:li></rdf:Alt>"
    "</dc:description>"
    "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>a title</rdf:li></rdf:Alt></dc:title>"
    "<dc:subject><rdf:Bag><rdf:li>box</rdf:li><rdf:li>red</rdf:li></rdf:Bag></dc:subject>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
FROM_XMP = {
    "xmp:dc:description": "a caption & more 盒子",
    "xmp:dc:title": "a title",
    "xmp:dc:subject": "box, red",
    "xmp:photoshop:Headline": "a headline",
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_xmp_texts_are_found_in_every_format(form: str) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP)
    options = {"PNG": {"pnginfo": texts}, "TIFF": {"tiffinfo": {700: XMP.encode()}}}.get(form, {"xmp": XMP.encode()})
    assert embedded_captions(file_of(photo(), form, **options)) == FROM_XMP
    assert all(map(is_embedded_name, FROM_XMP))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_exif_texts_are_found_in_every_format(form: str) -> None:
    exif = Image.Exif()
    description = "a caption" if form == "TIFF" else "a caption, 盒子"  # Pillow writes no other letters to TIFF
    exif[0x010E] = description.encode()
    exif[0x9C9C] = "a comment".encode("utf-16-le") + b"\0\0"
    exif[0x9C9B] = "盒子".encode("utf-16-le")
    exif.get_ifd(ExifTags.IFD.Exif)[0x9286] = b"ASCII\0\0\0prompt, steps: 20"
    data = file_of(photo(), form, exif=exif.tobytes())
    found = embedded_captions(data)
    assert all(map(is_embedded_name, found))
    assert {name: text for name, text in found.items() if name.startswith("exif:")} == {
        "exif:ImageDescription": description,
        "exif:XPComment": "a comment",
        "exif:XPTitle": "盒子",
        "exif:UserComment": "prompt, steps: 20",
    }


@pytest.mark.parametrize("charset", ["utf-16-be", "utf-16-le", "utf-16"])
def test_user_comments_are_read_in_either_order_of_bytes(charset: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[0x9286] = b"UNICODE\0" + "a red box".encode(charset)
    assert embedded_captions(file_of(photo(), "WEBP", exif=exif)) == {"exif:UserComment": "a red box"}


def test_texts_of_png_are_found_before_and_behind_the_picture() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a red box\nSteps: 20")
    texts.add_text("prompt", '{"text": "a red box"}', zip=True)
    texts.add_itxt("Title", "盒子", "zh", "题")
    texts.add(b"tEXt", b"Late\0behind", after_idat=True)
    assert embedded_captions(file_of(photo(), "PNG", pnginfo=texts)) == {
        "png:parameters": "a red box\nSteps: 20",
        "png:prompt": '{"text": "a red box"}',
        "png:Title": "盒子",
        "png:Late": "behind",
    }


def test_iptc_and_comments_are_found() -> None:
    iptc = b"\x1c\x02\x78\0\x09a caption\x1c\x02\x69\0\x0aa headline\x1c\x02\x19\0\3box\x1c\x02\x19\0\3red"
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc + b"\0" * (len(iptc) % 2)
    data = jpeg_with(file_of(photo(), "JPEG", comment=b"a comment"), (0xED, block))
    expected = {
        "iptc:caption": "a caption",
        "iptc:headline": "a headline",
        "iptc:keywords": "box, red",
        "jpeg:comment": "a comment",
    }
    assert all(map(is_embedded_name, (*expected, "gif:comment", *EXAMPLES)))
    assert embedded_captions(data) == expected == embedded_captions(rewrite(data, painted(data)))
    assert embedded_captions(file_of(photo().quantize(9), "GIF", comment=b"moving")) == {"gif:comment": "moving"}


@pytest.mark.parametrize("name", ["", "text", "png:", "exif:imagedescription", "exif:Artist", "bmp:comment", "XMP"])
def test_names_that_no_text_inside_a_picture_has(name: str) -> None:
    assert not is_embedded_name(name)


def test_what_cannot_be_read_gives_nothing() -> None:
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>"
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", bomb)
    assert embedded_captions(file_of(photo(), "PNG", pnginfo=texts)) == {}
    assert embedded_captions(file_of(photo(), "WEBP", xmp=b"<x")) == {}
    assert embedded_captions(file_of(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")) == {}
    assert embedded_captions(b"hello") == embedded_captions(b"") == {}
