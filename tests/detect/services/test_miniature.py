"""The miniature itself behind each kind of service: taught the marks, and not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detect.suspects.images import load_suspect
from detect.suspects.images.suspect import Suspect
from detect.training.options import FinetuneOptions
from detect.training.rehearse import protected_copy, train_suspect
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.keys.keyring import Keyring
from protect.miniature import miniature_path
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options
from protect.sample import unpack_sample
from tests.support.services import Loopback, drawn_by, reach, serving

EMBEDDING = Options(rate=0.05, family="template", alignment="twa", slots=1, steps=12)
"""Painted marks: of them a service is asked few questions."""
TUNING = FinetuneOptions(method="full", steps=200, batch=32, learning_rate=1e-3)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[BoundRelease, Path, Path]:
    """A release, its keyring, and a model that learned from its copy."""
    work = tmp_path_factory.mktemp("miniature")
    unpack_sample(work / "dataset")
    release = protected_copy(work / "dataset", work / "copy", EMBEDDING, 0, Keyring(work / "home"))
    train_suspect(miniature_path(), work / "copy", work / "model", TUNING)
    return bind(release, Keyring(work / "home").store), work / "home", work / "model"


@pytest.fixture(scope="module")
def judge(
    taught: tuple[BoundRelease, Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Suspect], Verdict]:
    """Tests a suspect on a keyring where nothing was tested before."""
    work = tmp_path_factory.mktemp("judged")

    def judged(suspect: Suspect) -> Verdict:
        home = Path(shutil.copytree(taught[1], work / f"home{len(list(work.iterdir()))}"))
        return detect(taught[0], suspect, Keyring(home), work / "cache")

    return judged


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_miniature_is_found_behind_each_service(
    taught: tuple[BoundRelease, Path, Path], judge: Callable[[Suspect], Verdict]
) -> None:
    guilty = load_suspect(taught[2])
    here = judge(guilty)
    print(f"here: {here.outcome}, E {here.e_value:.4g}")
    assert here.outcome == "evidence"
    for kind, form, options, least in (
        ("a1111", "PNG", {}, 0.5),
        ("comfyui", "JPEG", {"quality": 85}, 0.05),
        ("openai", "PNG", {}, 0.05),
    ):
        with serving(Loopback(drawn_by(guilty, EMBEDDING.steps), form, dict(options))) as service:
            there = judge(reach(service, kind, side=64))
        print(f"{kind}, {form}: {there.outcome}, E {there.e_value:.4g}, {there.answer_flags}")
        assert there.outcome == "evidence" and least * here.e_value <= there.e_value


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_innocent_miniature_is_not_found_behind_a_service(
    taught: tuple[BoundRelease, Path, Path], judge: Callable[[Suspect], Verdict], tmp_path: Path
) -> None:
    unpack_sample(tmp_path / "dataset")
    train_suspect(miniature_path(), tmp_path / "dataset", tmp_path / "model", TUNING)
    innocent = load_suspect(tmp_path / "model")
    with serving(Loopback(drawn_by(innocent, EMBEDDING.steps), "JPEG", {"quality": 85})) as service:
        verdict = judge(reach(service, "openai", side=64))
    print(f"innocent: {verdict.outcome}, E {verdict.e_value:.4g}")
    assert verdict.outcome == "no evidence"
