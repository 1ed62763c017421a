"""Where pictures come from: a generator that draws them, or class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detect.provenance.sets import LabelledSet, drawn, read_set
from detect.provenance.settings import Settings
from detect.suspects.images import Suspect
from protect.progress import Progress

_TRAIN_SEED, _TEST_SEED = 0, 2**30
"""First seeds of the pictures to train on, and of those to ask about: no picture is in both."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that pictures come from: a generator, or class folders."""

    name: str
    generator: Suspect | None = None
    folder: Path | None = None

    def train_set(
        self, classes: Sequence[str], settings: Settings, cache: Path, side: int | None, progress: Progress
    ) -> LabelledSet:
        """Pictures to train on; folders give their first ones."""
        if self.generator is not None:
            return self._drawn(
                self.generator,
                settings.shadow_prompt,
                settings.train_per_class,
                _TRAIN_SEED,
                classes,
                settings,
                cache,
                progress,
            )
        return self._read(classes, settings, side).part(0, settings.train_per_class * len(classes))

    def test_set(
        self, classes: Sequence[str], settings: Settings, cache: Path, side: int | None, progress: Progress
    ) -> LabelledSet:
        """Other pictures, to ask about; folders give those that follow."""
        if self.generator is not None:
            return self._drawn(
                self.generator,
                settings.test_prompt,
                settings.test_per_class,
                _TEST_SEED,
                classes,
                settings,
                cache,
                progress,
            )
        both = self._read(classes, settings, side)
        return both.part(settings.train_per_class * len(classes), len(both.truth))

    def _drawn(
        self,
        generator: Suspect,
        template: str,
        count: int,
        seed: int,
        classes: Sequence[str],
        settings: Settings,
        cache: Path,
        progress: Progress,
    ) -> LabelledSet:
        found = drawn(
            generator, template, classes, count, seed=seed, sampler=settings.sampler, cache=cache, progress=progress
        )
        return replace(found, name=self.name)

    def _read(self, classes: Sequence[str], settings: Settings, side: int | None) -> LabelledSet:
        assert self.folder is not None
        count = settings.train_per_class + settings.test_per_class
        return read_set(self.folder, classes, count, side or settings.shadow.side)
