"""Fine-tunings in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from detect.training.options import FinetuneOptions
from detect.training.side_by_side import train_side_by_side
from protect.errors import SuspectError
from tests.support.datasets import make_folder


def test_an_error_crosses_the_process_in_its_two_lines(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 5)
    done = tmp_path / "done"
    done.mkdir()
    with pytest.raises(SuspectError) as caught:
        train_side_by_side(
            tmp_path / "no-base",
            {done: dataset, tmp_path / "out": dataset},
            FinetuneOptions(steps=1),
            "cpu",
        )
    assert caught.value.what and caught.value.advice and not (tmp_path / "out").exists()
