"""One component of a pipeline, built from a single file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.foreign import loading_error
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line, some
from protect.errors import SuspectError

WHOLE = "model.diffusion_model."
"""What stands before a denoiser's names in a checkpoint."""


def in_precision(module: Any, dtype: torch.dtype) -> Any:
    """A component in a precision, but for the layers that its library keeps in float32 where 16 bits are asked for."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or []
    for name, tensor in module.named_parameters():
        exempt = dtype != torch.float32 and any(part in kept for part in name.split("."))
        tensor.data = tensor.data.to(torch.float32 if exempt else dtype)
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.to(dtype)
    return module.eval()


def build_component(path: Path, base: Path, name: str, part: Sequence[str], tensors: Mapping[str, Tensor]) -> Any:
    """One component from a single file, in its own precision, converted by diffusers.

    Args:
        path: the file, for messages.
        base: the diffusers folder that brings the configuration.
        name: of the component.
        part: library and class, as in the base's index.
        tensors: the whole file.

    Returns:
        The component; None, or the base's own, where the file has nothing of it.

    Raises:
        SuspectError: if the file does not fit the base.
    """
    from diffusers import pipelines
    from diffusers.loaders.single_file import load_single_file_sub_model
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    load: Any = load_single_file_sub_model  # untyped
    options: dict[str, Any] = {
        "library_name": part[0],
        "class_name": part[1],
        "name": name,
        "pipelines": pipelines,
        "is_pipeline_module": hasattr(pipelines, part[0]),
        "cached_model_config_path": str(base),
        "local_files_only": True,
    }
    try:
        with silenced_libraries():
            if plain := _without_converter(base, name, part, tensors):
                return plain
            return load(checkpoint=dict(tensors), **options)
    except SingleFileComponentError:
        return None
    except NotImplementedError as error:  # some weights were never given a value
        lost = _missing(base, name, part, tensors)
        raise SuspectError(
            f"{path} lacks {len(lost)} weights of {base / name}: {some(lost)}",
            "The file is incomplete, or made for another base: give a --base of the same family.",
        ) from error
    except Exception as error:
        if isinstance(error, ImportError | MemoryError):
            raise loading_error(path, error) from error
        raise SuspectError(
            f"{path} does not fit {base / name} ({first_line(error)})",
            "Give a --base of the same family: it brings the configuration.",
        ) from error


def _missing(base: Path, name: str, part: Sequence[str], tensors: Mapping[str, Tensor]) -> list[str]:
    """Weights of a component that diffusers' converter does not find in a file."""
    import diffusers
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    kind: Any = getattr(diffusers, part[1])
    config = kind.load_config(str(base), subfolder=name, local_files_only=True)
    classes: Any = SINGLE_FILE_LOADABLE_CLASSES  # untyped
    convert = classes[part[1]]["checkpoint_mapping_fn"]
    return sorted(_empty(kind, config).state_dict().keys() - convert(config=config, checkpoint=dict(tensors)).keys())


def _empty(kind: Any, config: Any) -> Any:
    """A component without weights."""
    from accelerate import init_empty_weights  # type: ignore[import-untyped]

    with init_empty_weights():
        return kind.from_config(config)


def _without_converter(base: Path, name: str, part: Sequence[str], tensors: Mapping[str, Tensor]) -> Any:
    """A component whose weights have diffusers' own names already; None if they have not."""
    import diffusers

    kind = getattr(diffusers, part[1], None) if part[0] == "diffusers" else None
    if kind is None:
        return None
    module = _empty(kind, kind.load_config(str(base), subfolder=name, local_files_only=True))
    named = {key.removeprefix(WHOLE): tensor for key, tensor in tensors.items()}
    own = {key: named[key] for key in module.state_dict() if key in named}
    if len(own) < len(module.state_dict()):
        return None
    module.load_state_dict(own, strict=True, assign=True)
    return module
