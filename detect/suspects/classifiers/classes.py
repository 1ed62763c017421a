"""The owner's classes, and which of a suspect's outputs means which of them."""

from __future__ import annotations

import csv
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.classifiers.labels import nearest, plain
from protect.errors import InputError, SuspectError
from protect.files import canonical_json
from protect.marks.family import Pixels

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
        self._suspect, self._own, self._mapping = suspect, classes, mapping or {}
        self.name, self.classes = suspect.name, classes
        # How outputs are read is part of what answers depend on: another reading is a further look.
        reading = [list(classes), sorted(self._mapping.items())]
        self.identity = suspect.identity | {"classes": sha256(canonical_json(reading)).hexdigest()}
        if stray := sorted(set(self._mapping.values()) - set(classes)):
            raise InputError(f"the map names {stray[0]!r}, which is none of your classes", nearest(stray[0], classes))
        if suspect.classes is not None:
            self._places(len(suspect.classes))

    @property
    def unaligned(self) -> Classifier:
        """The suspect with its own classes in its own order."""
        return self._suspect

    def answer(self, pictures: Pixels) -> Answers:
        """The suspect's answers, reordered (see `Classifier.answer`).

        Raises:
            InputError: if its number of outputs does not fit.
        """
        said = self._suspect.answer(pictures)
        named = self._suspect.classes
        width = said.scores.shape[1] if said.scores is not None else len(named or self._own)
        if named is not None and width != len(named):
            raise SuspectError(f"{self.name} gave {width} scores for {len(named)} classes", "Check the suspect.")
        places = self._places(width)
        labels = np.where(said.labels < 0, -1, places[said.labels])
        if said.scores is None:
            return Answers(labels)
        return Answers(labels, said.scores[:, [int(np.flatnonzero(places == c)[0]) for c in range(len(self._own))]])

    def _places(self, width: int) -> NDArray[np.intp]:
        """For each of the suspect's outputs the owner's class, or -1."""
        names = self._suspect.classes or tuple(str(i) for i in range(width))
        if not self._mapping and all(_NAMELESS.fullmatch(name) for name in names):
            if len(names) != len(self._own):
                raise InputError(
                    f"{self.name} has {len(names)} unnamed outputs, your list has {len(self._own)} classes",
                    "Give a --map: suspect's label, your class.",
                )
            return np.arange(width)
        if unknown := sorted(set(self._mapping) - set(names)):
            raise InputError(f"the map names {unknown[0]!r}, which the suspect has not", nearest(unknown[0], names))
        wanted = {plain(c): i for i, c in enumerate(self._own)}
        meant = [self._mapping.get(name, "") if self._mapping else name for name in names]
        places = np.array([wanted.get(plain(name), -1) for name in meant], dtype=np.intp)
        if lacking := [c for i, c in enumerate(self._own) if i not in places]:
            raise InputError(
                f"{self.name} has no class {lacking[0]!r} ({len(lacking)} of {len(self._own)} lacking)",
                nearest(lacking[0], names) + " Or give a --map: suspect's label, your class.",
            )
        return places
