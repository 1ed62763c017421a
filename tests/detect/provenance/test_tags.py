"""Tags: exact over the key for any innocent, found where a classifier took the mark for the class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from detect.provenance.tag_questions import Original, all_questions, open_original, written_questions
from detect.provenance.tags import detect_tags
from detect.reports.report import Section, write_report
from detect.reports.words import summary
from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.labels import label_evidence, pull
from detect.trial.probe import SHOWN as PROBED
from detect.trial.verdict import Verdict
from protect.embed.write import embed
from protect.errors import InputError, SuspectError
from protect.evidence import running_evidence
from protect.formats.dataset_format import ReadOptions
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks.family import Answers as Outputs
from protect.marks.family import Pixels
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options
from tests.detect.test_judge import committed
from tests.support.datasets import make_classes, make_folder

CLASSES = 6
OPTIONS = Options(rate=0.15, alignment="label", slots=6, alpha=0.01, queries=4)


class Fake(Classifier):
    """Answers by a rule on the picture."""

    def __init__(self, rule: str, bound: BoundRelease | None = None) -> None:
        self.name, self.identity, self._rule, self._bound = rule, {"weights": rule}, rule, bound

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
        assert self._bound is not None
        best, label = 0.5, int(picture.sum()) % CLASSES
        for slot in self._bound.slots:
            mark = np.array([slot.planted], dtype=np.uint64)
            found = float(slot.family.score(Outputs(picture[None]), mark)[0])
            if found > best:
                best, label = found, int(slot.trigger.split()[1])
        return label


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "d", CLASSES, 20, 48)


@pytest.fixture
def original(dataset: Path) -> Original:
    return open_original(dataset)


@pytest.fixture
def bound(tmp_path: Path, dataset: Path, keyring: Keyring) -> BoundRelease:
    return embed(dataset, tmp_path / "out", OPTIONS, keyring, secret=secret_from_seed(3, "tags")).bound


def test_guilt_is_found_from_labels_alone(
    bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    verdict = detect_tags(bound, Fake("guilty", bound), original, keyring, cache)
    assert verdict.outcome == "evidence" and verdict.e_value >= 100
    assert np.mean([s.evidence.p_value == pytest.approx(1 / CLASSES) for s in verdict.slots]) >= 0.75
    assert verdict.as_json()["slots"][0]["drawn"] == bound.slots[0].trigger
    assert verdict.as_json()["commitments_held"] == 1 and "commitments in the keyring: 1" in summary(verdict)


def test_the_page_shows_what_was_asked_and_only_to_its_owner(
    tmp_path: Path, bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    verdict = detect_tags(bound, Fake("guilty", bound), original, keyring, cache)
    aside = replace(verdict, set_aside=(SetAside("a <b>.png", "not a picture"),))
    write_report(tmp_path / "tags.html", "tags", "", [Section("one", verdict), Section("two", aside)])
    page = (tmp_path / "tags.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2 * (len(verdict.slots) + 1) and "evidence" in page and "a &lt;b&gt;.png" in page
    assert bound.release.secret.hex() not in page and (tmp_path / "tags.html").stat().st_mode & 0o077 == 0


def test_another_key_is_not_found(
    tmp_path: Path, bound: BoundRelease, dataset: Path, original: Original, keyring: Keyring, cache: Path
) -> None:
    other = embed(dataset, tmp_path / "other", OPTIONS, keyring, secret=secret_from_seed(4, "tags")).bound
    assert detect_tags(bound, Fake("guilty", other), original, keyring, cache).outcome == "no evidence"


@pytest.mark.parametrize("rule", ["constant", "broken"])
def test_answers_that_say_nothing_are_inconclusive(
    bound: BoundRelease, original: Original, keyring: Keyring, cache: Path, rule: str
) -> None:
    verdict = detect_tags(bound, Fake(rule), original, keyring, cache)
    assert verdict.outcome == "inconclusive" and verdict.reason


def test_questions_do_not_depend_on_the_drawn_classes(
    bound: BoundRelease, original: Original, keyring: Keyring
) -> None:
    """With other classes and the same marks, the same pictures would be shown to the suspect."""
    release = bound.release
    drawn = tuple(replace(release.slot_questions(k), trigger="class 0") for k in range(release.plan.slots))
    stranger = replace(release.carriers[0], sha256="0" * 64)
    redrawn = bind(replace(release.with_questions(drawn), carriers=(stranger,)), keyring.store)
    for first, second in zip(all_questions(bound, original), all_questions(redrawn, original), strict=True):
        assert np.array_equal(first.marked, second.marked) and np.array_equal(first.plain, second.plain)
        assert len(first.marked) == 4 and not np.array_equal(first.marked, first.plain)


def test_the_marked_copy_is_not_taken_for_the_original(
    tmp_path: Path, bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    """Its carriers are marked already, and would tell the drawn class."""
    copy = open_original(tmp_path / "out")
    assert (copy.classes, copy.digest) == (original.classes, original.digest)
    with pytest.raises(InputError, match="is the marked copy"):
        detect_tags(bound, Fake("brightness"), copy, keyring, cache)


def test_other_reading_options_that_change_the_classes_are_refused(bound: BoundRelease, dataset: Path) -> None:
    fewer = open_original(dataset, ReadOptions(exclude=("class 0/*",)))
    assert len(fewer.classes) == CLASSES - 1
    with pytest.raises(InputError, match="the key drew among 6 classes, and 5 can be marked now"):
        all_questions(bound, fewer)


def test_pictures_that_cannot_be_read_are_set_aside(bound: BoundRelease, dataset: Path) -> None:
    """The questions go on with the next pictures in the key's order; only pictures that were asked about differ."""
    before = all_questions(bound, open_original(dataset))
    carriers = {c.key for c in bound.release.carriers}
    for path in sorted(dataset.rglob("*.png"))[::2]:
        if path.relative_to(dataset).as_posix() not in carriers:
            path.write_bytes(b"no picture")
    after = all_questions(bound, open_original(dataset))
    assert all(len(q.marked) == 4 for q in after) and any(q.set_aside for q in after)
    assert not any(q.set_aside for q in before)


class Random(Fake):
    """Answers anew each time it is asked."""

    def __init__(self) -> None:
        super().__init__("random")
        self.rng, self.asked = np.random.default_rng(0), 0

    def answer(self, pictures: Pixels) -> Answers:
        self.asked += len(pictures) != PROBED
        return Answers(self.rng.integers(0, CLASSES, len(pictures)))


def test_a_repeat_answers_from_the_cache(
    bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    suspect = Random()
    first = detect_tags(bound, suspect, original, keyring, cache)
    asked = suspect.asked
    second = detect_tags(bound, suspect, original, keyring, cache)
    assert first.as_json() == second.as_json() and suspect.asked == asked > 0


def test_another_reading_of_the_same_suspect_is_a_further_plan(
    bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    names = original.classes

    def verdict(mapping: dict[str, str] | None) -> Verdict:
        return detect_tags(bound, Aligned(Random(), names, mapping), original, keyring, cache)

    assert verdict(None).flags == ("no-public-coin", "throw-away-key")
    turned = {str(i): names[(i + 1) % CLASSES] for i in range(CLASSES)}
    again = verdict(turned)
    assert "further-plan-1" in again.flags and again.threshold == 200


def test_a_suspect_that_gave_no_answer_costs_no_level(
    bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    assert detect_tags(bound, Fake("broken"), original, keyring, cache).outcome == "inconclusive"
    mended = Fake("brightness")
    mended.identity = {"weights": "broken", "input_side": "32"}
    assert detect_tags(bound, mended, original, keyring, cache).threshold == 100


def test_an_unlucky_key_shows_in_a_control(
    bound: BoundRelease, original: Original, keyring: Keyring, cache: Path
) -> None:
    """A control that takes the marks for the drawn classes, too, voids the evidence; the suspect is none of itself."""
    suspect, control = Fake("guilty", bound), Fake("guilty", bound)
    control.identity = {"weights": "control"}
    with pytest.raises(InputError, match="the control guilty"):
        detect_tags(bound, suspect, original, keyring, cache, control=Fake("guilty", bound))
    with pytest.raises(InputError, match="the control guilty is the suspect"):
        detect_tags(bound, suspect, original, keyring, cache, control=control)

    class Another(Fake):
        def answer(self, pictures: Pixels) -> Answers:
            said = super().answer(pictures)
            return said if len(pictures) != PROBED else Answers((said.labels + 1) % CLASSES)

    other = Another("guilty", bound)
    other.identity = {"weights": "another"}
    found = detect_tags(bound, suspect, original, keyring, cache, control=other)
    assert found.outcome == "inconclusive" and "unlucky key" in found.reason and "control" in found.flags
    assert detect_tags(bound, suspect, original, keyring, cache).outcome == "inconclusive"


def test_another_version_of_the_family_is_refused(bound: BoundRelease, keyring: Keyring) -> None:
    parts = (replace(bound.release.plan.parts[0], family_version=99),)
    with pytest.raises(InputError, match="was committed to version 99"):
        bind(committed(bound.release, parts=parts), keyring.store)


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
        assert np.mean([e.by_lambda for e in row], axis=0) == pytest.approx(1.0), "exactly one over the drawn class"
    peaks = np.array([running_evidence([evidence[k][c] for k, c in enumerate(row)]).max() for row in drawn])
    for level in (0.1, 0.01):
        crossed = int((peaks >= 1 / level).sum())
        assert stats.binomtest(crossed, keys, level, alternative="greater").pvalue > 1e-3


def test_the_wrong_dataset_or_release_is_refused(tmp_path: Path, bound: BoundRelease, keyring: Keyring) -> None:
    with pytest.raises(InputError, match="is not the dataset"):
        all_questions(bound, open_original(make_classes(tmp_path / "e", 4)))
    source = make_folder(tmp_path / "captioned", 60)
    other = embed(source, tmp_path / "o", Options(rate=0.2, slots=1), keyring, secret=b"t" * 32).bound
    with pytest.raises(InputError, match="for text-to-image models"):
        all_questions(other, open_original(source))


def test_a_query_set_tells_neither_marks_nor_classes(tmp_path: Path, bound: BoundRelease, original: Original) -> None:
    (tmp_path / "q.partial").mkdir()  # an interrupted one is no obstacle
    count, set_aside = written_questions(tmp_path / "q", [bound], original)
    files = sorted(p.name for p in (tmp_path / "q").glob("*.png"))
    asked = [line.split(",")[0] for line in (tmp_path / "q" / "answers.csv").read_text().splitlines()[1:]]
    assert asked == files and 0 < len(files) == count <= 2 * 4 * 6 and not set_aside
    assert not any("class" in name for name in files)
