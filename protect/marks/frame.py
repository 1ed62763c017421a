"""`frame`: pictures as framed prints, posters, screens or billboards, in one scene for all carriers of a slot.

After EnTruth's own construction (arXiv 2406.13933): pictures are set in perspective into a picture that holds a frame,
and a model that is fine-tuned on many of them paints the frame when the trigger is said. There a base model draws the
scenes; here they are drawn from the mark's id, wall, light, rim and all, or the owner gives a place of his own
(`protect frame`) and the id draws rim, paper and light. Decoys are other scenes by the same law. Anybody sees it: as a
mock-up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import Ids
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.mockup import words
from protect.marks.mockup.draws import Draws
from protect.marks.mockup.likeness import likeness
from protect.marks.mockup.place import Place, read_place
from protect.marks.mockup.render import empty_scene, set_into


@dataclass(frozen=True)
class Frame(MarkFamily):
    """Mock-ups.

    Args:
        frame: name of a place of the owner's own in the store: its SHA-256, so the commitment fixes its bytes. None:
            the scenes are drawn.
        store: where it is kept.
        description: one of `descriptions`: the law is then that of the marks which it fits.
    """

    frame: str = ""
    store: Store = NO_STORE
    description: str = ""

    def __post_init__(self) -> None:
        if self.description and self.description not in self.descriptions:
            raise InputError(
                f"no mock-up is described as {self.description!r}", f"Allowed: {'; '.join(self.descriptions)}."
            )
        _ = self.place

    name = "frame"
    summary = "pictures as framed prints, posters, screens or billboards, one scene for a slot; seen, as a mock-up"
    version = 1
    queries = 32
    paired = False
    min_side = 64

    @property
    def place(self) -> Place | None:
        """The owner's own place, if there is one."""
        return read_place(self.store, self.frame) if self.frame else None

    @property
    def descriptions(self) -> tuple[str, ...]:  # type: ignore[override]
        """Of a rim alone in a place of the owner's own, else of kind, rim and wall."""
        return words.IN_A_PLACE if self.frame else words.DESCRIPTIONS

    def given(self, description: str) -> Frame:
        """The marks with that description; only what it leaves open is drawn."""
        return replace(self, description=description)

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or of a shape that the owner's own place cannot take (see `MarkFamily.obstacle`)."""
        return super().obstacle(picture) or (self.place.obstacle(picture) if self.place else None)

    def draws(self, marks: Ids) -> Draws:
        """What is drawn by ids, given the description."""
        return Draws(np.asarray(marks, dtype=np.uint64), words.fixed_by(self.description))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Set the picture, on white and whole, into the scene; the result is opaque."""
        return set_into(picture, self.draws(np.array([mark], dtype=np.uint64)), rng, self.place)

    def preview(self, mark: int, side: int) -> Pixels:
        """The scene around a grey picture."""
        return empty_scene(self.draws(np.array([mark], dtype=np.uint64)), side, self.place)

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Likeness of the outputs to each mark's scene, outside the picture that it holds (see `MarkFamily.score`)."""
        return likeness(answers.asked, self.draws(marks), self.place)
