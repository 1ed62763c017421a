"""Weight files that are edited, renamed, and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from detect.suspects.images import Query, Sampler, load_suspect
from protect.errors import SuspectError

QUERIES = [Query(f"picture {i}", i) for i in range(5)]
SAMPLER = Sampler(steps=2)
UNET = "unet/diffusion_pytorch_model.safetensors"


def edit(
    path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], to: Path | None = None
) -> Path:
    """Rewrite a safetensors file through `change`."""
    target = to or path
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file({k: v.contiguous() for k, v in change(tensors).items()}, target, metadata={"format": "pt"})
    return target


def refusal(*args: object, **kwargs: object) -> str:
    """The message of load_suspect's refusal: two lines, the second an advice."""
    with pytest.raises(SuspectError) as caught:
        load_suspect(*args, **kwargs)  # type: ignore[arg-type]
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    return message
