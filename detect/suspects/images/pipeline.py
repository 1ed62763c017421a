"""A suspect that diffusers can run."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detect.suspects.images.folder import native_size
from detect.suspects.images.memory import (
    SMALL,
    batch_for,
    decode_apart,
    device_memory,
    place,
    weights_size,
)
from detect.suspects.images.opening import Opened
from detect.suspects.images.sampling import Proposal, arguments, propose
from detect.suspects.images.settings import Offload
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.suspects.images.weights import first_line
from detect.suspects.images.windows import reaches, windows
from protect.errors import SuspectError

VERSIONS = ("torch", "diffusers", "transformers", "peft")


class PipelineSuspect(Suspect):
    """A diffusers pipeline, opened strictly.

    Args:
        opened: the model, on the CPU.
        device: where to sample, as torch names it.
        dtype: precision in which it was opened.
        offload: what waits in main memory while it draws (`memory.Offload`).
        batch: pictures drawn together; chosen by the device's memory if None.
    """

    def __init__(
        self,
        opened: Opened,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        offload: str = Offload.none,
        batch: int | None = None,
    ) -> None:
        self.name = opened.name
        self.notes = opened.notes
        """What a reader must know of how it was opened."""
        self.headers = opened.headers
        """What its adapters say of themselves, by name."""
        self.proposal: Proposal | None = propose(opened.pipeline, opened.name.split(" + "))
        """Steps and guidance that it was made for, if it is distilled."""
        self.windows = windows(opened.pipeline)
        """Of each text encoder, how many tokens of a prompt it reads at most."""
        self._weights = 0 if offload != Offload.none else weights_size(opened.pipeline)
        self._pipeline = place(opened.pipeline, device, offload)
        self._device, self._dtype, self._batch = device, dtype, batch
        self.identity = opened.identity | _settings(self._pipeline, device, dtype)

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """Pictures for `queries`, all of one size.

        Every query has its own generator, so its picture depends on the others by rounding at most.

        Raises:
            SuspectError: if the pipeline fails or its outputs are not finite.
        """
        if not queries:
            raise SuspectError("no queries to answer", "Plan at least one query.")
        side = sampler.size or native_size(self._pipeline) or SMALL + 1
        size = self._batch or batch_for(side, self._dtype, device_memory(self._device), self._weights)
        decode_apart(self._pipeline, side)
        return [Answer(picture) for batch in _batches(queries, size) for picture in self._draw(batch, sampler)]

    def characters_read(self, prompt: str) -> int | None:
        """The longest reach of its text encoders (see `Suspect.characters_read`)."""
        found = list(reaches(self._pipeline, prompt).values())
        known = [reach for reach in found if reach is not None]
        return max(known) if known and len(known) == len(found) else None

    def _draw(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        """One batch, uint8 (n, height, width, 3)."""
        settings = arguments(self._pipeline, sampler, len(queries))
        try:
            with silenced_libraries(), torch.inference_mode():
                images = self._pipeline(
                    prompt=[query.prompt for query in queries],
                    generator=[torch.Generator("cpu").manual_seed(query.seed) for query in queries],
                    **settings,
                ).images
        except Exception as error:
            hint = "the memory of the device (--batch 1, --offload model)"
            raise SuspectError(
                f"{self.name} failed on {len(queries)} queries ({first_line(error)})",
                f"Check the sampler's size and steps, and {hint}.",
            ) from error
        if not np.isfinite(images).all():
            raise SuspectError(
                f"{self.name} returned NaN pixels among {len(queries)} outputs",
                "It overflows in half precision: try --dtype float32 or bfloat16.",
            )
        return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def _batches(queries: Sequence[Query], size: int) -> Iterator[Sequence[Query]]:
    return (queries[start : start + size] for start in range(0, len(queries), size))


def _settings(pipeline: Any, device: str, dtype: torch.dtype) -> dict[str, str]:
    """Pipeline class, scheduler, device, precision and library versions."""
    scheduler = {k: v for k, v in pipeline.scheduler.config.items() if k not in ("_name_or_path", "_diffusers_version")}
    scheduler["_class_name"] = type(pipeline.scheduler).__name__
    return {
        "pipeline": type(pipeline).__name__,
        "scheduler": json.dumps(scheduler, sort_keys=True, default=str),
        "device": torch.device(device).type,
        "precision": str(dtype).removeprefix("torch."),
    } | {name: importlib.metadata.version(name) for name in VERSIONS}
