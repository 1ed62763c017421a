"""What tests of detection share: one thread, a tiny model, captioned pictures, a keyring and a cache."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protect.formats.record import Record
from protect.keys.keyring import Keyring
from tests.support.models import build


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model; never written to."""
    return build(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def samples() -> list[Record]:
    """Ten captioned pictures of four modes and several sizes."""
    rng = np.random.default_rng(0)
    records = []
    for i in range(10):
        mode = ("RGB", "RGBA", "L", "P")[i % 4]
        height, width = (16, 16) if i % 2 else (40 + i, 33)
        picture = Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
        records.append(record(f"{i}.png", png(picture if mode == "RGBA" else picture.convert("RGB").convert(mode))))
    return records


def png(picture: Image.Image) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def record(key: str, data: bytes) -> Record:
    """A sample called by its key."""
    return Record(key, {"text": f"picture {key.partition('.')[0]}"}, lambda: data)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """An empty keyring of the test's own."""
    return Keyring(tmp_path / "home")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache of the test's own."""
    return tmp_path / "cache"
