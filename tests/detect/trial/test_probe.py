"""A suspect is known by what it answers: saved anew it is the same, and no control of itself."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from detect.suspects.classifiers.classes import Aligned
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.images import load_suspect
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.trial.judge import detect
from detect.trial.ledger import opened
from detect.trial.probe import QUERIES, SAMPLER, SHOWN, probe_pictures, recognise, take_probe
from detect.trial.questions import Departures
from protect.errors import InputError, SuspectError
from protect.keys.keyring import Keyring
from protect.marks.family import Pixels
from tests.support.suspects import Broken, FakeSuspect, Flat, Guilty, marked


class SavedAnew(FakeSuspect):
    """Other files, the same answers."""

    def __init__(self, first: FakeSuspect) -> None:
        super().__init__(first.name)
        self.identity = {"weights": "saved anew"}
        self.first = first

    def paint(self, query: Query) -> Pixels:
        return self.first.paint(query)


class Counting(FakeSuspect):
    """Counts all that it is asked, the probe too."""

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        self.probed = getattr(self, "probed", 0) + sum(q in QUERIES for q in queries)
        return super().answer(queries, sampler)


def test_the_same_answers_from_other_files_are_the_same_suspect(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, first = marked(tmp_path, keyring), FakeSuspect("first")
    detect(bound, first, keyring, cache)
    again = detect(bound, SavedAnew(first), keyring, cache)
    assert (again.suspects_tested, again.plans_tried) == (1, 1)
    departing = detect(bound, SavedAnew(first), keyring, cache, departures=Departures(steps=5))
    assert departing.alpha == 5e-4 and departing.plans_tried == 2
    other = detect(bound, FakeSuspect("other"), keyring, cache)
    assert (other.suspects_tested, other.plans_tried) == (2, 1)


def test_a_model_that_only_answers_the_probe_like_an_innocent_one_is_asked_itself(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    """The ledger's verdict on the innocent one is not taken for its own; the same suspect costs half the level."""
    bound, innocent = marked(tmp_path, keyring, decoys=9999), FakeSuspect("innocent")

    class Pretends(Guilty):
        def paint(self, query: Query) -> Pixels:
            return innocent.paint(query) if query in QUERIES else super().paint(query)

    assert detect(bound, innocent, keyring, cache).outcome == "no evidence"
    found = detect(bound, Pretends(bound), keyring, cache)
    assert found.outcome == "evidence" and found.alpha == 5e-4 and found.suspects_tested == 1
    again = detect(bound, innocent, keyring, cache)
    assert (again.outcome, again.alpha) == ("no evidence", 1e-3)


def test_a_control_that_answers_as_the_suspect_does_is_refused(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    guilty = Guilty(bound)
    with pytest.raises(InputError, match="the control guilty is the suspect"):
        detect(bound, guilty, keyring, cache, control=SavedAnew(guilty))
    assert detect(bound, guilty, keyring, cache, control=FakeSuspect("another")).outcome == "evidence"


def test_a_pipeline_saved_anew_is_the_same_suspect(base: Path, tmp_path: Path, keyring: Keyring) -> None:
    """The files differ (metadata, a renamed folder), the weights do not."""
    copy = Path(shutil.copytree(base, tmp_path / "copy"))
    for path in copy.rglob("*.safetensors"):
        save_file(load_file(path), path, metadata={"format": "pt", "saved": "anew"})
    first, again = load_suspect(base), load_suspect(copy)
    assert first.identity["weights"] != again.identity["weights"]
    assert recognise(keyring, first) == recognise(keyring, again)
    path = next(copy.rglob("unet/*.safetensors"))
    tensors = load_file(path)
    save_file({name: tensor * 1.01 for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    assert recognise(keyring, load_suspect(copy)) != recognise(keyring, first)


def test_the_probe_is_small_and_asked_once_for_each_identity(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    assert len(QUERIES) == 4 and SAMPLER.steps == 3
    suspect, bound = Counting("counting"), marked(tmp_path, keyring)
    for _ in range(3):
        detect(bound, suspect, keyring, cache)
        for path in sorted(cache.rglob("*.*")):
            path.unlink()
    assert suspect.probed == 4
    suspect.identity["scheduler"] = "another"
    detect(bound, suspect, keyring, cache)
    assert suspect.probed == 8, "on other software it may answer otherwise"


@pytest.mark.parametrize("suspect", [Broken("broken"), Flat("flat", 0), Flat("grey", 99)])
def test_answers_that_tell_nothing_make_no_two_models_one(keyring: Keyring, suspect: FakeSuspect) -> None:
    other = type(suspect).__new__(type(suspect))
    other.__dict__.update(suspect.__dict__ | {"name": "other", "identity": {"weights": "other"}})
    assert take_probe(suspect) == "" and recognise(keyring, suspect) != recognise(keyring, other)


def test_who_cannot_be_asked_twice_is_not_probed(keyring: Keyring) -> None:
    suspect = Counting("a service")
    suspect.repeatable = False
    assert take_probe(suspect) == "" and not hasattr(suspect, "probed")


def test_suspects_that_turn_out_to_be_one_are_one_from_then_on(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    """One knows the files, one the answers; a third has the files of the first and the answers of the second."""
    bound = marked(tmp_path, keyring)
    first, second = FakeSuspect("first"), FakeSuspect("second")
    assert [detect(bound, s, keyring, cache).suspects_tested for s in (first, second)] == [1, 2]
    both = SavedAnew(second)
    both.identity = {"weights": "first", "scheduler": "another"}
    verdict = detect(bound, both, keyring, cache)
    assert (verdict.suspects_tested, verdict.plans_tried, verdict.alpha) == (1, 3, 5e-4)
    with opened(keyring) as ledger:
        assert len({look.key for look in ledger.looks}) == len(ledger.looks) == 3 and len(ledger.subjects) == 1


class Reading(Classifier):
    """Scores by the picture and its own name."""

    def __init__(self, name: str, scores: bool = True, weights: str = "") -> None:
        self.name, self.identity, self.scores = name, {"weights": weights or name}, scores

    def answer(self, pictures: Pixels) -> Answers:
        own = np.random.default_rng(list(self.name.encode())).normal(size=(5, 3))
        scores = pictures.reshape(len(pictures), -1, 3).mean(axis=1) @ own.T
        return Answers(scores.argmax(axis=1), scores if self.scores else None)


def test_classifiers_are_known_by_their_answers_too(keyring: Keyring) -> None:
    assert recognise(keyring, Reading("a")) == recognise(keyring, Reading("a", weights="saved anew"))
    assert recognise(keyring, Reading("a")) != recognise(keyring, Reading("b"))
    turned = Aligned(Reading("a", weights="other"), tuple("01234"), {str(i): str((i + 1) % 5) for i in range(5)})
    assert recognise(keyring, turned) == recognise(keyring, Reading("a")), "however its outputs are read"


def test_labels_alone_tell_only_where_several_occur() -> None:
    class Says(Classifier):
        def __init__(self, labels: Sequence[int]) -> None:
            self.name, self.identity, self.labels = "says", {"weights": "says"}, labels

        def answer(self, pictures: Pixels) -> Answers:
            return Answers(np.resize(np.array(self.labels), len(pictures)))

    assert take_probe(Says([1])) == take_probe(Says([1, 2])) == ""
    assert take_probe(Says([1, 2, 3])) not in ("", take_probe(Says([1, 3, 2])))


def test_what_classifiers_are_shown_never_changes() -> None:
    pictures = probe_pictures()
    assert pictures.shape == (SHOWN, 64, 64, 3) and pictures.dtype == np.uint8
    assert (pictures == probe_pictures()).all() and int(pictures.astype(np.int64).sum()) == CHECKSUM


CHECKSUM = 24_989_440


def test_a_classifier_that_fails_is_told_by_its_files(keyring: Keyring) -> None:
    class Fails(Classifier):
        def __init__(self) -> None:
            self.name, self.identity = "fails", {"weights": "fails"}

        def answer(self, pictures: Pixels) -> Answers:
            raise SuspectError("no answer", "none")

    assert recognise(keyring, Fails()) == "fails"


def test_anything_else_is_told_by_its_files(keyring: Keyring) -> None:
    class Other:
        name, identity = "other", {"weights": "x"}

    assert not isinstance(Other(), Suspect) and recognise(keyring, Other()) == "x"
