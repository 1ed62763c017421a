"""A fixed public probe: a suspect is known by what it answers, besides its files.

The same weights saved anew, or put together from other files, answer it alike: they are the same suspect, and no
control of themselves. It costs four pictures of three steps once for each suspect; its hash stays in the ledger.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Classifier
from detect.suspects.images.suspect import Query, Sampler, Suspect
from detect.trial.answers import digest, pixel_hash
from detect.trial.ledger import Subject, opened, subject_of
from detect.trial.transcript import is_blank
from protect.errors import InputError, TracemarkError
from protect.files import canonical_json
from protect.keys.keyring import Keyring
from protect.marks.family import Pixels

QUERIES = tuple(
    Query(prompt, seed)
    for seed, prompt in enumerate(
        (
            "a red apple on a wooden table",
            "a photo of a dog in the snow",
            "a portrait of an old man",
            "a small house by the sea at night",
        )
    )
)
SAMPLER = Sampler(steps=3, guidance=3.0)
SHOWN = 16
"""Pictures that a classifier is shown."""
_SIDE = 64
_DECIMALS = 6
"""Of scores: what is less is rounding."""
_FEWEST_LABELS = 3
"""Labels without scores tell something only where several occur."""


def recognise(keyring: Keyring, suspect: Subject) -> str:
    """Who a suspect is: the name under which the ledger knows whatever has its files or answers as it does.

    Args:
        keyring: holds the ledger, and in it all probes that were ever taken.
        suspect: is asked the probe if it never was.
    """
    own = digest(suspect.identity)
    with opened(keyring) as ledger:
        probe = ledger.probe_of(own)
    if probe is None:
        probe = take_probe(suspect)
    with opened(keyring) as ledger:
        return ledger.recognise(subject_of(suspect), own, probe)


def refuse_same(keyring: Keyring, role: str, other: Subject | None, suspect: Subject, next_step: str) -> None:
    """Refuse a control or reference that is the suspect itself.

    Raises:
        InputError: if it has the suspect's weights, or answers the probe as the suspect does.
    """
    if other is None:
        return
    if subject_of(other) == subject_of(suspect):
        raise InputError(f"the {role} {other.name} has the suspect's own weights", next_step)
    if recognise(keyring, other) == recognise(keyring, suspect):
        raise InputError(
            f"the {role} {other.name} is the suspect: it answers the same questions with the same pictures", next_step
        )


def take_probe(suspect: Subject) -> str:
    """Hash of a suspect's answers to the probe, 64 hex digits; empty if it cannot be asked, or they tell nothing."""
    try:
        if isinstance(suspect, Suspect):
            return _of_pictures(suspect)
        if isinstance(suspect, Classifier):
            return _of_labels(suspect.unaligned if isinstance(suspect, Aligned) else suspect)
    except TracemarkError:
        pass  # the trial itself will say what is wrong with it
    return ""


def probe_pictures() -> Pixels:
    """What classifiers are shown: smooth patterns, the same everywhere; RGB, shape (16, 64, 64, 3)."""
    coarse = np.random.RandomState(2026).randint(0, 256, (SHOWN, 8, 8, 3))  # this stream never changes
    return np.repeat(np.repeat(coarse, _SIDE // 8, axis=1), _SIDE // 8, axis=2).astype(np.uint8)


def _of_pictures(suspect: Suspect) -> str:
    if not suspect.repeatable:
        return ""
    pictures = [answer.picture for answer in suspect.answer(QUERIES, SAMPLER)]
    if any(picture is None or is_blank(picture) for picture in pictures):
        return ""
    return _hash([pixel_hash(picture) for picture in pictures if picture is not None])


def _of_labels(suspect: Classifier) -> str:
    said = suspect.answer(probe_pictures())
    if said.scores is None:
        labels = said.labels.tolist()
        return _hash(labels) if len(set(labels)) >= _FEWEST_LABELS else ""
    scores = np.round(said.scores, _DECIMALS) + 0.0
    return _hash(scores.tolist()) if np.ptp(scores) > 0 else ""


def _hash(content: object) -> str:
    return sha256(canonical_json(content)).hexdigest()
