"""Metadata that would betray a changed picture or break with it: such a file is set aside."""

from __future__ import annotations

C2PA = "signed content credentials (C2PA) would break"
_CREDENTIALS = (b"dcterms:provenance", b"c2pa.claim", b"cai-manifests")
_XMP_PICTURES = {
    b"xmpGImg:image": "a thumbnail in its XMP data cannot be replaced",
    b"GImage:Data": "a second picture in its XMP data",
}


def xmp_obstacle(xmp: bytes) -> str | None:
    """Why XMP data cannot stay with other pixels, or None."""
    if any(name in xmp for name in _CREDENTIALS):
        return C2PA
    return next((reason for name, reason in _XMP_PICTURES.items() if name in xmp), None)


def tail_obstacle(tail: bytes) -> str | None:
    """Why the bytes after a picture's end cannot stay, or None: a video or another picture shows the old pixels."""
    if b"ftyp" in tail:
        return "a video after its end shows the unchanged picture"
    if any(signature in tail for signature in (b"\xff\xd8\xff", b"\x89PNG\r\n", b"WEBPVP8")):
        return "a second picture after its end"
    if b"PK\x03\x04" in tail:
        return "an archive after its end"
    return None
