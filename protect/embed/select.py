"""Which samples carry which slot's mark, decided by the key before any mark is looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from protect.alignments import make_alignment
from protect.alignments.alignment import Alignment, Drawn, Request
from protect.embed.fit import check_kind, check_reachable, check_survey
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.threads import map_in_order
from protect.formats.dataset_format import Dataset
from protect.formats.digest import DatasetDigest
from protect.formats.record import Record
from protect.formats.survey import Survey, may_change, survey
from protect.keys.store import Store
from protect.keys.tree import KeyTree, parse_coin_value
from protect.marks import make_family
from protect.marks.family import MarkFamily
from protect.pixels.captions import embedded_captions
from protect.pixels.picture import PictureError, obstacle, pixel_count, read_rgba
from protect.progress import Progress, no_progress
from protect.release.plan import Options
from protect.release.record import Coin, Plan, Questions, Release, make_header

UNDATED = datetime.fromtimestamp(0, UTC)
"""Date of rehearsals: the date is committed to, and the same throw-away secret must give the same bytes."""
_SHORTEST_REPEAT = 12
"""Characters from which a caption found inside a picture file is no chance meeting."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the key decides about a dataset."""

    dataset: Dataset
    survey: Survey
    drawn: Drawn
    decoys: int
    """Per slot."""


def select(
    dataset: Dataset,
    options: Options,
    keys: KeyTree,
    store: Store,
    budget: MemoryBudget,
    progress: Progress = no_progress,
) -> Selection:
    """Survey a dataset and draw triggers and carriers.

    Args:
        dataset: the owner's.
        options: the owner's decisions.
        keys: the release's keys.
        store: what families keep.
        budget: memory for pictures that are looked at.
        progress: told about stages.

    Raises:
        InputError: if dataset, family and alignment do not fit, or leave a slot without a carrier.
    """
    family, alignment = (
        make_family(options.family, options.family_options, store),
        make_alignment(options.alignment_name),
    )
    check_kind(dataset, family, alignment)
    found = survey(dataset, progress)
    check_survey(found, dataset)
    drawn = alignment.draw(
        Request(
            records=lambda: (r for r in dataset.records() if may_change(r, dataset.options)),
            count=found.changeable,
            rate=options.rate,
            slots=options.slots,
            keys=keys,
            obstacles=_obstacles(family, alignment, dataset.options.leave_captions, budget, progress),
            descriptions=family.descriptions,
            leave=dataset.options.leave_captions,
        )
    )
    decoys = options.decoys if drawn.decoys is None else drawn.decoys
    check_reachable(options, family, alignment, decoys, len(drawn.slots))
    return Selection(dataset, found, drawn, decoys)


def _obstacles(
    family: MarkFamily, alignment: Alignment, leave: Sequence[str], budget: MemoryBudget, progress: Progress
) -> Callable[[Sequence[Record]], Sequence[str | None]]:
    def look(record: Record) -> str | None:
        changed = alignment.align(record.caption, "x") != record.caption
        return _obstacle(record, family, leave if changed else None, budget)

    def look_at_all(records: Sequence[Record]) -> Sequence[str | None]:
        reasons = []
        # In the order of the keys, so that what lies together is read together.
        order = sorted(range(len(records)), key=lambda i: records[i].key)
        for i, reason in enumerate(map_in_order(look, [records[place] for place in order]), 1):
            reasons.append(reason)
            progress("looking at pictures", i, len(records))
        found: list[str | None] = [None] * len(records)
        for place, reason in zip(order, reasons, strict=True):
            found[place] = reason
        return found

    return look_at_all


def _obstacle(record: Record, family: MarkFamily, leave: Sequence[str] | None, budget: MemoryBudget) -> str | None:
    """Why a sample cannot carry a mark. Depends on its file and captions alone.

    Args:
        record: the sample.
        family: what is to be planted.
        leave: fields that may keep the old caption; None if captions do not change.
        budget: memory.
    """
    try:
        data = record.read()
        with budget.hold(pixel_count(data) * family.bytes_per_pixel):
            picture = read_rgba(data)
            reason = obstacle(data, decoded=True) or family.obstacle(picture)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except PictureError as error:
        return error.what
    if reason is None and leave is not None:
        reason = _repeated_caption(data, record, leave)
    return reason


def _repeated_caption(data: bytes, record: Record, leave: Sequence[str]) -> str | None:
    for name, text in embedded_captions(data).items():
        repeats = any(len(c) >= _SHORTEST_REPEAT and c.strip() in text for c in record.captions.values())
        if repeats and name not in leave:
            return f"its file repeats the caption in {name} (to leave it there: --leave-captions {name})"
    return None


def digest_of_pictures(dataset: Dataset, progress: Progress = no_progress) -> str:
    """Digest over the keys and picture files of all samples that may be changed; reads every one of them."""

    def look(record: Record) -> tuple[str, str]:
        try:
            return record.key, hashlib.sha256(record.read()).hexdigest()
        except OSError:
            return record.key, "cannot be read"

    digest = DatasetDigest()
    records = (record for record in dataset.records() if may_change(record, dataset.options))
    for done, (key, found) in enumerate(map_in_order(look, records), 1):
        digest.add_picture(key, found)
        progress("reading pictures", done, 0)
    return digest.hexdigest()


def commit_to(
    selection: Selection,
    options: Options,
    secret: bytes,
    store: Store,
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
        store: what families keep.
        name: how people call the release; not committed to.
        created: time of the commitment.
        rehearsal: whether the secret is a throw-away.
        coin: public randomness that is to come; of the draws only their number is committed to then.
        pictures: digest of all pictures, which takes the place of the questions' (`digest_of_pictures`).
    """
    plan = plan_of(selection, options, store, pictures)
    date = created.astimezone(UTC).isoformat(timespec="seconds")
    if coin:
        return Release(name, secret, make_header(plan, created=date, rehearsal=rehearsal, coin=coin))
    draft = ask_about(Release(name, secret, make_header(plan, created=date, rehearsal=rehearsal)), selection.drawn)
    header = make_header(plan, created=date, rehearsal=rehearsal, questions=draft.questions_digest)
    return replace(draft, header=header)


def plan_of(selection: Selection, options: Options, store: Store, pictures: str | None) -> Plan:
    """What is committed to."""
    family = make_family(options.family, options.family_options, store)
    return Plan(
        family=family.name,
        family_options=dict(options.family_options),
        family_version=family.version,
        alignment=make_alignment(options.alignment_name).label,
        rate=options.rate,
        slots=len(selection.drawn.slots),
        dataset=selection.survey.digest,
        samples=selection.survey.changeable,
        pictures=pictures,
        leave_captions=tuple(sorted(selection.dataset.options.leave_captions)),
        decoys=selection.decoys,
        alpha=options.alpha,
        queries=options.queries or family.queries,
        steps=options.steps,
        guidance=options.guidance,
    )


def ask_about(release: Release, drawn: Drawn) -> Release:
    """The release with each slot's trigger and questions, all from the slot's key and its carriers' captions."""
    questions = (
        Questions(draw.trigger, *_prompts_and_seeds(release, slot, [c.caption for c in draw.carriers]))
        for slot, draw in enumerate(drawn.slots)
    )
    return release.with_questions(tuple(questions))


def _prompts_and_seeds(release: Release, slot: int, captions: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Questions of a slot: captions of its own carriers in an order of their own, over and over, with 32-bit seeds.

    What was trained together is recalled together. Which samples are carriers does not depend on any mark, so neither
    do the questions.
    """
    key, count = release.keys.slot(slot), release.plan.queries
    order = key.rng("prompts").permutation(len(captions))
    prompts = tuple(captions[order[i % len(captions)]] for i in range(count))
    return prompts, tuple(int(seed) for seed in key.rng("seeds").integers(0, 2**32, count))


def with_coin(release: Release, value: str) -> Release:
    """A committed release once its public coin is known.

    Raises:
        InputError: if the release named no coin.
    """
    if release.coin_named is None:
        raise InputError(f"commitment {release.id} names no public coin", "Leave --coin out.")
    return replace(release, coin=parse_coin_value(value))
