"""A black box that somebody else asked: its answers to a written query set, as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from detect.classifiers.interface import Answers, Classifier
from detect.query import pixel_hashes
from protect.errors import InputError, SuspectError
from protect.files import sha256_file, write_atomic
from protect.images import png_bytes
from protect.marks.interface import Pixels


def file_name(pixel_hash: str) -> str:
    """Name of a query picture: it tells nothing but what anyone sees."""
    return f"{pixel_hash[:24]}.png"


def write_queries(folder: Path, pictures: Pixels, classes: tuple[str, ...]) -> Path:
    """Write a query set: pictures named by their content, in the order of their names, and a table to fill in.

    Args:
        folder: made if need be.
        pictures: RGB, shape (n, H, W, 3).
        classes: named in the table's header line for whoever fills it in.

    Returns:
        The table, `answers.csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = sorted({file_name(h): i for i, h in enumerate(pixel_hashes(pictures))}.items())
    for name, place in named:
        write_atomic(folder / name, png_bytes(pictures[place]))
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["file", "label"], *([name, ""] for name, _ in named)])
    write_atomic(folder / "classes.txt", ("\n".join(classes) + "\n").encode())
    write_atomic(folder / "answers.csv", buffer.getvalue().encode())
    return folder / "answers.csv"


class AnswersClassifier(Classifier):
    """Columns `file` and `label`, and for scores one column per class."""

    def __init__(self, table: Path, classes: tuple[str, ...]) -> None:
        self.name, self.classes = table.name, classes
        self.identity = {"weights": sha256_file(table), "kind": "answers"}
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{table} cannot be read ({error})", "Give a CSV file in UTF-8.") from None
        if not rows or not {"file", "label"} <= set(rows[0]):
            raise InputError(f"{table} has no columns 'file' and 'label'", "Fill in the answers.csv of the query set.")
        empty = [row["file"] for row in rows if not (row["label"] or "").strip()]
        if empty:
            raise InputError(f"{table} lacks {len(empty)} of {len(rows)} labels, first {empty[0]}", "Fill them in.")
        self._labels = {row["file"]: self._index(row["label"].strip()) for row in rows}
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
        return Answers(labels, None if self._scores is None else np.stack([self._scores[name] for name in names]))

    def _index(self, label: str) -> int:
        assert self.classes is not None
        if label in self.classes:
            return self.classes.index(label)
        return int(label) if label.isdecimal() and int(label) < len(self.classes) else -1


def _scores(rows: list[dict[str, str]], classes: tuple[str, ...], table: Path) -> dict[str, np.ndarray]:
    try:
        return {row["file"]: np.array([float(row[name]) for name in classes]) for row in rows}
    except (TypeError, ValueError) as error:
        raise InputError(f"{table}: a score is no number ({error})", "Mend it, or drop the score columns.") from None
