"""What a LoRA file says of itself: base, trainer, pictures, words of its captions.

Trainers write it into the header of their files. It corroborates at best: anybody can write anything there, or nothing.
No number of a verdict depends on it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LONGEST = 200
"""Characters of a text that are kept."""
_MOST_TAGS = 2_000
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Header:
    """What an adapter's maker wrote into it; empty where nothing is said."""

    trainer: str = ""
    base: str = ""
    """Name of the model it was trained on."""
    base_hash: str = ""
    family: str = ""
    """Architecture of the base."""
    title: str = ""
    made: str = ""
    """When training began, or the file was written."""
    rank: str = ""
    steps: str = ""
    pictures: str = ""
    folders: tuple[str, ...] = ()
    """Names of the folders it learned from, with repeats and numbers of pictures where they are said."""
    trigger: str = ""
    comment: str = ""
    tags: tuple[tuple[str, int], ...] = ()
    """Captions or tags and how often they occurred, the most frequent first."""

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return self != Header()

    def rows(self) -> list[tuple[str, str]]:
        """What is said, for people: names and values."""
        tags = ", ".join(f"{tag} ({count})" for tag, count in self.tags[:_SHOWN]) + ", …" * (len(self.tags) > _SHOWN)
        rows = [
            ("title", self.title),
            ("trained by", self.trainer),
            ("base", " ".join(filter(None, (self.base, f"[{self.base_hash}]" if self.base_hash else "")))),
            ("architecture", self.family),
            ("made", self.made),
            ("rank", self.rank),
            ("steps", self.steps),
            ("pictures", self.pictures),
            ("folders", ", ".join(self.folders)),
            ("trigger", self.trigger),
            ("comment", self.comment),
            ("words of its captions", tags),
        ]
        return [(name, value) for name, value in rows if value]

    def count(self, words: str) -> int:
        """How often its captions held some words, as far as it says; case does not count."""
        return sum(count for tag, count in self.tags if words.casefold() in tag.casefold())

    def base_in_words(self) -> str:
        """Its base, for advice; empty if it does not say."""
        return self.base or self.family


def parse_header(metadata: Mapping[str, str], settings: Mapping[str, Any] | None = None) -> Header:
    """What an adapter says of itself.

    Args:
        metadata: the header of its file: of sd-scripts (`ss_…`), OneTrainer (`ot_…`), ai-toolkit, modelspec, diffusers.
        settings: PEFT's `adapter_config.json`, if there is one.

    >>> parse_header({"ss_sd_model_name": "v1-5.safetensors", "ss_num_train_images": "24"}).rows()
    [('trained by', 'sd-scripts'), ('base', 'v1-5.safetensors'), ('pictures', '24')]
    """
    said = _Reader(metadata)
    ours, settings = _json(metadata.get("ot_config")), settings or {}
    info = _json(metadata.get("training_info"))
    return Header(
        trainer=_trainer(metadata, said, settings),
        base=said.first("ss_sd_model_name", "ss_base_model_name")
        or _clean(ours.get("base_model_name"))
        or _clean(settings.get("base_model_name_or_path")),
        base_hash=said.first("ss_new_sd_model_hash", "ss_sd_model_hash")[:16],
        family=said.first("modelspec.architecture", "ss_base_model_version") or _clean(ours.get("model_type")),
        title=said.first("modelspec.title", "ss_output_name", "name"),
        made=said.first("modelspec.date") or _date(metadata.get("ss_training_started_at")),
        rank=said.first("ss_network_dim") or _clean(settings.get("r")) or _clean(ours.get("lora_rank")),
        steps=said.first("ss_steps", "ss_max_train_steps") or _clean(info.get("step")),
        pictures=said.first("ss_num_train_images"),
        folders=_folders(metadata, ours),
        trigger=said.first("modelspec.trigger_phrase", "ss_trigger_words"),
        comment=said.first("ss_training_comment", "modelspec.description"),
        tags=_tags(metadata.get("ss_tag_frequency")),
    )


class _Reader:
    """Texts of a header, made fit to be shown."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        self._metadata = metadata

    def first(self, *names: str) -> str:
        """The first of some entries that says anything."""
        return next((text for name in names if (text := _clean(self._metadata.get(name)))), "")


def _clean(value: Any) -> str:
    """A value as one line without control characters; empty for none."""
    if value is None or value == "None" or isinstance(value, dict | list):
        return ""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+", " ", str(value)).strip()[:_LONGEST]


def _json(text: Any) -> dict[str, Any]:
    try:
        content = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _trainer(metadata: Mapping[str, str], said: _Reader, settings: Mapping[str, Any]) -> str:
    if "ot_config" in metadata or "ot_branch" in metadata:
        return " ".join(filter(None, ("OneTrainer", said.first("ot_revision")[:12])))
    software = _json(metadata.get("software"))
    if software:
        return " ".join(filter(None, (_clean(software.get("name")), _clean(software.get("version")))))
    if said.first("modelspec.implementation") and not any(name.startswith("ss_") for name in metadata):
        return said.first("modelspec.implementation")
    if any(name.startswith("ss_") for name in metadata):
        module = said.first("ss_network_module")
        return f"sd-scripts ({module})" if module else "sd-scripts"
    if "lora_adapter_metadata" in metadata:
        return "diffusers"
    return "PEFT" if settings.get("peft_type") else ""


def _date(seconds: Any) -> str:
    """A date from seconds since 1970."""
    try:
        moment = float(seconds)
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d") if math.isfinite(moment) else ""
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _folders(metadata: Mapping[str, str], ours: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for name, content in _json(metadata.get("ss_dataset_dirs")).items():
        numbers = content if isinstance(content, dict) else {}
        count, repeats = (_clean(numbers.get(key)) for key in ("img_count", "n_repeats"))
        found.append(_clean(name) + (f" ({count} pictures × {repeats})" if count and repeats else ""))
    concepts = ours.get("concepts")
    for concept in concepts if isinstance(concepts, list) else []:
        if isinstance(concept, dict):
            found.append(_clean(concept.get("name")) or Path(_clean(concept.get("path"))).name)
    return tuple(name for name in found if name)[:_SHOWN]


def _tags(text: Any) -> tuple[tuple[str, int], ...]:
    """Tags of all folders together."""
    counts: Counter[str] = Counter()
    for folder in _json(text).values():
        for tag, count in folder.items() if isinstance(folder, dict) else ():
            if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 10**9 and (name := _clean(tag)):
                counts[name] += count
    return tuple(counts.most_common(_MOST_TAGS))
