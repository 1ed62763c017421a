"""Which samples carry which slot's mark, and what will be asked. No question depends on a mark."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

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
from protect.embed.looks import Glances, take_glances, without_obstacles
from protect.embed.obstacles import obstacles, picture_obstacle, repeated_caption
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, Threads, batches
from protect.formats.dataset_format import Dataset
from protect.formats.digest import DatasetDigest
from protect.formats.record import Record, SetAside, normalised
from protect.formats.remembered import Remembered
from protect.formats.survey import Survey, may_change, survey
from protect.keys.coin import check_value
from protect.keys.store import Store
from protect.keys.tree import MASTER, KeyTree, SlotKey
from protect.marks import family_class, make_family
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.marks.looks import hold_looks
from protect.progress import Progress, no_progress
from protect.release.plan import Options, PartOptions
from protect.release.record import Coin, Part, Plan, Questions, Release, make_header

UNDATED = datetime.fromtimestamp(0, UTC)
"""Date of rehearsals: the date is committed to, and the same throw-away secret must give the same bytes."""
_BATCH = 64
"""Pictures that a worker reads in one go."""


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
    records = Remembered(lambda: _changeable(dataset))
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


def _changeable(dataset: Dataset) -> Iterator[Record]:
    return (record for record in dataset.records() if may_change(record, dataset.options))


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


def leanings_of(
    family: ChoosingFamily,
    glances: Glances,
    records: Callable[[], Iterator[Record]],
    key_of: Callable[[int], SlotKey],
) -> Callable[[int], NDArray[np.float64]]:
    """How far each picture leans towards a slot's mark, blurred as the owner wishes.

    Args:
        family: with its looks.
        glances: at the pictures.
        records: the samples, in the same order.
        key_of: key of each slot of this part.
    """

    def lean(slot: int) -> NDArray[np.float64]:
        key = key_of(slot)
        found = glances.leanings(family.fitted_looks, lambda looks: family.leanings(looks, key.planted))
        if not family.softness:
            return found
        keys = (normalised(record.key) for record in records())
        return found + family.softness * _noise(key, keys, len(found))

    return lean


def _noise(key: SlotKey, names: Iterable[str], count: int) -> NDArray[np.float64]:
    """A standard normal number for each sample, which follows from its own key and not from its place."""
    bits = np.fromiter((key.integer("softness", name) for name in names), np.uint64, count) >> np.uint64(12)
    return np.asarray(ndtri((bits.astype(np.float64) + 0.5) / 2**52))


def digest_of_pictures(dataset: Dataset, progress: Progress = no_progress, engine: Engine | None = None) -> str:
    """Digest over the keys and picture files of all samples that may be changed; reads every one of them."""
    digest, done = DatasetDigest(), 0
    for found in (engine or Threads()).map(_hashes, batches(_changeable(dataset), _BATCH)):
        for key, sha256 in found:
            digest.add_picture(key, sha256)
        done += len(found)
        progress("reading pictures", done, 0)
    return digest.hexdigest()


def _hashes(records: Sequence[Record]) -> list[tuple[str, str]]:
    return [(record.key, _hash_of(record)) for record in records]


def _hash_of(record: Record) -> str:
    try:
        return hashlib.sha256(record.read()).hexdigest()
    except OSError:
        return "cannot be read"


def commit_to(
    selection: Selection,
    options: Options,
    secret: bytes,
    *,
    name: str,
    created: datetime,
    rehearsal: bool = False,
    coin: Coin | None = None,
    pictures: str | None = None,
) -> Release:
    """A release with its commitment, and with its questions unless they wait for a coin.

    Args:
        selection: what the key decides.
        options: the owner's decisions.
        secret: 32 bytes.
        name: how people call the release; not committed to.
        created: time of the commitment.
        rehearsal: whether the secret is a throw-away.
        coin: public randomness that is to come; of the draws only their number is committed to then.
        pictures: digest of all pictures, which takes the place of the questions' (`digest_of_pictures`).
    """
    plan = plan_of(selection, options, pictures)
    date = created.astimezone(UTC).isoformat(timespec="seconds")
    if coin:
        return Release(name, secret, make_header(plan, created=date, rehearsal=rehearsal, coin=coin))
    draft = Release(name, secret, make_header(plan, created=date, rehearsal=rehearsal))
    draft = draft.with_questions(selection.questions)
    header = make_header(plan, created=date, rehearsal=rehearsal, questions=draft.questions_digest)
    return replace(draft, header=header)


def plan_of(selection: Selection, options: Options, pictures: str | None) -> Plan:
    """What is committed to."""
    return Plan(
        parts=tuple(map(_part_of, selection.parts)),
        dataset=selection.survey.digest,
        samples=selection.survey.changeable,
        pictures=pictures,
        leave_captions=tuple(sorted(selection.dataset.options.leave_captions)),
        decoys=selection.decoys,
        alpha=options.alpha,
        steps=options.steps,
        guidance=options.guidance,
        recipients=options.recipients,
    )


def _part_of(selected: SelectedPart) -> Part:
    family, options = selected.family, selected.options
    return Part(
        family=family.name,
        family_options=dict(options.family_options),
        family_version=family.version,
        alignment=selected.alignment.label,
        alignment_options=dict(options.alignment_options),
        rate=options.rate,
        slots=len(selected.drawn.slots),
        queries=options.queries or family.queries,
    )


def with_coin(release: Release, value: str) -> Release:
    """A committed release once its public coin is known.

    Raises:
        InputError: if the release named no coin, or this is not its value.
    """
    if release.coin_named is None:
        raise InputError(f"commitment {release.id} names no public coin", "Leave --coin out.")
    return replace(release, coin=check_value(release.coin_named, value, release.coin))
