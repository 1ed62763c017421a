"""What a rehearsal would cost, told before it starts; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from detect.training.records import training_records
from protect.embed.write import embed
from protect.formats.dataset_format import ReadOptions
from protect.keys.keyring import Keyring
from protect.release.plan import Options


@dataclass(frozen=True, slots=True)
class RehearsalCost:
    """How much is learned, and how often the carriers are."""

    presentations: int
    """Pictures shown in training, all in all."""
    samples: int
    carriers: int
    slots: int

    @property
    def passes(self) -> float:
        """How often each sample is seen."""
        return self.presentations / self.samples

    def in_words(self) -> str:
        """One line for people."""
        return (
            f"{self.presentations:,} training presentations: {self.passes:.1f} passes over {self.samples:,} samples; "
            f"{self.carriers} carriers in {self.slots} slot(s) would be seen {self.carriers * self.passes:,.0f} times "
            "in all"
        )

    def as_json(self) -> dict[str, int | float]:
        """The figures by name."""
        return {
            "samples": self.samples,
            "passes": self.passes,
            "carriers": self.carriers,
            "exposures_of_carriers": self.carriers * self.passes,
        }


def rehearsal_cost(dataset: Path, embedding: Options, reading: ReadOptions, presentations: int) -> RehearsalCost:
    """Price a rehearsal without writing anything that stays.

    Raises:
        InputError: if the dataset cannot be marked like this.
    """
    with TemporaryDirectory() as place:
        keyring = Keyring(Path(place) / "home")
        planned = embed(dataset, Path(place) / "copy", embedding, keyring, reading=reading, dry_run=True)
    samples = len(training_records(dataset, reading)[0])
    return RehearsalCost(presentations, samples, planned.carriers, planned.release.plan.slots)
