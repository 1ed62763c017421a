"""The tiny model that attacks are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.models import build


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion of random weights; never written to."""
    return build(tmp_path_factory.mktemp("model") / "tiny")
