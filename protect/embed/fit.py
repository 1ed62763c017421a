"""Whether dataset, options, family and alignment fit each other, before anything is drawn or written."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protect.alignments import make_alignment
from protect.alignments.alignment import Alignment
from protect.alignments.waa_many import WaaMany
from protect.errors import InputError
from protect.evidence import reachable
from protect.formats.dataset_format import Dataset
from protect.formats.survey import Survey
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.release.plan import Options

MANY_WORDS = WaaMany.name


def check_survey(found: Survey, dataset: Dataset) -> None:
    """Say what is wrong if no sample may be changed, or an option fits none."""
    if found.samples and found.unused:
        raise InputError(
            f"no sample of {dataset.root} fits {' or '.join(found.unused)}",
            f"Keys look like {next((r.key for r in dataset.records()), 'nothing')!r}; splits are "
            f"{', '.join(found.splits) or 'none'}. Mend the option; a folder is written as 'folder/*'.",
        )
    if not found.samples and found.first_set_aside:
        first = found.first_set_aside[0]
        raise InputError(
            f"no sample of {dataset.root} can take part ({found.set_aside} set aside); {first.key}: {first.reason}",
            "Mend the dataset.",
        )
    if found.samples and not found.changeable:
        splits = ", ".join(f"{name} ({count})" for name, count in found.splits.items())
        raise InputError(
            f"none of the {found.samples} samples may be changed: their splits are {splits}, and --split, --only and "
            "--exclude leave none",
            "Give --split all, or mend the options.",
        )


def check_kind(dataset: Dataset, family: type[MarkFamily], alignment: Alignment) -> None:
    """See that dataset, family and alignment fit each other.

    Raises:
        InputError: if they do not.
    """
    if family.needs_pairs and not (alignment.has_trigger or alignment.for_classifiers):
        raise InputError(
            f"family {family.name!r} compares answers with and without the trigger, and {alignment.name!r} has none",
            "Use another --family or --alignment.",
        )
    if alignment.captions_stay and issubclass(family, ChoosingFamily):
        raise InputError(
            f"family {family.name!r} lives in captions, and alignment {alignment.name!r} leaves them as they are",
            "Use --alignment wording or twa, or another --family.",
        )
    if alignment.chooses and not issubclass(family, ChoosingFamily):
        raise InputError(
            f"alignment {alignment.name!r} is for marks that change no picture, and {family.name!r} paints them",
            "Use --family lean, or another --alignment.",
        )
    if MANY_WORDS in (family.usual_alignment, alignment.name) and family.usual_alignment != alignment.name:
        raise InputError(
            f"family {family.name!r} and alignment {alignment.name!r} do not go together",
            "Use --family shade with --alignment waa-many.",
        )
    if dataset.for_classifiers and not alignment.for_classifiers:
        raise InputError(
            f"{dataset.root} holds class folders and no captions",
            "Add captions (docs/datasets.md), or mark it for classifiers: --alignment label.",
        )


def check_together(alignments: Sequence[Alignment]) -> None:
    """See that the parts of a release do not undo each other's captions.

    Raises:
        InputError: if two of them choose between wordings: they might choose differently.
    """
    choosing = [alignment.name for alignment in alignments if alignment.chooses]
    if len(choosing) > 1:
        raise InputError(
            f"{len(choosing)} parts of the release choose between wordings ({', '.join(choosing)})",
            "Give all their slots to one part.",
        )


def check_for_recipients(options: Options, store: Store) -> None:
    """See that recipients' copies can differ in choices of words alone, or carry the bits of a tracing code.

    A choosing family would give every recipient other carriers: whoever compares two copies would see them by their
    triggers or pushed pictures. Two ways of marking do not add up to one evidence.

    Raises:
        InputError: if they can do neither.
    """
    if not options.recipients:
        return
    for part in options.parts:
        family = make_family(part.family, part.family_options, store)
        alignment = make_alignment(part.alignment_name, part.alignment_options, store)
        chooses = isinstance(family, ChoosingFamily)
        pushed = isinstance(family, ChoosingFamily) and family.changes_pictures
        words = alignment.chooses and not pushed
        if options.besides or alignment.for_classifiers or (chooses and not words):
            what = f"{part.family}, {part.alignment_name}{' with a push' if pushed else ''}"
            raise InputError(
                f"--for-recipients: {what}{', with other marks besides,' if options.besides else ''} cannot tell "
                "recipients apart without showing them the carriers",
                "Use --family lean --alignment wording without a push, or one painted family and many --slots.",
            )


def check_code(options: Options, family: MarkFamily, slots: int) -> None:
    """See that a tracing code has bits enough to tell two recipients apart.

    Args:
        options: the owner's decisions.
        family: of the only part.
        slots: one bit each.

    Raises:
        InputError: if it has not; says how many would do at the least.
    """
    fewest = math.ceil(math.log2(2 / options.alpha))
    if options.recipients and not isinstance(family, ChoosingFamily) and slots < fewest:
        raise InputError(
            f"{slots} slot(s) of family {family.name!r} are a tracing code of {slots} bit(s): it hardly names "
            f"anybody at alpha {options.alpha:g}",
            f"Use --slots {fewest} or more (protect plan --recipients N says how many), or --family lean.",
        )


def check_reachable(options: Options, decoys: int, distinct: Sequence[int | None], *, classes: bool) -> None:
    """See that the strongest outcome that can be hoped for would be evidence.

    Args:
        options: the owner's decisions.
        decoys: per slot.
        distinct: of each slot, how many marks its family has; None for more than can be drawn.
        classes: whether the decoys are the classes of the dataset.

    Raises:
        InputError: if they do not.
    """
    if reachable(decoys, distinct, 1 / options.alpha):
        return
    fewest = min((marks for marks in distinct if marks), default=None)
    more = "more classes" if classes else "a larger pool" if fewest and fewest <= decoys else "more --decoys"
    raise InputError(
        f"{len(distinct)} slot(s) with {decoys} decoys"
        + (f" from {fewest} marks" if fewest else "")
        + f" cannot give evidence at alpha {options.alpha:g}",
        f"Use more --slots, a larger --alpha or {more}.",
    )
