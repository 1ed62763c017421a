"""Coding new pixels the way a JPEG was coded, inside its own segments.

Kept byte for byte: every segment of the header but Huffman tables. So quantisation tables, sampling, names of
components and restart intervals stay. Huffman tables stay if they are the standard ones; otherwise they are made to
measure again, in segments arranged as before. A progressive file stays progressive, with libjpeg's sequence of scans.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, JpegImagePlugin

from protect.pixels.containers.jpeg_segments import APP0, DHT, DQT, DRI, SOS, JpegFile, Segment, markers, parse
from protect.pixels.decode import Pixels
from protect.pixels.error import PictureError

_ADOBE = 0xEE
_PROGRESSIVE = 2
_SAMPLINGS = {((1, 1), (1, 1), (1, 1)): 0, ((2, 1), (1, 1), (1, 1)): 1, ((2, 2), (1, 1), (1, 1)): 2}
Tables = dict[int, bytes]
"""Huffman tables by class and number, as in the file."""


def coding_obstacle(file: JpegFile) -> str | None:
    """Why this way of coding cannot be used again, or None.

    Raises:
        PictureError: if the file is damaged.
    """
    frame = file.frame
    if frame.kind > _PROGRESSIVE:
        return "a lossless, hierarchical or arithmetic-coded JPEG cannot be written back"
    if frame.depth != 8:
        return f"a JPEG of {frame.depth} bits cannot be written back"
    if len(frame.components) == 4:
        return "CMYK colours cannot be written back"
    if len(frame.components) not in (1, 3):
        return f"a JPEG of {len(frame.components)} components cannot be written back"
    if len(frame.components) == 3 and _sampling(file) is None:
        sampling = " ".join(f"{across}x{down}" for _, across, down, _ in frame.components)
        return f"colour sampling {sampling} cannot be written back"
    if _is_rgb(file) and _sampling(file) != 0:
        return "RGB colours of less resolution cannot be written back"
    late = {marker for marker, _ in markers(file.scans)} & {DQT, DRI, *range(APP0, 0xF0), 0xFE}
    return "segments between its scans would be lost" if late else None


def recoded(file: JpegFile, pixels: Pixels) -> JpegFile:
    """The file with other pixels; its metadata stay.

    Args:
        file: a file without obstacle.
        pixels: RGB or RGBA as stored, shape (H, W, 3 or 4), contiguous; opacity is dropped.
    """
    new = parse(_encoded(file, pixels))
    scans = _renamed(new.scans, [component[0] for component in file.frame.components])
    header = _with_tables(file.header, [s for s in new.header if s.marker == DHT])
    return JpegFile(tuple(header), scans, file.tail)


def _encoded(file: JpegFile, pixels: Pixels) -> bytes:
    frame = file.frame
    colour = len(frame.components) == 3
    tables = _quantisation(file)
    options: dict[str, object] = {
        "qtables": [tables[component[3]] for component in frame.components],
        "progressive": frame.kind == _PROGRESSIVE,
        "optimize": not _standard_tables_only(file),
        "restart_marker_blocks": _restart_interval(file),
        "keep_rgb": _is_rgb(file),
        "comment": b"",
    }
    if colour:
        options["subsampling"] = _sampling(file)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB" if colour else "L").save(buffer, format="JPEG", **options)
    return buffer.getvalue()


def _quantisation(file: JpegFile) -> dict[int, list[int]]:
    """Quantisation tables by number, 64 entries row by row."""
    tables: dict[int, list[int]] = {}
    for segment in file.header:
        content = segment.content if segment.marker == DQT else b""
        while content:
            width = 2 if content[0] >> 4 else 1
            entries = np.frombuffer(content[1 : 1 + 64 * width], dtype=">u2" if width == 2 else np.uint8)
            if len(entries) != 64:
                raise PictureError("cannot be decoded (damaged quantisation table)")
            tables[content[0] & 15] = entries[list(JpegImagePlugin.zigzag_index)].tolist()
            content = content[1 + 64 * width :]
    return tables


def _sampling(file: JpegFile) -> int | None:
    """Pillow's number for the sampling of a colour picture; None if it has none."""
    return _SAMPLINGS.get(tuple((across, down) for _, across, down, _ in file.frame.components))  # type: ignore[arg-type]


def _is_rgb(file: JpegFile) -> bool:
    """Whether three components are red, green and blue, by the rules of libjpeg."""
    names = [component[0] for component in file.frame.components]
    if len(names) != 3 or any(s.marker == APP0 and s.content.startswith(b"JFIF\0") for s in file.header):
        return False
    for segment in file.header:
        if segment.marker == _ADOBE and segment.content.startswith(b"Adobe") and len(segment.content) >= 12:
            return segment.content[11] == 0
    return bytes(names) == b"RGB"


def _restart_interval(file: JpegFile) -> int:
    intervals = [int.from_bytes(s.content[:2], "big") for s in file.header if s.marker == DRI]
    return intervals[-1] if intervals else 0


def _standard_tables_only(file: JpegFile) -> bool:
    if file.frame.kind == _PROGRESSIVE:
        return False
    return all(_standard_tables().get(name) == table for s in file.header for name, table in _tables(s))


@cache
def _standard_tables() -> Tables:
    """The Huffman tables of T.81, annex K, from a file of Pillow that is not optimised."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="JPEG")
    return dict(pair for segment in parse(buffer.getvalue()).header for pair in _tables(segment))


def _tables(segment: Segment) -> list[tuple[int, bytes]]:
    """The tables of a segment by class and number; none if it holds no tables."""
    content = segment.content if segment.marker == DHT else b""
    found = []
    while len(content) >= 17:
        end = 17 + sum(content[1:17])
        found.append((content[0], content[1:end]))
        content = content[end:]
    return found


def _with_tables(header: Sequence[Segment], new: list[Segment]) -> list[Segment]:
    """The header with new Huffman tables: arranged as before where there are as many, else as they come."""
    tables = dict(pair for segment in new for pair in _tables(segment))
    before = [[name for name, _ in _tables(s)] for s in header if s.marker == DHT]
    if sorted(name for names in before for name in names) == sorted(tables):
        arranged = iter([Segment(DHT, b"".join(bytes((n,)) + tables[n] for n in names)) for names in before])
        return [next(arranged) if s.marker == DHT else s for s in header]
    place = next((i for i, s in enumerate(header) if s.marker == DHT), len(header))
    return [*header[:place], *new, *(s for s in header[place:] if s.marker != DHT)]


def _renamed(scans: bytes, names: Sequence[int]) -> bytes:
    """Scans of libjpeg whose components (1, 2, 3 or R, G, B) have the names of the original's."""
    changed = bytearray(scans)
    places = {1: 0, 2: 1, 3: 2} | dict(zip(b"RGB", range(3), strict=True))
    for marker, position in markers(scans):
        if marker == SOS:
            for i in range(scans[position + 2]):
                at = position + 3 + 2 * i
                changed[at] = names[places[scans[at]]]
    return bytes(changed)
