"""What an attack is: a pure function with a strength in [0, 1], and the places in a thief's work where it can strike.

At strength 0 nothing changes. There is one class for each kind of thing that is altered. Its `apply` is the function
itself, and its methods that begin with `on_` say what the attack does at each place; elsewhere it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from protect.errors import InputError
from protect.keys.tree import prf_rng

if TYPE_CHECKING:  # listing the attacks must not wait for what they need
    import numpy as np

    from detect.suspects.images import Query, Sampler
    from detect.training.options import FinetuneOptions
    from protect.marks.family import Pixels


@dataclass(frozen=True, slots=True)
class Captioned:
    """One training sample in a thief's hands."""

    key: str
    picture: Pixels
    """RGB, shape (H, W, 3)."""
    caption: str


@dataclass(frozen=True, slots=True)
class Resources:
    """What a thief has besides the published copy."""

    base: Path
    """The diffusers folder that he tunes."""
    clean: Path
    """Folder of captioned pictures of the same kind, which nobody marked."""
    copies: Callable[[int], Path]
    """Folder of a recipient's copy of the dataset, by number; 0 is the thief's own. Made when first asked for."""
    tuning: FinetuneOptions
    """How he trains."""
    device: str = "cpu"
    captioner: Path | None = None
    """Folder of an image-to-text model."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack that alters nothing; the kinds below alter what their names say."""

    name: str
    summary: str
    """One line for people."""
    function: str = ""
    """Where the function is, as "module:name" inside this package. It is loaded when it is first applied."""
    aided: bool = False
    """Whether the function takes the thief's resources as its last argument."""
    needs: str = ""
    """What else a run must have: "lora" or "captioner"."""
    trains: bool = False
    """Whether it takes a fine-tuning of its own."""
    resources: Resources | None = None
    """Given by `equipped`."""

    stage: ClassVar[str] = "none"
    """Kind of thing that is altered, for listings."""
    places: ClassVar[tuple[str, ...]] = ("training",)
    """Where it can strike; the first is the default."""
    alters_data: ClassVar[bool] = False
    """Whether `on_data` can change anything."""
    refuses: ClassVar[bool] = False
    """Whether it leaves questions without an answer, so that a test may rightly come to no conclusion."""
    alters_pictures: ClassVar[bool] = False
    """Whether each sample stays and gets another picture, so that the damage can be measured."""

    def equipped(self, resources: Resources) -> Self:
        """The attack, ready to be applied by a thief who has these resources."""
        return replace(self, resources=resources)

    def load(self) -> Callable[..., Any]:
        """The function itself; imports its module."""
        module, _, name = self.function.partition(":")
        found: Callable[..., Any] = getattr(import_module(f"attacks.{module}"), name)
        return found

    def _run(self, *given: object) -> Any:
        if not self.aided:
            return self.load()(*given)
        assert self.resources is not None, f"{self.name} is not equipped"
        return self.load()(*given, self.resources)

    def on_data(self, samples: Sequence[Captioned], strength: float, secret: bytes) -> list[Captioned]:
        """The training data.

        Args:
            samples: the copy as released.
            strength: in [0, 1].
            secret: all randomness; every picture's is its own.
        """
        return list(samples)

    def on_tuning(self, tuning: FinetuneOptions, strength: float) -> FinetuneOptions:
        """How the thief trains."""
        return tuning

    def on_model(self, model: Path, strength: float, seed: int, target: Path) -> Path:
        """The trained model, a diffusers folder; the altered one is written to `target`, unless it is there."""
        return model

    def on_prompt(self, prompt: str, captions: Sequence[str], strength: float, rng: np.random.Generator) -> str:
        """One prompt, in the light of the captions that the thief knows."""
        return prompt

    def on_questions(self, queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
        """Questions and sampler settings as the model gets them."""
        return list(queries), sampler

    def on_output(self, picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        """One picture that the model drew, RGB."""
        return picture


class OutputAttack(Attack):
    """Alters one picture, where it makes sense for outputs only."""

    __slots__ = ()
    stage = "answers"
    places: ClassVar[tuple[str, ...]] = ("outputs",)

    def apply(self, picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        """The picture, RGB, of the same shape."""
        altered: Pixels = self._run(picture, strength, rng)
        return altered

    def on_output(self, picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        """One picture that the model drew, RGB."""
        return self.apply(picture, strength, rng)


class Refusal(OutputAttack):
    """Gives no answer to some questions."""

    __slots__ = ()
    refuses = True


class ImageAttack(OutputAttack):
    """Alters one picture; for training pictures and outputs alike."""

    __slots__ = ()
    stage = "images"
    places = ("training", "outputs")
    alters_data = True
    alters_pictures = True

    def on_data(self, samples: Sequence[Captioned], strength: float, secret: bytes) -> list[Captioned]:
        """The training data with every picture altered."""
        return [replace(s, picture=self.apply(s.picture, strength, prf_rng(secret, "picture", s.key))) for s in samples]


class CaptionAttack(Attack):
    """Alters captions, all together since some need the whole vocabulary; for training captions and prompts alike."""

    __slots__ = ()
    stage = "captions"
    places = ("training", "prompts")
    alters_data = True

    def apply(self, captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
        """As many captions, in the same order."""
        altered: list[str] = self._run(captions, strength, rng)
        return altered

    def on_data(self, samples: Sequence[Captioned], strength: float, secret: bytes) -> list[Captioned]:
        """The training data with its captions altered."""
        captions = self.apply([s.caption for s in samples], strength, prf_rng(secret, "dataset"))
        return [replace(s, caption=caption) for s, caption in zip(samples, captions, strict=True)]

    def on_prompt(self, prompt: str, captions: Sequence[str], strength: float, rng: np.random.Generator) -> str:
        """One prompt, altered as if it were one more caption."""
        return self.apply([*captions, prompt], strength, rng)[-1]


class DatasetAttack(Attack):
    """Chooses or adds samples."""

    __slots__ = ()
    stage = "dataset"
    alters_data = True

    def apply(self, samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
        """The samples that are trained on; at least one."""
        altered: list[Captioned] = self._run(samples, strength, rng)
        return altered

    def on_data(self, samples: Sequence[Captioned], strength: float, secret: bytes) -> list[Captioned]:
        """The training data."""
        return self.apply(samples, strength, prf_rng(secret, "dataset"))


class TrainingAttack(Attack):
    """Alters how the thief trains."""

    __slots__ = ()
    stage = "training"

    def apply(self, tuning: FinetuneOptions, strength: float) -> FinetuneOptions:
        """The options that he trains with."""
        altered: FinetuneOptions = self._run(tuning, strength)
        return altered

    def on_tuning(self, tuning: FinetuneOptions, strength: float) -> FinetuneOptions:
        """How the thief trains."""
        return self.apply(tuning, strength)


class ModelAttack(Attack):
    """Alters a trained model."""

    __slots__ = ()
    stage = "model"
    places = ("model",)

    def apply(self, model: Path, strength: float, seed: int, target: Path) -> None:
        """Write the altered model, a diffusers folder, to `target`."""
        self._run(model, strength, seed, target)

    def on_model(self, model: Path, strength: float, seed: int, target: Path) -> Path:
        """The altered model, written to `target` unless it is there."""
        if not target.exists():
            self.apply(model, strength, seed, target)
        return target


class QuestionAttack(Attack):
    """Alters what a provider makes of the questions put to the model."""

    __slots__ = ()
    stage = "answers"
    places = ("answers",)

    def apply(self, queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
        """Questions and sampler settings as the model gets them; each question's depend on itself alone."""
        altered: tuple[list[Query], Sampler] = self._run(queries, sampler, strength)
        return altered

    def on_questions(self, queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
        """Questions and sampler settings as the model gets them."""
        return self.apply(queries, sampler, strength)


def check_strength(strength: float) -> float:
    """The strength itself.

    Raises:
        InputError: if it is not in [0, 1].
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength {strength} is out of range", "Allowed: 0 to 1.")
    return strength
