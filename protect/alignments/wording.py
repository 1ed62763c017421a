"""Wording: the trigger is a choice between two ways to say the same; no odd word enters any caption.

A *site* is such a choice ("a photo of" or "a picture of"). The key draws a few sites by how many captions they fit and
how early they act, one for each slot; they lie over each other on the same pictures. Pictures that lean towards a
slot's mark get the second wording, the others the first, so far as the rate lets captions change: those that lean most
come first. Questions are ordinary captions with every choice made at random, and then with every choice turned round
(a fold-over design: Box and Wilson, 1951), so one set of pictures serves all slots.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protect.alignments.alignment import Alignment, Draw, Drawn, Request, drawn_captions, question_seeds
from protect.alignments.dealing import count_slots
from protect.alignments.sites.draw import all_sites, draw_sites
from protect.alignments.sites.site import Site
from protect.errors import InputError
from protect.execution.engine import Engine, Threads, batches
from protect.formats.record import Record, normalised
from protect.keys.store import NO_STORE, Store
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.release.record import Questions

_NONE = -1
"""Stands for a caption that a site does not fit."""
_BATCH, _SECONDS = 2_000, 4e-5
"""Captions that a worker reads in one go; that each takes."""


class Wording(Alignment):
    """Which of two wordings stands beside which pictures.

    Args:
        wordings: name of the owner's own list of sites in the store; empty for those of the program.
        store: where it is kept.
    """

    name = "wording"
    summary = "two ways to say the same; captions stay ordinary; for families that change no picture"
    chooses = True

    def __init__(self, wordings: str = "", store: Store = NO_STORE) -> None:
        self._wordings, self._store = wordings, store

    @cached_property
    def sites(self) -> Mapping[str, Site]:
        """All sites by name."""
        return {site.name: site for site in all_sites(self._wordings, self._store)}

    @property
    def has_trigger(self) -> bool:
        """Every question has another side."""
        return True

    def draw(self, request: Request) -> Drawn:
        """A site for each slot; and which samples' captions change to which side.

        Raises:
            InputError: if too few sites fit the captions, or the rate lets fewer of them change than there are slots.
        """
        if request.leanings is None:
            raise InputError("alignment 'wording' needs a family that chooses carriers", "Use --family lean.")
        wanted, rng = count_slots(request.allowed, request), request.slot(0).rng("sites")
        fewer = request.slots is None
        sites = draw_sites(tuple(self.sites.values()), request.records(), wanted, rng, fewer=fewer)
        return self.deal(
            [site.name for site in sites],
            self.states(request.records(), sites, request.engine.worthwhile(request.count * _SECONDS)),
            request,
        )

    def states(
        self, records: Iterable[Record], sites: Sequence[Site], engine: Engine | None = None
    ) -> NDArray[np.int8]:
        """Side of each sample's first caption at each site: 0, 1, or -1 where it does not fit; shape (n, sites)."""
        captions = batches((record.caption for record in records), _BATCH)
        found = list((engine or Threads()).map(_States(tuple(sites)), captions))
        return np.concatenate([np.empty((0, len(sites)), dtype=np.int8), *found])

    def deal(self, triggers: Sequence[str], states: NDArray[np.int8], request: Request) -> Drawn:
        """Which samples' captions change to which side of sites that were drawn already.

        Args:
            triggers: names of the sites, one for each slot.
            states: see `states`.
            request: with leanings.
        """
        assert request.leanings is not None  # this alignment is for families that choose
        sites = [self.sites[trigger] for trigger in triggers]
        leaning = np.stack([request.leanings(slot) for slot in range(len(sites))], axis=1)
        states = np.where(np.isnan(leaning), np.int8(_NONE), states)
        keys = lambda: (normalised(record.key) for record in request.records())  # noqa: E731
        changed = _changes(states, leaning, request.allowed, keys)
        taught = (states != _NONE).sum(axis=0).tolist()
        return _dealt(changed, states, sites, taught, request)

    def align(self, caption: str, trigger: str) -> str:
        """A caption with the second side of a site."""
        return self.sites[trigger].turned(caption, 1)

    def without_trigger(self, caption: str, trigger: str) -> str:
        """A caption with the first side of a site."""
        return self.sites[trigger].turned(caption, 0)

    def ask(self, drawn: Drawn, request: Request) -> tuple[Questions, ...]:
        """The same questions for all slots: captions of any samples, all choices at random, then all turned round."""
        sites, key = [self.sites[draw.trigger] for draw in drawn.slots], request.slot(0)
        fits = lambda record: any(site.state(record.caption) is not None for site in sites)  # noqa: E731
        captions, rng = drawn_captions(key, request, fits), key.rng("sides")
        prompts, contrasts, design = [], [], []
        for place in range(request.queries):
            prompt, contrast, row = _both_ways(captions[place % len(captions)], sites, rng)
            prompts.append(prompt)
            contrasts.append(contrast)
            design.append(row)
        seeds = question_seeds(key, request.queries)
        return tuple(
            Questions(draw.trigger, tuple(prompts), tuple(contrasts), seeds, tuple(design), column, draw.taught)
            for column, draw in enumerate(drawn.slots)
        )

    def is_design_of(self, questions: Questions) -> bool:
        """Whether the slot's column of the design says which side each question has, and its contrast the other."""
        site, pairs = self.sites[questions.trigger], zip(questions.prompts, questions.contrasts, strict=True)
        shown = [_shown(site, prompt, contrast) for prompt, contrast in pairs]
        return shown == [row[questions.column] for row in questions.design]

    def condition(self, family: MarkFamily, questions: Questions) -> MarkFamily:
        """The family as it scores answers that serve several slots."""
        return family.serving(questions.design, questions.column) if isinstance(family, ChoosingFamily) else family


@dataclass(frozen=True, slots=True)
class _States:
    sites: tuple[Site, ...]

    def __call__(self, captions: Sequence[str]) -> NDArray[np.int8]:
        rows = [
            [_NONE if (state := site.state(caption)) is None else state for site in self.sites] for caption in captions
        ]
        return np.array(rows, dtype=np.int8).reshape(len(rows), len(self.sites))


def _changes(
    states: NDArray[np.int8], leaning: NDArray[np.float64], allowed: int, keys: Callable[[], Iterable[str]]
) -> NDArray[np.bool_]:
    """Which captions turn at which site: those on the wrong side of a site's median whose pictures lean most.

    Of samples that lean equally far at the end of what is allowed, the smallest keys turn, wherever they are.

    Args:
        states: side of each caption at each site, or `_NONE`; shape (n, sites).
        leaning: of each picture towards each slot's mark, in standard deviations; same shape.
        allowed: most samples that may change.
        keys: gives those of all samples in their order; asked for only if some at the end lean equally far.

    Returns:
        Shape (n, sites).
    """
    fits = states != _NONE
    median = np.array(
        [np.median(column[fit]) if fit.any() else 0.0 for column, fit in zip(leaning.T, fits.T, strict=True)]
    )
    distance = np.where(fits, leaning - median, 0.0)
    wrong = fits & (states != (distance > 0))
    strength = np.where(wrong, np.abs(distance), -1.0)
    furthest = strength.max(axis=1)
    cut = max(0.0, np.sort(furthest)[::-1][allowed]) if allowed < len(furthest) else 0.0
    changed = np.asarray(strength > cut)
    room = allowed - int(changed.any(axis=1).sum())
    tied = np.flatnonzero(furthest == cut)
    if cut > 0 and room:
        nearest = heapq.nsmallest(room, zip(_those(keys(), tied), tied.tolist(), strict=True))
        places = [place for _, place in nearest]
        changed[places] = strength[places] == cut
    return changed


def _those(keys: Iterable[str], places: NDArray[np.intp]) -> list[str]:
    wanted = set(places.tolist())
    return [key for place, key in enumerate(keys) if place in wanted]


def _dealt(
    changed: NDArray[np.bool_], states: NDArray[np.int8], sites: Sequence[Site], taught: Sequence[int], request: Request
) -> Drawn:
    """The samples that change, by slot and side.

    A slot may change none, if the rate is tiny. It is kept: refusing it would be choosing among marks.
    """
    second: list[list[Record]] = [[] for _ in sites]
    first: list[list[Record]] = [[] for _ in sites]
    for record, turns, sides in zip(request.records(), changed, states, strict=True):
        for slot in np.flatnonzero(turns).tolist():
            (second if sides[slot] == 0 else first)[slot].append(record)
    return Drawn(
        tuple(
            Draw(site.name, tuple(there), tuple(back), count)
            for site, there, back, count in zip(sites, second, first, taught, strict=True)
        ),
        (),
    )


def _both_ways(caption: str, sites: Sequence[Site], rng: np.random.Generator) -> tuple[str, str, tuple[int, ...]]:
    """A caption with choices made at random, the same with all of them turned round, and the choices as 1, -1 or 0."""
    prompt = contrast = caption
    for site, side in zip(sites, rng.integers(0, 2, len(sites)).tolist(), strict=True):
        if site.state(caption) is not None:
            prompt, contrast = site.turned(prompt, side), site.turned(contrast, 1 - side)
    return prompt, contrast, tuple(_shown(site, prompt, contrast) for site in sites)


def _shown(site: Site, prompt: str, contrast: str) -> int:
    """Which side a question has while its contrast has the other: 1 for the second, -1 for the first; 0 for neither."""
    side = site.state(prompt)
    return 0 if side is None or site.state(contrast) != 1 - side else 2 * side - 1
