"""What a container is: a file format whose pictures can be written back with other pixels, all else kept."""

from __future__ import annotations

from abc import ABC, abstractmethod

from PIL import Image

from protect.pixels.decode import Pixels
from protect.pixels.orientation import orientation_of


class Container(ABC):
    """A file format; one file each. Its docstring says what a rewritten file keeps and what changes."""

    names: frozenset[str]
    """The format's names in Pillow."""
    turned_by_pillow: bool = False
    """Whether Pillow itself turns pictures upright and gives their size so."""
    many_frames: bool = False
    """Whether it looks itself at files which, for Pillow, hold several pictures; else they are set aside."""

    @abstractmethod
    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """Why this file cannot be written back with other pixels, or None. Need not decode the picture.

        Args:
            data: the file.
            image: the file opened by Pillow, its pixels not loaded.

        Raises:
            PictureError: if the file is damaged.
        """

    @abstractmethod
    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """The file with other pixels.

        Args:
            data: a file without obstacle.
            pixels: RGBA as stored (not upright), shape (H, W, 4), contiguous.
        """

    def orientation(self, data: bytes, image: Image.Image) -> int:
        """How the stored pixels must be turned to stand upright (1 to 8). Asked before they are loaded."""
        return orientation_of(image)
