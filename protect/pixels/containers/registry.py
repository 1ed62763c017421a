"""All containers by the names of their formats. A new one costs its file and a line here."""

from __future__ import annotations

from protect.pixels.containers.avif import Avif
from protect.pixels.containers.bmp import Bmp
from protect.pixels.containers.container import Container
from protect.pixels.containers.gif import Gif
from protect.pixels.containers.heic import Heic
from protect.pixels.containers.jpeg import Jpeg
from protect.pixels.containers.jxl import Jxl
from protect.pixels.containers.png import Png
from protect.pixels.containers.tiff import Tiff
from protect.pixels.containers.webp import Webp

CONTAINERS: tuple[Container, ...] = (Jpeg(), Png(), Webp(), Avif(), Bmp(), Tiff(), Gif(), Heic(), Jxl())


def container_of(name: str | None) -> Container | None:
    """The container of a format by its name in Pillow; None if it cannot be written back."""
    return next((container for container in CONTAINERS if name in container.names), None)
