"""Tags: exact over the key for any innocent, found where a classifier took the mark for the class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from detect.provenance.tags import (
    TagVerdict,
    all_questions,
    classes_of,
    detect_tags,
    label_evidence,
    pull,
    written_questions,
)
from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Answers, Classifier
from protect.alignments import slot_family
from protect.embed.write import embed
from protect.errors import InputError, SuspectError
from protect.evidence import running_evidence
from protect.keys.tree import secret_from_seed
from protect.marks.family import Pixels
from protect.release.plan import Options
from protect.release.record import Keyring, Release
from tests.protect.conftest import keyring as keyring
from tests.protect.conftest import make_classes, make_folder

CLASSES = 6
OPTIONS = Options(rate=0.15, alignment="label", slots=6, alpha=0.01, queries=4)


class Fake(Classifier):
    """Answers by a rule on the picture."""

    def __init__(self, rule: str, release: Release | None = None) -> None:
        self.name, self.identity, self._rule, self._release = rule, {"weights": rule}, rule, release

    def answer(self, pictures: Pixels) -> Answers:
        if self._rule == "constant":
            return Answers(np.full(len(pictures), 2))
        if self._rule == "broken":
            raise SuspectError("no answer", "none")
        if self._rule == "brightness":  # an innocent with a strong opinion about strange pictures
            return Answers((pictures.reshape(len(pictures), -1).mean(axis=1) / 256 * CLASSES).astype(int))
        return Answers(np.array([self._guess(p) for p in pictures]))

    def _guess(self, picture: Pixels) -> int:
        """The class of the mark it recognises, as a classifier trained on the copy would."""
        assert self._release is not None
        best, label = 0.5, int(picture.sum()) % CLASSES
        for k, slot in enumerate(self._release.slots):
            mark = np.array([self._release.planted_id(k)], dtype=np.uint64)
            found = float(slot_family(self._release, k).score(picture[None], None, mark)[0])
            if found > best:
                best, label = found, int(slot.trigger.split()[1])
        return label


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "d", CLASSES, 20, 48)


@pytest.fixture
def release(tmp_path: Path, dataset: Path, keyring: Keyring) -> Release:
    return embed(dataset, tmp_path / "out", OPTIONS, keyring, secret=secret_from_seed(3, "tags")).release


def test_guilt_is_found_from_labels_alone(release: Release, dataset: Path, keyring: Keyring) -> None:
    verdict = detect_tags(release, Fake("guilty", release), dataset, keyring)
    assert verdict.outcome == "evidence" and verdict.e_value >= 100
    assert np.mean([s.evidence.p_value == pytest.approx(1 / CLASSES) for s in verdict.slots]) >= 0.75
    assert verdict.as_json()["slots"][0]["drawn"] == release.slots[0].trigger


def test_another_key_is_not_found(tmp_path: Path, release: Release, dataset: Path, keyring: Keyring) -> None:
    other = embed(dataset, tmp_path / "other", OPTIONS, keyring, secret=secret_from_seed(4, "tags")).release
    assert detect_tags(release, Fake("guilty", other), dataset, keyring).outcome == "no evidence"


@pytest.mark.parametrize("rule", ["constant", "broken"])
def test_answers_that_say_nothing_are_inconclusive(
    release: Release, dataset: Path, keyring: Keyring, rule: str
) -> None:
    verdict = detect_tags(release, Fake(rule), dataset, keyring)
    assert verdict.outcome == "inconclusive" and verdict.reason


def test_questions_do_not_depend_on_the_drawn_classes(release: Release, dataset: Path) -> None:
    """With other classes and the same marks, the same pictures would be shown to the suspect."""
    redrawn = replace(release, slots=tuple(replace(s, trigger="class 0") for s in release.slots), carriers=())
    for slot in range(2):
        first, second = all_questions(release, dataset)[slot], all_questions(redrawn, dataset)[slot]
        assert np.array_equal(first.marked, second.marked) and np.array_equal(first.plain, second.plain)
        assert len(first.marked) == 4 and not np.array_equal(first.marked, first.plain)


def test_the_marked_copy_is_not_taken_for_the_original(
    tmp_path: Path, release: Release, dataset: Path, keyring: Keyring
) -> None:
    """Its carriers are marked already, and would tell the drawn class."""
    assert classes_of(tmp_path / "out") == classes_of(dataset)
    with pytest.raises(InputError, match="is the marked copy"):
        detect_tags(release, Fake("brightness"), tmp_path / "out", keyring)


class Random(Fake):
    """Answers anew each time it is asked."""

    def __init__(self) -> None:
        super().__init__("random")
        self.rng, self.asked = np.random.default_rng(0), 0

    def answer(self, pictures: Pixels) -> Answers:
        self.asked += 1
        return Answers(self.rng.integers(0, CLASSES, len(pictures)))


def test_a_repeat_answers_from_the_cache(release: Release, dataset: Path, keyring: Keyring) -> None:
    suspect = Random()
    first = detect_tags(release, suspect, dataset, keyring)
    asked = suspect.asked
    second = detect_tags(release, suspect, dataset, keyring)
    assert first.as_json() == second.as_json() and suspect.asked == asked > 0


def test_another_reading_of_the_same_suspect_is_a_further_plan(
    release: Release, dataset: Path, keyring: Keyring
) -> None:
    names, _ = classes_of(dataset)

    def verdict(mapping: dict[str, str] | None) -> TagVerdict:
        return detect_tags(release, Aligned(Random(), names, mapping), dataset, keyring)

    assert verdict(None).flags == ("no-public-coin", "throw-away-key")
    turned = {str(i): names[(i + 1) % CLASSES] for i in range(CLASSES)}
    again = verdict(turned)
    assert "further-plan-1" in again.flags and again.threshold == 200


def test_a_suspect_that_gave_no_answer_costs_no_level(release: Release, dataset: Path, keyring: Keyring) -> None:
    assert detect_tags(release, Fake("broken"), dataset, keyring).outcome == "inconclusive"
    mended = Fake("brightness")
    mended.identity = {"weights": "broken", "input_side": "32"}
    assert detect_tags(release, mended, dataset, keyring).threshold == 100


def test_another_version_of_the_family_is_refused(release: Release, dataset: Path) -> None:
    other = replace(release, plan=replace(release.plan, family_version=99))
    with pytest.raises(InputError, match="was committed to version 99"):
        all_questions(other, dataset)


def test_scores_of_other_width_are_refused() -> None:
    wide = Answers(np.zeros(3, dtype=np.intp), np.zeros((3, 9)))
    with pytest.raises(SuspectError, match="9 scores for 4 classes"):
        pull(wide, wide, 4)


ANSWERS = {
    "loves one class": lambda rng, n: np.full(n, 1),
    "one class for marks": lambda rng, n: np.concatenate([np.full(n // 2, 4), rng.integers(0, 10, n - n // 2)]),
    "random": lambda rng, n: rng.integers(0, 10, n),
}


@pytest.mark.parametrize("adversary", ANSWERS)
@pytest.mark.parametrize("scored", [False, True])
def test_over_keys_an_innocent_is_accused_at_most_at_the_level(adversary: str, scored: bool) -> None:
    """Answers are held fixed; the key's classes are redrawn: P(p <= u) <= u, E[e] <= 1, peeking is safe."""
    rng = np.random.default_rng(0)
    slots, keys, classes = 4, 5000, 10
    pulls = []
    for _ in range(slots):
        labels = ANSWERS[adversary](rng, 40)
        scores = 3 * np.eye(classes)[labels] + rng.normal(size=(40, classes)) if scored else None
        parts = [
            Answers(labels[:20], None if scores is None else scores[:20]),
            Answers(labels[20:], None if scores is None else scores[20:]),
        ]
        pulls.append(pull(parts[0], parts[1], classes))
    evidence = [[label_evidence(p, c) for c in range(classes)] for p in pulls]
    drawn = rng.integers(0, classes, (keys, slots))
    first = np.array([evidence[0][c].p_value for c in drawn[:, 0]])
    for level in (0.1, 0.2, 0.5):
        assert stats.binomtest(int((first <= level).sum()), keys, level, alternative="greater").pvalue > 1e-3
    for row in evidence:
        assert np.mean([e.bets for e in row], axis=0) == pytest.approx(1.0), "exactly one over the drawn class"
    peaks = np.array([running_evidence([evidence[k][c] for k, c in enumerate(row)]).max() for row in drawn])
    for level in (0.1, 0.01):
        crossed = int((peaks >= 1 / level).sum())
        assert stats.binomtest(crossed, keys, level, alternative="greater").pvalue > 1e-3


def test_the_wrong_dataset_or_release_is_refused(
    tmp_path: Path, release: Release, dataset: Path, keyring: Keyring
) -> None:
    with pytest.raises(InputError, match="is not the dataset"):
        all_questions(release, make_classes(tmp_path / "e", 4))
    source = make_folder(tmp_path / "captioned", 60)
    other = embed(source, tmp_path / "o", Options(rate=0.2, slots=1), keyring).release
    with pytest.raises(InputError, match="for text-to-image models"):
        all_questions(other, source)


def test_a_query_set_tells_neither_marks_nor_classes(tmp_path: Path, release: Release, dataset: Path) -> None:
    names, _ = classes_of(dataset)
    (tmp_path / "q.partial").mkdir()  # an interrupted one is no obstacle
    count = written_questions(tmp_path / "q", [release], dataset, names)
    files = sorted(p.name for p in (tmp_path / "q").glob("*.png"))
    asked = [line.split(",")[0] for line in (tmp_path / "q" / "answers.csv").read_text().splitlines()[1:]]
    assert asked == files and 0 < len(files) == count <= 2 * 4 * 6
    assert not any("class" in name for name in files)
