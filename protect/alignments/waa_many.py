"""WAA with dozens of words at once: captions stay, and every word of a list has pictures of its own.

For families whose marks have a part for each word, such as `shade`. The words are ordinary ones, so captions that
somebody writes anew hold most of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protect.alignments.alignment import Alignment, Draw, Drawn, Request, drawn_captions, question_seeds
from protect.alignments.dealing import choose, count_slots
from protect.alignments.vocabulary import Vocabulary, held_words, vocabulary
from protect.errors import InputError
from protect.formats.record import Record, SetAside
from protect.marks.family import MarkFamily
from protect.marks.shade import Shade
from protect.release.record import Questions

FEWEST_WORDS = 12
"""With fewer, decoys are too like the planted mark."""
MOST_WORDS = 120
_JOINT = ", "
_NAMED = 8
"""Words that an error names."""


class WaaMany(Alignment):
    """Dozens of words, drawn by the key; all pictures whose captions hold one of them are carriers."""

    name = "waa-many"
    summary = "captions untouched; dozens of ordinary words at once, each with a part of the mark; for shade"
    captions_stay = True

    def draw(self, request: Request) -> Drawn:
        """Per slot a list of words drawn by its key; all pictures that hold one of them are carriers.

        Only the caption that most trainers read counts, and of it only what the text encoder surely reads. One slot
        unless more are wanted; words of one slot are in no other, and a picture goes to the first slot it could go to.

        Raises:
            InputError: if too few words fit; names those that do.
        """
        request = replace(request, slots=request.slots or 1)
        slots = count_slots(request.allowed, request)
        known = vocabulary(request.first_captions, request.count, request.allowed // slots, request.slot(0))
        lists = []
        for slot in range(slots):
            fitting = known.fitting
            lists.append(known.take(request.slot(slot), MOST_WORDS))
            if len(lists[-1]) < FEWEST_WORDS:
                raise _too_few(known, fitting, lists, request)
        draws: list[Draw] = []
        passed: list[SetAside] = []
        for chosen, holding in zip(lists, _holding(lists, request), strict=True):
            carriers, aside = choose(holding.__iter__, len(holding), request)
            if not carriers:
                raise InputError(
                    f"none of {len(holding)} pictures can carry a mark ({aside[0].key}: {aside[0].reason})",
                    "Use other pictures, or another --family.",
                )
            draws.append(Draw(_JOINT.join(chosen), tuple(carriers)))
            passed += aside
        return Drawn(tuple(draws), tuple(passed))

    def align(self, caption: str, trigger: str) -> str:
        """The caption itself."""
        return caption

    def without_trigger(self, caption: str, trigger: str) -> None:
        """There is no other way: without its words a caption would ask for another picture."""
        return None

    def ask(self, drawn: Drawn, request: Request) -> tuple[Questions, ...]:
        """Captions of any samples, carriers or not, that hold a slot's words, and which of them each holds."""
        return tuple(self._asked(draw, request, number) for number, draw in enumerate(drawn.slots))

    def _asked(self, draw: Draw, request: Request, number: int) -> Questions:
        key, listed = request.slot(number), draw.trigger.split(_JOINT)
        captions = drawn_captions(key, request, lambda record: bool(held_words(record.caption, listed)))
        prompts = tuple(captions[place % len(captions)] for place in range(request.queries))
        return Questions(
            trigger=draw.trigger,
            prompts=prompts,
            contrasts=(),
            seeds=question_seeds(key, request.queries),
            design=tuple(_row(prompt, listed) for prompt in prompts),
            taught=draw.taught,
        )

    def is_design_of(self, questions: Questions) -> bool:
        """Whether the design says which words each question holds."""
        listed = questions.trigger.split(_JOINT)
        return questions.design == tuple(_row(prompt, listed) for prompt in questions.prompts)

    def condition(self, family: MarkFamily, questions: Questions) -> MarkFamily:
        """The family as it scores answers to captions that hold some of the words each."""
        return family.asked(questions.design) if isinstance(family, Shade) else family

    def for_sample(self, family: MarkFamily, caption: str, trigger: str) -> MarkFamily:
        """The family as it plants the parts of the words that a caption holds."""
        found = held_words(caption, trigger.split(_JOINT))
        return family.of_words(found) if found and isinstance(family, Shade) else family


def _row(caption: str, listed: Sequence[str]) -> tuple[int, ...]:
    held = set(held_words(caption, listed))
    return tuple(int(place in held) for place in range(len(listed)))


def _holding(lists: Sequence[Sequence[str]], request: Request) -> list[list[Record]]:
    """The samples of each slot: those that hold one of its words and none of an earlier slot's."""
    holding: list[list[Record]] = [[] for _ in lists]
    for record in request.records():
        slot = next((slot for slot, listed in enumerate(lists) if held_words(record.caption, listed)), None)
        if slot is not None:
            holding[slot].append(record)
    return holding


def _too_few(
    known: Vocabulary, fitting: Sequence[tuple[str, int]], lists: Sequence[Sequence[str]], request: Request
) -> InputError:
    low, high = known.bounds
    of_slot = f" for slot {len(lists)}, apart from earlier slots' samples" if len(lists) > 1 else ""
    return InputError(
        f"{len(lists[-1])} words together fit into {known.share} of {request.count} samples{of_slot}, each in {low} to "
        f"{high} of their first captions ({_counted(fitting)}); {FEWEST_WORDS} are needed",
        f"Commonest of all: {_counted(known.commonest)}. Use a higher --rate, more pictures or captions that say more, "
        "or another --alignment.",
    )


def _counted(found: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{word!r} in {count}" for word, count in found[:_NAMED]) or "none"
