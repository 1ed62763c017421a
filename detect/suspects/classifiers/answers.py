"""A black box that somebody else asked: its answers to a written query set, as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.classifiers.labels import indices, with_scores
from detect.trial.answers import pixel_hashes
from protect.errors import InputError, SuspectError
from protect.files import new_folder, sha256_file
from protect.marks.family import Pixels
from protect.names import known_as
from protect.pixels.measure import png_bytes

TABLE = "answers.csv"


def file_name(pixel_hash: str) -> str:
    """Name of a query picture: it tells nothing but what anyone sees."""
    return f"{pixel_hash[:24]}.png"


def write_queries(folder: Path, pictures: Sequence[Pixels], classes: tuple[str, ...]) -> int:
    """Write a query set: pictures named by their content, in the order of their names, and a table to fill in.

    The folder appears under its name only when whole.

    Args:
        folder: must not exist, or be empty.
        pictures: RGB, shape (H, W, 3) each.
        classes: what the suspect chooses from.

    Returns:
        The number of different pictures.
    """
    named = sorted({file_name(pixel_hashes(p[None])[0]): i for i, p in enumerate(pictures)}.items())
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["file", "label"], *([name, ""] for name, _ in named)])
    with new_folder(folder) as partial:
        for name, place in named:
            (partial / name).write_bytes(png_bytes(pictures[place]))
        (partial / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
        (partial / TABLE).write_text(buffer.getvalue(), encoding="utf-8", newline="")
    return len(named)


class AnswersClassifier(Classifier):
    """Columns `file` and `label`, and for scores one column per class."""

    def __init__(self, table: Path, classes: tuple[str, ...], name: str, *, positions: bool) -> None:
        """Read a table.

        Args:
            table: CSV.
            classes: the suspect's own, in order.
            name: what the black box is called: the same one asked again must bear the same name.
            positions: whether numbers count as positions among the classes.
        """
        self.name, self.classes = name, classes
        # The name is the suspect, the table is how it was asked: an edited one is a further look at the same suspect.
        self.identity = {
            "weights": sha256(f"black box {known_as(name)}".encode()).hexdigest(),
            "answers": sha256_file(table),
        }
        rows = _rows(table)
        places = indices([row["label"].strip() for row in rows], classes, positions, table.name)
        self._labels = {row["file"]: int(place) for row, place in zip(rows, places, strict=True)}
        self._scores = _scores(rows, classes, table) if set(classes) <= set(rows[0]) else None

    def answer(self, pictures: Pixels) -> Answers:
        """What the table says of pictures (see `Classifier.answer`)."""
        names = [file_name(h) for h in pixel_hashes(pictures)]
        if missing := [name for name in names if name not in self._labels]:
            raise SuspectError(
                f"{self.name} has no answer for {len(missing)} of {len(names)} pictures, first {missing[0]}",
                "Have the suspect answer the whole query set, written with the same options.",
            )
        labels = np.array([self._labels[name] for name in names], dtype=np.intp)
        scores = None if self._scores is None else np.stack([self._scores[name] for name in names])
        return with_scores(labels, scores, self.name)


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read ({error})", "Give a CSV file in UTF-8.") from None
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise InputError(f"{table} has no columns 'file' and 'label'", "Fill in the answers.csv of the query set.")
    if empty := [row["file"] for row in rows if not (row["label"] or "").strip()]:
        raise InputError(f"{table} lacks {len(empty)} of {len(rows)} labels, first {empty[0]}", "Fill them in.")
    if doubled := [name for name, n in Counter(row["file"] for row in rows).items() if n > 1]:
        raise InputError(f"{table} names {doubled[0]} twice", "Keep one row a picture.")
    return rows


def _scores(rows: list[dict[str, str]], classes: tuple[str, ...], table: Path) -> dict[str, np.ndarray]:
    try:
        return {row["file"]: np.array([float(row[name]) for name in classes]) for row in rows}
    except (TypeError, ValueError) as error:
        raise InputError(f"{table}: a score is no number ({error})", "Mend it, or drop the score columns.") from None
