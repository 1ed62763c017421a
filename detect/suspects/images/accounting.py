"""Every weight of a model traced to a file.

diffusers and transformers fill weights that a file lacks with random numbers and only log it. A suspect
loaded like that has forgotten its training and would be acquitted, so every tensor is traced to a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from detect.suspects.images.weights import read_names, read_tensors, some
from protect.errors import SuspectError

_DRAWING = ("unet", "transformer", "vae")
"""Components whose files hold nothing else. A text encoder's may hold a whole model of text and pictures."""
_PICKED = 8
"""Values that tell one row of a matrix from another."""


def check_filled(folder: Path, name: str, module: torch.nn.Module, files: Sequence[Path]) -> None:
    """Raise SuspectError if a weight of `module` was not read from `files` (it would be random), or is not finite."""
    state = module.state_dict()
    lost, unclaimed, unused = _unfilled(state, files)
    adapter = any("base_layer" in key or ".lora_" in key for key in unclaimed)
    if adapter and not lost:
        raise SuspectError(
            f"{folder / name} holds LoRA weights that would not be applied: {some(unclaimed)}",
            "Call fuse_lora() and unload_lora_weights(), then save again.",
        )
    if lost:
        raise SuspectError(
            f"{folder / name} lacks {len(lost)} of {len(state)} weights, which would be random: {some(lost)}",
            "It was saved with a LoRA attached: call fuse_lora() and unload_lora_weights(), then save again."
            if adapter
            else "Download or export it again.",
        )
    if unused and name in _DRAWING:
        raise SuspectError(
            f"{folder / name}: {len(unused)} tensors of its files would not be used: {some(unused)}",
            "Its configuration is another model's, or something was packed in: export it again.",
        )
    check_finite(folder / name, state)


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise SuspectError if any value is NaN or infinite."""
    broken = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not _is_finite(tensor)]
    if broken:
        raise SuspectError(
            f"{path}: {len(broken)} of {len(tensors)} tensors hold NaN or infinite values: {some(broken)}",
            "The training broke down, or the file is damaged: ask for another one.",
        )


def _is_finite(tensor: Tensor) -> bool:
    if tensor.element_size() < 2:  # eight bits: no such operation
        tensor = tensor.float()
    return bool(tensor.isfinite().all())


def fingerprint(tensor: Tensor, dtype: torch.dtype | None = None) -> tuple[int, bytes]:
    """Size and about 64 evenly spaced values; equal for the same weights at another shape or name.

    Args:
        tensor: any tensor.
        dtype: the precision it is rounded to before; its own if None.
    """
    flat = tensor.detach().reshape(-1)
    picked = flat[:: max(1, flat.numel() // 64)].to(dtype).float().cpu()
    return flat.numel(), picked.numpy().tobytes()


def _unfilled(state: Mapping[str, Tensor], files: Sequence[Path]) -> tuple[list[str], list[str], list[str]]:
    """Loaded names whose values come from no file, file names that no loaded name claims, and those of no use at all.

    Names alone would refuse sound models: the libraries rename old checkpoints while loading, and tie
    weights. So a name absent from the files passes if its values are found there under an unclaimed name.
    """
    stored = {name: path for path in files for name in read_names(path)}
    spare_names = [name for name in stored if name not in state]
    dtypes = {tensor.dtype for name, tensor in state.items() if name not in stored and tensor.is_floating_point()}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    spare: dict[tuple[int, bytes], list[str]] = {}
    for path in files:
        for name, tensor in read_tensors(path, [n for n in spare_names if stored[n] == path]).items():
            spare.setdefault(fingerprint(tensor, dtype if tensor.is_floating_point() else None), []).append(name)
    filled = {tensor.data_ptr() for name, tensor in state.items() if name in stored and not tensor.is_meta}
    lost = []
    for name, tensor in state.items():
        if tensor.is_meta:  # never given any value
            lost.append(name)
        elif name in stored or tensor.data_ptr() in filled:
            continue
        elif names := spare.get(fingerprint(tensor)):
            names.pop()
            filled.add(tensor.data_ptr())
        else:
            lost.append(name)
    return lost, spare_names, [name for names in spare.values() for name in names]


class Rows:
    """The rows of many tensors, counted by a few of their values: converters move and split rows, and rename them.

    Vectors count as rows of one value each.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._counts: Counter[int] = Counter()
        for tensor in tensors:
            self._counts.update(_marks(tensor).tolist())

    def take(self, tensor: Tensor) -> bool:
        """Take the rows of a tensor away, or those of its transpose; False, and nothing taken, if some are missing."""
        turns = [tensor, tensor.T] if tensor.ndim == 2 else [tensor]
        for turned in turns:
            wanted = Counter(_marks(turned).tolist())
            if all(self._counts[mark] >= number for mark, number in wanted.items()):
                self._counts.subtract(wanted)
                return True
        return False


def _marks(tensor: Tensor) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """One number for each row, from its width and some of its values."""
    if tensor.numel() == 0:
        return np.zeros(0, dtype=np.uint64)
    rows = tensor.detach().reshape(len(tensor) if tensor.ndim else 1, -1)
    picked = rows[:, torch.linspace(0, rows.shape[1] - 1, min(_PICKED, rows.shape[1])).round().long()]
    values = (
        np.ascontiguousarray(picked.float().cpu().numpy() + np.float32(0)).view(np.uint32).astype(np.uint64)
    )  # no -0
    factors = np.random.default_rng(rows.shape[1]).integers(1, 2**63, values.shape[1], dtype=np.uint64) * 2 + 1
    marks: np.ndarray[tuple[int], np.dtype[np.uint64]] = (values * factors).sum(1, dtype=np.uint64)
    return marks
