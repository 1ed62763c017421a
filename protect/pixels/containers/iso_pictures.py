"""AVIF and HEIC files: coding their picture anew.

Kept byte for byte: all boxes and items but those named here, so EXIF, XMP, ICC, colour primaries, turns, depth and gain
maps. Changed: the coded picture (its tiles, if it is a grid), its thumbnails, its opacity if that changes, the codec's
setting and the matrix of colours that belong to them; the thumbnail of EXIF. The quality is not written in such files:
it is the one that gives the original pixels the original size.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.containers.iso_boxes import ItemFile, parse
from protect.pixels.containers.iso_edits import with_parts
from protect.pixels.containers.iso_parts import (
    alpha_items,
    items_with_previews,
    layout_obstacle,
    metadata_obstacle,
    parts_of,
)
from protect.pixels.decode import Pixels, opened, rgba
from protect.pixels.error import PictureError
from protect.pixels.measure import psnr
from protect.pixels.metadata import C2PA
from protect.pixels.orientation import as_stored
from protect.pixels.quality import matching_quality

_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_SAMPLED_TILES = 4
_START = 60
_TRIAL_QUALITY = 90
_FAITHFUL = 28.0
"""Decibels that a trial must reach: below, colours went wrong."""
_SAME_COLOURS = 8
"""Bytes of `nclx` that name primaries and transfer; the matrix and the range follow."""


@dataclass(frozen=True, slots=True)
class _Coded:
    """What an encoder made of one picture."""

    content: bytes
    setting: bytes
    colours: bytes
    """Content of `nclx`, empty if there is none."""


class ItemContainer(Container):
    """A container of items with one codec."""

    codec: bytes
    """Kind of its coded items."""
    setting: bytes
    """Kind of the property with the codec's setting."""

    @abstractmethod
    def depth_obstacle(self, setting: bytes) -> str | None:
        """Why pictures with this setting of the codec cannot be coded again, or None."""

    @abstractmethod
    def encode(self, picture: Image.Image, quality: int, setting: bytes, *, quick: bool = False) -> bytes:
        """A file of one picture.

        Args:
            picture: RGB, or L for opacity.
            quality: 0 to 100.
            setting: the codec's setting of the item that is replaced, for its colour sampling.
            quick: whether speed matters more than size.
        """

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`. Codes the picture once, to see that its colours come back."""
        file = parse(data)
        if any(box.kind == b"uuid" and data.startswith(_C2PA_BOX, box.content) for box in file.top):
            return C2PA
        if any(box.kind == b"moov" for box in file.top):
            return "animated"
        if reason := layout_obstacle(file, (self.codec, self.setting)) or metadata_obstacle(file):
            return reason
        for part in parts_of(file, self.codec):
            if reason := self.depth_obstacle(self._setting_of(file, part.item)):
                return reason
        return self._trial_obstacle(data, file)

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        file = parse(data)
        before = self._decoded(data)
        parts = [part for part in parts_of(file, self.codec) if part.whole is None]
        sampled = parts[:: -(-len(parts) // _SAMPLED_TILES)]
        cuts = [(part.cut(before), self._setting_of(file, part.item)) for part in sampled]
        quality = matching_quality(
            lambda q: sum(len(self._coded(cut, q, setting).content) for cut, setting in cuts),
            sum(len(file.content(part.item)) for part in sampled),
            start=_START,
        )
        return self._rewritten(file, before, pixels, quality)

    def _decoded(self, data: bytes) -> Pixels:
        """The picture as stored."""
        with opened(data) as image:
            orientation = self.orientation(data, image) if self.turned_by_pillow else 1
            return np.ascontiguousarray(as_stored(rgba(image), orientation))

    def _trial_obstacle(self, data: bytes, file: ItemFile) -> str | None:
        before = self._decoded(data)
        after = self._decoded(self._rewritten(file, before, before, _TRIAL_QUALITY, quick=True))
        if before.shape != after.shape or psnr(before[..., :3], after[..., :3]) < _FAITHFUL:
            return "its colours do not come back when it is coded again"
        return None

    def _setting_of(self, file: ItemFile, item: int) -> bytes:
        return file.property_content(file.property_number(item, self.setting))

    def _coded(self, picture: Image.Image, quality: int, setting: bytes, *, quick: bool = False) -> _Coded:
        new = parse(self.encode(picture, quality, setting, quick=quick))
        colours = new.property_content(new.property_number(new.primary, b"colr", b"nclx"))
        return _Coded(new.content(new.primary), self._setting_of(new, new.primary), colours)

    def _rewritten(self, file: ItemFile, before: Pixels, pixels: Pixels, quality: int, *, quick: bool = False) -> bytes:
        """The file with `pixels`, RGBA as stored, where `before` were."""
        items = dict(items_with_previews(file, pixels))
        properties: dict[int, bytes] = {}
        for part in parts_of(file, self.codec):
            coded = self._coded(part.cut(pixels), quality, self._setting_of(file, part.item), quick=quick)
            self._put(file, part.item, coded, items, properties)
        if not np.array_equal(pixels[..., 3], before[..., 3]):
            opacity = Image.fromarray(np.ascontiguousarray(pixels[..., 3]))
            for number in alpha_items(file):
                coded = self._coded(opacity, 100, self._setting_of(file, number))
                self._put(file, number, coded, items, properties)
        return with_parts(file, items, properties)

    def _put(
        self, file: ItemFile, item: int, coded: _Coded, items: dict[int, bytes], properties: dict[int, bytes]
    ) -> None:
        """Note an item's new content, setting and colours, of which primaries and transfer stay."""
        items[item] = coded.content
        new = {file.property_number(item, self.setting): coded.setting}
        old = file.property_number(item, b"colr", b"nclx")
        if old and coded.colours:
            new[old] = file.property_content(old)[:_SAME_COLOURS] + coded.colours[_SAME_COLOURS:]
        for number, content in new.items():
            if properties.setdefault(number, content) != content:
                raise PictureError("pictures that share their setting cannot be written back")
