"""The owner's classes, and which of a suspect's outputs means which of them."""

from __future__ import annotations

import csv
import difflib
import re
from pathlib import Path

import numpy as np

from detect.classifiers.interface import Answers, Classifier
from protect.errors import InputError, SuspectError
from protect.marks.interface import Pixels

_NAMELESS = re.compile(r"(LABEL_)?\d+")
"""What libraries call classes that nobody named."""


def read_classes(path: Path) -> tuple[str, ...]:
    """One class a line.

    Raises:
        InputError: if the file cannot be read, or holds fewer than two classes or one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "Give a UTF-8 text file, one class a line.") from None
    names = [line.strip() for line in lines if line.strip()]
    doubled = sorted({n for n in names if names.count(n) > 1})
    if len(names) < 2 or doubled:
        raise InputError(
            f"{path} holds {len(names)} class(es)" + (f", {doubled[0]!r} twice" if doubled else ""),
            "Write two classes or more, one a line.",
        )
    return tuple(names)


def read_map(path: Path) -> dict[str, str]:
    """Two columns without a header: the suspect's label, the owner's class.

    Raises:
        InputError: if the file cannot be read or a row has other than two columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})", "Give a CSV file: suspect's label, your class.") from None
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise InputError(f"{path}, row {number}: {len(row)} columns", "Write two: suspect's label, your class.")
    return {theirs.strip(): ours.strip() for theirs, ours in rows}


class Aligned(Classifier):
    """A suspect whose answers are in the owner's order of classes; its further classes become -1."""

    def __init__(self, suspect: Classifier, classes: tuple[str, ...], mapping: dict[str, str] | None = None) -> None:
        self._suspect = suspect
        self.name, self.identity, self.classes = suspect.name, suspect.identity, classes
        self._places = _places(suspect, classes, mapping)

    def answer(self, pictures: Pixels) -> Answers:
        """The suspect's answers, reordered (see `Classifier.answer`)."""
        said = self._suspect.answer(pictures)
        width = 0 if said.scores is None else said.scores.shape[1]
        if self._places is None:
            if width and width != len(self.classes or ()):
                raise SuspectError(
                    f"{self.name} tells {width} classes, your list has {len(self.classes or ())}",
                    "Give a --map: suspect's label, your class.",
                )
            return said
        places = self._places
        if said.labels.max(initial=-1) >= len(places):
            raise SuspectError(f"{self.name} answered class {said.labels.max()}", f"It named {len(places)} classes.")
        labels = np.where(said.labels < 0, -1, places[said.labels])
        if said.scores is None:
            return Answers(labels)
        scores = np.stack([said.scores[:, np.flatnonzero(places == c)[0]] for c in range(len(self.classes or ()))], 1)
        return Answers(labels, scores)


def _places(suspect: Classifier, classes: tuple[str, ...], mapping: dict[str, str] | None) -> np.ndarray | None:
    """For each of the suspect's outputs the owner's class, or -1; None to take them in order."""
    own = suspect.classes
    if mapping:
        if stray := sorted(set(mapping.values()) - set(classes)):
            raise InputError(f"the map names {stray[0]!r}, which is none of your classes", _nearest(stray[0], classes))
        own = own or tuple(str(i) for i in range(max(len(mapping), len(classes))))
        if unknown := sorted(set(mapping) - set(own)):
            raise InputError(f"the map names {unknown[0]!r}, which the suspect has not", _nearest(unknown[0], own))
    elif own is None or all(_NAMELESS.fullmatch(name) for name in own):
        if own is not None and len(own) != len(classes):
            raise InputError(
                f"{suspect.name} has {len(own)} unnamed outputs, your list has {len(classes)} classes",
                "Give a --map: suspect's label, your class.",
            )
        return None
    names = {_plain(c): i for i, c in enumerate(classes)}
    told = [mapping.get(name, "") if mapping else name for name in own]
    places = np.array([names.get(_plain(name), -1) for name in told], dtype=np.intp)
    lacking = [c for i, c in enumerate(classes) if i not in places]
    if lacking:
        raise InputError(
            f"{suspect.name} has no class {lacking[0]!r} ({len(lacking)} of {len(classes)} lacking)",
            _nearest(lacking[0], own) + " Or give a --map: suspect's label, your class.",
        )
    return places


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _nearest(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, 3, 0.0)
    return f"Nearest: {', '.join(close)}."
