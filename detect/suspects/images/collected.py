"""A black box that somebody else asked: the pictures it gave, in a folder, named by their questions."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from copy import copy
from hashlib import sha256
from pathlib import Path
from typing import Any

from detect.asking.sheet import JSON, PAGE, TABLE, SheetRow, question_name
from detect.suspects.images.decoding import read_answer
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.trial.answers import digest, pixel_hashes
from protect.errors import InputError
from protect.marks.family import Pixels
from protect.names import known_as
from protect.pixels.error import PictureError

REFUSED, REWRITTEN = "refused.csv", "rewritten.csv"
COLLECTED = "owner-collected"
_NO_ANSWERS = frozenset({TABLE, JSON, PAGE, REFUSED, REWRITTEN, "Thumbs.db", "desktop.ini"})
_MOST_BYTES = 64 << 20
_KEEP_ONE = "Keep one answer to each question."


class CollectedSuspect(Suspect):
    """Answers to a release's questions, collected by the owner.

    All of the folder is read and checked first: a missing answer, a file too many or a picture that cannot be decoded
    is found before any key is used. Sizes are left as they are.
    """

    repeatable = False

    def __init__(self, folder: Path, name: str, rows: Sequence[SheetRow]) -> None:
        """Read and check a folder.

        Args:
            folder: of pictures named by their questions, with `refused.csv` and `rewritten.csv` where needed.
            name: what the black box is called: the same one asked again must bear the same name.
            rows: all questions that were to be asked.

        Raises:
            InputError: naming what is missing, doubled, unknown or damaged.
        """
        planned = {row.file: row for row in rows}
        _check_manifest(folder, planned)
        files = _by_question(folder)
        self._refused = _table(folder / REFUSED, "reason", planned)
        self._refused |= {n: "an empty file" for n, path in files.items() if path.stat().st_size == 0}
        self._pictures = {n: path for n, path in files.items() if path.stat().st_size}
        self._rewritten = _table(folder / REWRITTEN, "prompt", planned)
        self._check(folder, planned)
        self.name = name
        self._told = {n: [*pixel_hashes(self._read(n)[0][None]), self._rewritten.get(n, "")] for n in self._pictures}
        self.identity = self._identity(planned)

    def _identity(self, names: Container[str]) -> dict[str, str]:
        """The name is the suspect, the answers are how it was asked: others are a further look at the same suspect."""
        answers, refused = ({n: v for n, v in held.items() if n in names} for held in (self._told, self._refused))
        return {
            "weights": sha256(f"black box {known_as(self.name)}".encode()).hexdigest(),
            "answers": digest([answers, refused]),
        }

    def for_questions(self, queries: Sequence[Query]) -> CollectedSuspect:
        """The same with the answers to these questions alone: others in the folder are no look at their release."""
        found = copy(self)
        found.identity = self._identity({question_name(query) for query in queries})
        return found

    def _check(self, folder: Path, planned: Mapping[str, SheetRow]) -> None:
        if unknown := sorted(set(self._pictures) - set(planned)):
            raise InputError(
                f"{self._pictures[unknown[0]]} answers no question of this plan ({len(unknown)} such files)",
                "Take such files out, or test the release whose questions were asked.",
            )
        if both := sorted(set(self._pictures) & set(self._refused)):
            raise InputError(f"{both[0]} has a picture and is refused too, in {folder}", _KEEP_ONE)
        if missing := sorted(set(planned) - set(self._pictures) - set(self._refused)):
            raise InputError(
                f"{folder} lacks {len(missing)} of {len(planned)} answers, first {missing[0]}",
                f"Have them asked, or list refusals in {REFUSED} (columns file, reason): every question counts.",
            )

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """What lies in the folder (see `Suspect.answer`)."""
        return [self._answer(question_name(query)) for query in queries]

    def _answer(self, name: str) -> Answer:
        if name in self._refused:
            return Answer(None, ("refused", COLLECTED), self._refused[name])
        picture, lossy = self._read(name)
        said = self._rewritten.get(name, "")
        return Answer(picture, (COLLECTED, *["lossy"] * lossy, *["prompt-rewritten"] * bool(said)), said)

    def _read(self, name: str) -> tuple[Pixels, bool]:
        path = self._pictures[name]
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MiB", "Save it as PNG or JPEG.")
        try:
            return read_answer(path.read_bytes())
        except PictureError as error:
            raise InputError(f"{path} {error.what}", "Save it again as it came, or leave an empty file.") from None


def questions_answered(folder: Path) -> frozenset[str]:
    """Names of all questions to which something lies in a folder.

    Raises:
        InputError: if it is no folder, holds folders, or two files for one question.
    """
    return frozenset(_by_question(folder)) | frozenset(_table(folder / REFUSED, "reason", None))


def _by_question(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"--answers {folder} is no folder", "Give the folder with the pictures.")
    paths = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in _NO_ANSWERS)
    if inner := [path for path in paths if not path.is_file()]:
        raise InputError(f"{inner[0]} is no file", "Put all pictures into one folder.")
    counts = Counter(path.stem for path in paths)
    if doubled := [path.name for path in paths if counts[path.stem] > 1]:
        raise InputError(f"{folder} holds two answers to one question: {doubled[0]} and {doubled[1]}", _KEEP_ONE)
    return {path.stem: path for path in paths}


def _table(path: Path, column: str, planned: Mapping[str, SheetRow] | None) -> dict[str, str]:
    """The words of a two-column table by question; empty without the file.

    Args:
        path: CSV with the columns `file` and `column`.
        column: name of the words' column.
        planned: the questions it may name; None for any.
    """
    if not path.exists():
        return {}
    rows = _rows(path)
    if any({"file", column} - set(row) for row in rows):
        raise InputError(f"{path} has no columns 'file' and '{column}'", "Write both into its first line.")
    names = [Path((row["file"] or "").strip()).stem for row in rows]
    if doubled := [name for name, n in Counter(names).items() if n > 1]:
        raise InputError(f"{path} names {doubled[0]} twice", "Keep one row a question.")
    if planned is not None and (unknown := [name for name in names if name not in planned]):
        raise InputError(f"{path} names {unknown[0]!r}, which is no question of this plan", "Take the row out.")
    return {name: (row[column] or "").strip() for name, row in zip(names, rows, strict=True)}


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})", "Give a CSV file in UTF-8.") from None


def _check_manifest(folder: Path, planned: Mapping[str, SheetRow]) -> None:
    """Where the sheet lies beside the answers, it must say what was planned: it may have been edited, or mangled."""
    for path, read in ((folder / TABLE, _rows), (folder / JSON, _json_rows)):
        for asked in read(path) if path.is_file() else ():
            row = planned.get(str(asked.get("file")))
            for column in ("prompt", "seed", "steps", "guidance") if row else ():
                if not _same(asked.get(column), getattr(row, column)):
                    raise InputError(
                        f"{path} asks otherwise than planned: {asked['file']}, {column} {asked.get(column)!r}",
                        "Ask as planned, run with the same --queries, --steps and --guidance, or take the file out.",
                    )


def _same(said: object, planned: object) -> bool:
    """Whether a cell means a planned value: tables hold numbers as text, and programs round long ones."""
    try:
        return said == planned if isinstance(planned, str) else type(planned)(str(said)) == planned  # type: ignore[call-arg]
    except ValueError:
        return False


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))["questions"]
        return [row for row in rows if isinstance(row, dict)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path} is no sheet of questions", "Take it out, or put the sheet as it was there.") from None
