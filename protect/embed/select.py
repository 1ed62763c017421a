"""Which samples carry which slot's mark, and what will be asked. No question depends on a mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from protect.alignments import make_alignment
from protect.alignments.alignment import Alignment, Draw, Drawn, Request
from protect.embed.fit import (
    check_code,
    check_for_recipients,
    check_kind,
    check_reachable,
    check_survey,
    check_together,
)
from protect.embed.leaning import leanings_of
from protect.embed.looks import Glances, take_glances, without_obstacles
from protect.embed.obstacles import obstacles, picture_obstacle, repeated_caption
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, Threads
from protect.formats.by_shard import records_of
from protect.formats.dataset_format import Dataset
from protect.formats.record import Record, SetAside, normalised
from protect.formats.remembered import Remembered
from protect.formats.survey import Survey, may_change, survey
from protect.keys.store import Store
from protect.keys.tree import MASTER, KeyTree
from protect.marks import family_class, make_family
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.marks.looks import hold_looks
from protect.progress import Progress, no_progress
from protect.release.plan import Options, PartOptions
from protect.release.record import Questions


@dataclass(frozen=True, slots=True)
class SelectedPart:
    """What the key decides about slots of one family."""

    options: PartOptions
    """With the looks that were measured, if the family needs any."""
    family: MarkFamily
    alignment: Alignment
    drawn: Drawn
    questions: tuple[Questions, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the key decides about a dataset."""

    dataset: Dataset
    survey: Survey
    parts: tuple[SelectedPart, ...]
    decoys: int
    """Per slot."""
    glances: Glances | None = None
    """At every picture, where recipients will get copies of their own."""

    @property
    def slots(self) -> tuple[Draw, ...]:
        """Of all parts."""
        return tuple(draw for part in self.parts for draw in part.drawn.slots)

    @property
    def questions(self) -> tuple[Questions, ...]:
        """Of each slot."""
        return tuple(questions for part in self.parts for questions in part.questions)

    @property
    def passed(self) -> tuple[SetAside, ...]:
        """Candidates that cannot carry a mark."""
        return tuple(dict.fromkeys(aside for part in self.parts for aside in part.drawn.passed))


def select(
    dataset: Dataset,
    options: Options,
    keys: KeyTree,
    store: Store,
    budget: MemoryBudget,
    progress: Progress = no_progress,
    engine: Engine | None = None,
) -> Selection:
    """Survey a dataset and draw triggers, carriers and questions.

    Args:
        dataset: the owner's.
        options: the owner's decisions.
        keys: the release's keys; those of a recipient draw other marks, and all else as for everybody.
        store: what families keep; looks that are measured here are held in it.
        budget: memory for pictures that are looked at.
        progress: told about stages.
        engine: what looks at pictures.

    Raises:
        InputError: if dataset, families and alignments do not fit, or leave a slot without a carrier.
    """
    engine = engine or Threads()
    alignments = [make_alignment(part.alignment_name, part.alignment_options, store) for part in options.parts]
    for part, alignment in zip(options.parts, alignments, strict=True):
        check_kind(dataset, family_class(part.family), alignment)
    check_together(alignments)
    check_for_recipients(options, store)
    found = survey(dataset, progress, engine)
    check_survey(found, dataset)
    records = Remembered(lambda: changeable(dataset, engine))
    glances = _glances(dataset, records, options, store, found.changeable, budget, progress, engine)
    parts: list[SelectedPart] = []
    for part in options.parts:
        parts.append(_select_part(part, parts, dataset, records, found, keys, store, glances, budget, progress, engine))
    check_code(options, parts[0].family, len(parts[0].drawn.slots))
    fixed = [part.drawn.decoys for part in parts if part.drawn.decoys is not None]
    decoys = fixed[0] if fixed else options.decoys
    classes = any(part.alignment.for_classifiers for part in parts)
    distinct = [part.family.distinct for part in parts for _ in part.drawn.slots]
    check_reachable(options, decoys, [None] * len(distinct) if classes else distinct, classes=classes)
    return Selection(dataset, found, tuple(parts), decoys, glances if options.recipients else None)


def _glances(
    dataset: Dataset,
    records: Remembered,
    options: Options,
    store: Store,
    count: int,
    budget: MemoryBudget,
    progress: Progress,
    engine: Engine,
) -> Glances | None:
    """A look at every picture, if a family needs it."""
    if not any(family_class(part.family).needs_looks for part in options.parts):
        return None
    leave = dataset.options.leave_captions
    families = (make_family(part.family, part.family_options, store) for part in options.parts)
    pushing = tuple(family for family in families if isinstance(family, ChoosingFamily) and family.changes_pictures)
    return take_glances(records(), count, _Refusal(leave, pushing), budget, progress, engine)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a sample cannot be chosen."""

    leave: Sequence[str]
    pushing: Sequence[MarkFamily]
    """Families that change the pictures which they choose."""

    def __call__(self, record: Record, data: bytes) -> str | None:
        reason = repeated_caption(data, record, self.leave)
        return reason or next((why for family in self.pushing if (why := picture_obstacle(data, family))), None)


def changeable(dataset: Dataset, engine: Engine | None = None) -> Iterator[Record]:
    """The samples that may be changed."""
    return records_of(dataset, engine or Threads(), partial(may_change, options=dataset.options))


def _select_part(
    part: PartOptions,
    earlier: Sequence[SelectedPart],
    dataset: Dataset,
    records: Remembered,
    found: Survey,
    keys: KeyTree,
    store: Store,
    glances: Glances | None,
    budget: MemoryBudget,
    progress: Progress,
    engine: Engine,
) -> SelectedPart:
    part = _with_looks(part, glances, store)
    family = make_family(part.family, part.family_options, store)
    alignment = make_alignment(part.alignment_name, part.alignment_options, store)
    first = sum(len(before.drawn.slots) for before in earlier)
    painted = _painted(earlier) if not isinstance(family, ChoosingFamily) else frozenset()
    request = Request(
        records=(lambda: (r for r in records() if normalised(r.key) not in painted)) if painted else records,
        count=found.changeable - len(painted),
        rate=part.rate,
        slots=part.slots,
        keys=replace(keys, recipient=MASTER),
        obstacles=obstacles(family, alignment, dataset.options.leave_captions, budget, progress, engine),
        descriptions=family.descriptions,
        leave=dataset.options.leave_captions,
        first=first,
        queries=part.queries or family.queries,
        engine=engine,
    )
    if isinstance(family, ChoosingFamily) and glances is not None:
        leanings = leanings_of(family, glances, request.records, lambda slot: keys.slot(first + slot))
        request = replace(request, leanings=leanings, obstacles=without_obstacles)
    drawn = alignment.draw(request)
    if glances is not None and isinstance(family, ChoosingFamily):
        drawn = replace(drawn, passed=(*drawn.passed, *glances.set_aside))
    return SelectedPart(part, family, alignment, drawn, alignment.ask(drawn, request))


def _painted(earlier: Sequence[SelectedPart]) -> frozenset[str]:
    """Keys of the samples whose pictures earlier parts paint."""
    drawn = (d for part in earlier if not isinstance(part.family, ChoosingFamily) for d in part.drawn.slots)
    return frozenset(normalised(record.key) for draw in drawn for record in draw.carriers)


def _with_looks(part: PartOptions, glances: Glances | None, store: Store) -> PartOptions:
    """The options with the name of the looks, measured now unless the owner named some."""
    if glances is None or not family_class(part.family).needs_looks or part.family_options.get("looks"):
        return part
    name = hold_looks(glances.fitted(), store)
    return replace(part, family_options={**part.family_options, "looks": name})
