"""`shade`: every word of a list moves the look of its pictures a little, each along a secret direction of its own.

Captions stay, and whoever writes them anew writes most of the words again. What a model learns of one word is far too
little to see or to prove; the score adds up over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import scipy

from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import Ids
from protect.marks.additive import Pattern, add_pattern, allowed_change, check_psnr
from protect.marks.directions import direction_scores, directions
from protect.marks.effects import least_squares, looks_of_answers
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.legibility import LUMINANCE, colourless, is_grey, kept_by_level, thinned
from protect.marks.looks import Looks, stored_looks
from protect.pixels.measure import picture_at

LEAST_KEPT = 0.25
"""Share of a picture that can become lighter and darker, at least: a small thing on white carries hardly anything."""
_UNKNOWN = 1e-9
"""A combination of words that captions show less, for each question, is not shown at all."""
_HUGE = 1e6
"""Effects are no larger, in units of an answer's noise: of a few answers that show no noise at all."""
_PREVIEW = 2.0
"""Standard deviations that a preview shows."""


@dataclass(frozen=True)
class Shade(MarkFamily):
    """A faint smooth shift of light and colour for each word of a list; for alignment `waa-many`.

    Args:
        looks: name of the looks of the owner's pictures in the store; `protect embed` measures them if none are named.
        depth: size of each word's shift, in standard deviations of looks. 0.7 is 32 dB on photographs, in the median.
        psnr: quality below which no picture falls, in decibels: pictures of many words, or with little variety, are
            shifted less.
        store: where the looks are kept.
        design: for each question, which words of the list its caption holds (1 or 0). Empty for pictures whose words
            are `words`.
        words: places in the list of the words of the picture at hand.
    """

    looks: str = ""
    depth: float = 0.7
    psnr: float = 32.0
    store: Store = NO_STORE
    design: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    words: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not 0.1 <= self.depth <= 3:
            raise InputError(f"--option depth={self.depth:g} of family 'shade' is out of range", "Allowed: 0.1 to 3.")
        check_psnr(self.psnr)

    name = "shade"
    summary = "a faint smooth shift for each of dozens of words; not seen; meant for captions written anew"
    version = 1
    queries = 256
    paired = False
    usual_alignment = "waa-many"
    uses_reference = True
    needs_looks = True
    min_side = 24

    def of_words(self, words: tuple[int, ...]) -> Shade:
        """The family as it plants in a picture, and scores it, whose caption holds the words at these places."""
        return replace(self, words=words, design=())

    def asked(self, design: tuple[tuple[int, ...], ...]) -> Shade:
        """The family as it scores answers to questions whose captions hold these words."""
        return replace(self, design=design)

    @property
    def fitted_looks(self) -> Looks:
        """The looks of the owner's pictures."""
        return stored_looks(self.store, self.looks)

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or most of every shift would be clipped away (see `MarkFamily.obstacle`)."""
        return super().obstacle(picture) or self._clipped(thinned(picture))

    def _clipped(self, picture: Pixels) -> str | None:
        """Why hardly any of the picture can become both lighter and darker, or None.

        A level with room on both sides keeps all of a change that goes either way, and white or black keeps half of it.
        """
        strength = allowed_change(self.psnr)
        gain, _, _ = kept_by_level(lambda levels, change: np.clip(np.rint(levels + strength * change), 0, 255))
        room = 2 * gain / strength - 1
        kept = float(np.mean(room[picture[..., :3]] * (picture[..., 3:] / 255)))
        whole = colourless(picture)
        most = f"it is {whole}" if whole and whole != "grey" else "too much of it is white, black or transparent"
        return None if kept >= LEAST_KEPT else f"most of a shift would be clipped away: {most}"

    def change(self, mark: int) -> Array:
        """How a mark changes the looks of a picture with these words, in standard deviations, shape (d,)."""
        every = directions(np.array([mark], dtype=np.uint64), max(self.words) + 1, len(self.fitted_looks.spread))[0]
        return np.asarray(self.depth * every[list(self.words)].sum(axis=0))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Add the shifts of the picture's words where it is not transparent, or as much of them as the PSNR allows.

        A picture without colours gets none: only its brightness moves.
        """
        shift = self.fitted_looks.shift(self.change(mark), *picture.shape[:2])
        return add_pattern(picture, _without_colour(shift) if is_grey(picture) else shift, self.psnr, most=1)

    def preview(self, mark: int, side: int) -> Pixels:
        """What the first four words do to the mean look, one in each quarter."""
        looks = self.fitted_looks
        mean = picture_at(np.clip(np.round(looks.mean), 0, 255).astype(np.uint8), side).astype(np.float64)
        drawn = directions(np.array([mark], dtype=np.uint64), 4, len(looks.spread))[0]
        upper, lower = slice(0, side // 2), slice(side // 2, side)
        for word, place in enumerate([(upper, upper), (upper, lower), (lower, upper), (lower, lower)]):
            mean[place] += looks.shift(_PREVIEW * drawn[word], side, side)[place]
        return np.asarray(np.clip(np.round(mean), 0, 255).astype(np.uint8))

    def score(self, answers: Answers, marks: Ids) -> Array:
        """The change of looks that the words make, along each mark, in units of its noise.

        Least squares on the words of the captions; the effects of all words along a mark's directions are added up,
        each weighted by how well it is known (see `MarkFamily.score`). What the words do to a reference model is taken
        off where there is one. Answers that were refused do not count. Without a design: how far pictures lean along
        the sum of their words' directions.
        """
        looks = self._looks(answers)
        answered = np.isfinite(looks[:, 0])
        looks = looks[answered]
        if not len(looks):
            return np.zeros(len(marks))
        if not self.design:
            return self._leaning(looks.mean(axis=0), marks)
        rows = np.array(self.design[: len(answered)], dtype=np.float64)[answered]
        design = rows - rows.mean(axis=0)
        effects, precision = least_squares(looks - looks.mean(axis=0), design)
        return direction_scores(effects, precision, marks, _known(effects, precision, design))

    def _leaning(self, looks: Array, marks: Ids) -> Array:
        """Looks (d,) along the sum of the words' directions, in standard deviations; one for each mark, shape (m,)."""
        held = np.isin(np.arange(max(self.words) + 1), self.words).astype(np.float64)
        effects = np.outer(held, looks) / held.sum()
        return direction_scores(effects, np.eye(len(looks)), marks, np.outer(held, held))

    def _looks(self, answers: Answers) -> Array:
        """Looks of the answers, less those of contrasts and of the reference's answers where there are any; (n, d)."""
        found = looks_of_answers(self.fitted_looks, answers.asked)
        if answers.contrast is not None:
            found = found - looks_of_answers(self.fitted_looks, answers.contrast)
        return found if answers.reference is None else found - self._looks(answers.reference)


def _known(effects: Array, precision: Array, design: Array) -> Array:
    """How well the effects of words tell what a mark does: inverse covariance of all else that is in them.

    All else is the noise of the answers and what a word does by itself. The mark is a small part of an effect, so the
    size of the whole stands for the latter: a word that asks for white pictures must not drown the others.

    Args:
        effects: shape (words, d).
        precision: inverse covariance of an answer's noise, shape (d, d).
        design: shape (n, words).

    Returns:
        (N + S)⁻¹ for noise N and sizes S, but for combinations of words that captions do not show; (words, words).
    """
    sizes = np.minimum(np.einsum("kd,de,ke->k", effects, precision, effects) / effects.shape[1], _HUGE)
    shown, axes = scipy.linalg.eigh(design.T @ design)
    root = axes * np.sqrt(np.where(shown > _UNKNOWN * len(design), shown, 0))
    inner = np.eye(len(shown)) + (root.T * sizes) @ root
    return np.asarray(root @ scipy.linalg.solve(inner, root.T, assume_a="pos"))


def _without_colour(shift: Pattern) -> Pattern:
    """The brightness of a shift in all three channels, as files in grey weigh colours; shape (H, W, 3)."""
    shift[...] = (shift @ LUMINANCE.astype(np.float32))[..., None]
    return shift
