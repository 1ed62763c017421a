"""The tiny model that attacks are tried on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.models import build


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion of random weights; never written to."""
    return build(tmp_path_factory.mktemp("model") / "tiny")
