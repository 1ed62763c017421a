"""What a rehearsal would cost, told before it starts; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from detect.training.records import training_records
from protect.embed.answers import pictures_asked
from protect.embed.write import embed
from protect.formats.dataset_format import ReadOptions
from protect.keys.keyring import Keyring
from protect.release.plan import Options


@dataclass(frozen=True, slots=True)
class RehearsalCost:
    """How much is learned, how often the carriers are, and how much is asked."""

    presentations: int
    """Pictures shown in training, all in all."""
    samples: int
    carriers: int
    slots: int
    asked: int
    """Pictures that the test asks for at most."""

    @property
    def passes(self) -> float:
        """How often each sample is seen."""
        return self.presentations / self.samples

    def in_words(self) -> str:
        """One line for people."""
        return (
            f"{self.presentations:,} training presentations: {self.passes:.1f} passes over {self.samples:,} samples; "
            f"{self.carriers} carriers in {self.slots} slot(s) would be seen {self.carriers * self.passes:,.0f} times "
            f"in all; the test asks for at most {self.asked} pictures"
        )

    def as_json(self) -> dict[str, int | float]:
        """The figures by name."""
        return {
            "samples": self.samples,
            "passes": self.passes,
            "carriers": self.carriers,
            "exposures_of_carriers": self.carriers * self.passes,
            "pictures_asked": self.asked,
        }


def rehearsal_cost(
    dataset: Path, embedding: Options, reading: ReadOptions, presentations: int, passes: float | None = None
) -> RehearsalCost:
    """Price a rehearsal without writing anything that stays.

    Args:
        dataset: the owner's dataset.
        embedding: how to mark.
        reading: what the owner says about the dataset.
        presentations: pictures shown in training.
        passes: of a trainer that counts passes, in place of presentations.

    Raises:
        InputError: if the dataset cannot be marked like this.
    """
    with TemporaryDirectory() as place:
        keyring = Keyring(Path(place) / "home")
        planned = embed(dataset, Path(place) / "copy", embedding, keyring, reading=reading, dry_run=True)
        asked = pictures_asked(planned.bound)
    samples = len(training_records(dataset, reading)[0])
    shown = presentations if passes is None else round(passes * samples)
    return RehearsalCost(shown, samples, planned.carriers, planned.release.plan.slots, asked)
