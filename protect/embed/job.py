"""One call of `embed`: what it works on, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protect.embed.chosen import Chosen
from protect.embed.expectation import Expectation
from protect.embed.forecast import Forecast, best
from protect.embed.places import commitment_file
from protect.embed.select import Selection
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine
from protect.formats.dataset_format import Dataset
from protect.formats.record import LeftOut, SetAside
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.progress import Progress
from protect.release.bound import BoundRelease
from protect.release.plan import Options
from protect.release.record import Release


@dataclass(frozen=True, slots=True)
class Embedding:
    """What `embed` did, or with `dry_run` would do."""

    release: Release
    bound: BoundRelease
    output: Path
    selection: Selection
    set_aside: tuple[SetAside, ...]
    """Candidates passed over, and what of the dataset could take no part (the first thousand)."""
    set_aside_count: int
    left_out: tuple[LeftOut, ...]
    copied_bytes: int
    forecasts: tuple[Forecast, ...]
    """Of each part."""
    chosen: Chosen
    """The samples that change."""

    @property
    def forecast(self) -> Forecast:
        """Of the part from which most may be hoped for."""
        return best(self.forecasts)

    @property
    def commitment_file(self) -> Path:
        """What is to be published, beside the output."""
        return commitment_file(self.output)

    @property
    def carriers(self) -> int:
        """Samples that carry a mark, or would."""
        return len(self.release.carriers) or len(self.chosen)


@dataclass(frozen=True, slots=True)
class Job:
    """One call of `embed`: what does not change while it runs."""

    dataset: Dataset
    output: Path
    options: Options
    keyring: Keyring
    store: Store
    """The keyring's, with what this call measured."""
    name: str
    expectation: Expectation
    budget: MemoryBudget
    progress: Progress
    engine: Engine
