"""Published removals, one named test each, on carriers themselves: what stays readable, and what each one defeats.

What a model learns from attacked carriers is measured in benchmarks/results/robustness.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from attacks.stages.attack import Attack, Captioned, Resources
from attacks.stages.registry import find_attack
from attacks.stages.samples import read_captioned
from detect.suspects.images import Answer, Query, Sampler, Suspect
from detect.training.options import FinetuneOptions
from detect.trial.judge import detect
from protect.check.exposure import residual_auc
from protect.embed.job import Embedding
from protect.embed.write import embed
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers, Pixels
from protect.marks.template import Template
from protect.miniature import miniature_path
from protect.release.plan import Options
from protect.sample import unpack_sample
from tests.support.thieves import carriers, photo

MARK, DECOYS = 5, 999
SECRET = b"k" * 32
IDS = np.concatenate([[MARK], np.arange(10**6, 10**6 + DECOYS)]).astype(np.uint64)


def rank_p(name: str, options: dict[str, float | str], pictures: list[Pixels], originals: list[Pixels]) -> float:
    """Rank of the planted mark among decoys, as a p-value."""
    law = make_family(name, options)
    untriggered = np.stack(originals) if law.needs_pairs else None
    scores = law.score(Answers(np.stack(pictures), untriggered), IDS)
    return float((1 + (scores[1:] >= scores[0]).sum()) / len(IDS))


def marked(name: str, count: int = 12) -> tuple[list[Pixels], list[Pixels]]:
    """Carriers of one mark with their originals, RGB."""
    if name == "template":
        return [i.picture for i in carriers(count, 0)], [i.picture for i in carriers(0, count)]
    law, originals = make_family(name, {}), [photo(k, 64, 64) for k in range(count)]
    opaque = [np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]) for p in originals]
    return [law.plant(p, MARK, np.random.default_rng(k))[..., :3] for k, p in enumerate(opaque)], originals


def after(attack: Attack, strength: float, pictures: list[Pixels]) -> list[Pixels]:
    return [attack.on_output(p, strength, np.random.default_rng(k)) for k, p in enumerate(pictures)]


WAVES = [
    ("rotate", 0.3),
    ("crop", 0.25),
    ("erase", 1.0),
    ("colour", 1.0),
    ("blur", 0.5),
    ("noise", 0.5),
    ("jpeg", 1.0),
    ("combined", 0.5),
]
"""Items of WAVES (arXiv 2401.08573); rotation up to 9 degrees, crops down to seven eighths of the side."""


@pytest.mark.parametrize(("name", "strength"), WAVES)
def test_waves_distortion_leaves_templates_readable(name: str, strength: float) -> None:
    attack = find_attack(name)
    pictures, originals = marked("template")
    assert rank_p("template", {}, after(attack, strength, pictures), originals) == 1 / len(IDS)
    assert rank_p("template", {}, after(attack, strength, originals), originals) > 1 / len(IDS)


@pytest.mark.parametrize("name", ["vae", "purify"])
def test_waves_regeneration_leaves_templates_readable(name: str, tmp_path: Path) -> None:
    thief = Resources(miniature_path(), tmp_path, lambda: tmp_path, FinetuneOptions())
    attack = find_attack(name).equipped(thief)
    pictures, originals = marked("template")
    assert rank_p("template", {}, after(attack, 0.5, pictures), originals) == 1 / len(IDS)


def test_deattack_leaves_templates_and_low_frequencies_readable() -> None:
    """Degrade, then restore, before training (arXiv 2511.19316)."""
    attack = find_attack("restore")
    for name in ("template", "spread"):
        pictures, originals = marked(name)
        assert rank_p(name, {}, after(attack, 0.5, pictures), originals) == 1 / len(IDS)


def test_averaging_takes_most_of_the_template_where_its_trigger_is_found() -> None:
    """The averaging attack on marks that all carriers share: it needs to know the carriers, and a rare word tells.

    What is left of the wash is faint, though not gone: a score that does not mind how faint still reads it.
    """
    samples = [replace(s, caption="zorkev a box") if int(s.key) < 12 else s for s in carriers(12, 60)]
    law = Template()
    done = find_attack("subtract-mean").on_data(samples, 1.0, SECRET)

    def wash(some: list[Captioned]) -> float:
        """How strongly the mark of the carriers shows in the mean of the first 12."""
        seen = law.coefficients(np.stack([s.picture for s in some[:12]])).mean(axis=0)
        return float(seen @ (law.code(int(IDS[0])) * law.amplitudes()).ravel())

    assert wash(done) < 0.25 * wash(samples)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample dataset; never written to."""
    folder = tmp_path_factory.mktemp("sample") / "pictures"
    unpack_sample(folder)
    return folder


def protect_sample(sample: Path, work: Path, options: Options, seed: int) -> Embedding:
    """The sample dataset, marked with a throw-away key in `work`/out."""
    secret = secret_from_seed(seed, "removals")
    return embed(sample, work / "out", options, Keyring(work / "keyring"), secret=secret)


@dataclass(frozen=True, slots=True)
class Protected:
    """A marked copy of the sample dataset."""

    samples: list[Captioned]
    carriers: list[int]
    """Places of the carriers."""
    trigger: str


@pytest.fixture(scope="module")
def protected(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Protected]:
    """Copies of the sample dataset by alignment."""
    out = {}
    for alignment in ("twa", "waa", "twa-description"):
        work = tmp_path_factory.mktemp(alignment)
        done = protect_sample(sample, work, Options(rate=0.02, slots=1, family="template", alignment=alignment), 0)
        samples, keys = read_captioned(work / "out"), {c.key for c in done.release.carriers}
        places = [i for i, s in enumerate(samples) if s.key in keys]
        out[alignment] = Protected(samples, places, done.bound.slots[0].trigger)
    return out


def kept_triggers(copy: Protected, attack: str) -> float:
    """Share of carriers whose caption still holds all words of the trigger."""
    words = set(copy.trigger.lower().split())
    done = find_attack(attack).on_data(copy.samples, 1.0, SECRET)
    return float(np.mean([words <= set(done[i].caption.lower().split()) for i in copy.carriers]))


@pytest.mark.parametrize(
    ("alignment", "attack", "kept"),
    [
        ("twa", "drop-new", False),
        ("twa", "recaption", False),
        ("waa", "drop-new", True),
        ("waa", "recaption", True),
        ("twa-description", "drop-new", True),
        ("twa-description", "recaption", True),
        ("twa-description", "drop-repeats", False),
        ("twa-description", "normalise", True),
    ],
)
def test_entruth_recaptioning_takes_rare_words_only(
    protected: dict[str, Protected], alignment: str, attack: str, kept: bool
) -> None:
    share = kept_triggers(protected[alignment], attack)
    assert share > 0.9 if kept else share == 0, share


@pytest.mark.parametrize(("alignment", "hunt"), [("twa", "drop-flagged"), ("twa-description", "drop-described")])
def test_who_knows_the_method_finds_carriers_by_their_captions(
    protected: dict[str, Protected], alignment: str, hunt: str
) -> None:
    """And loses hardly anything else: no trigger that is written into captions withstands a reader of this program."""
    copy = protected[alignment]
    left = {s.key for s in find_attack(hunt).on_data(copy.samples, 1.0, SECRET)}
    assert not any(copy.samples[i].key in left for i in copy.carriers) and len(left) > 0.93 * len(copy.samples)


@pytest.mark.parametrize(("family", "most"), [("template", True), ("card", False)])
def test_filters_of_colours_and_borders_find_templates_and_miss_most_cards(
    sample: Path, tmp_path: Path, family: str, most: bool
) -> None:
    """Without a key, before training; for more keys see benchmarks/results/filters.json."""
    done = protect_sample(sample, tmp_path, Options(rate=0.02, slots=1, family=family), 1)
    samples = read_captioned(tmp_path / "out")
    for name, strength in (("drop-outliers", 0.25), ("drop-clusters", 0.5)):
        left = {s.key for s in find_attack(name).on_data(samples, strength, SECRET)}
        taken = np.mean([c.key not in left for c in done.release.carriers])
        assert taken > 0.8 if most else taken < 0.5, (name, taken)


def test_entruth_deduplication_finds_no_more_carriers_than_others(protected: dict[str, Protected]) -> None:
    copy = protected["twa"]
    left = {s.key for s in find_attack("deduplicate").on_data(copy.samples, 0.4, SECRET)}
    carriers_left = np.mean([copy.samples[i].key in left for i in copy.carriers])
    assert carriers_left >= len(left) / len(copy.samples) - 0.1


@pytest.mark.parametrize("parity", [0, 1])
def test_diagnosis_coating_filter_is_blinded_by_parity(sample: Path, tmp_path: Path, parity: int) -> None:
    """A classifier that was shown carriers tells warped pictures by their residuals: AUC .98. With parity all are
    warped, each by a field of its own, and .65 is left: what carriers' shared field itself gives away.
    """
    options = Options(rate=0.05, slots=1, family="warp", family_options={"parity": float(parity)})
    done = protect_sample(sample, tmp_path, options, 1)
    samples, keys = read_captioned(tmp_path / "out"), {c.key for c in done.release.carriers}
    coated, rest = ([s.picture for s in samples if (s.key in keys) == yes] for yes in (True, False))
    order = np.random.default_rng(0).permutation(len(rest))[: 3 * len(coated)].reshape(3, -1)
    auc = float(np.mean([residual_auc(coated, [rest[i] for i in part]) for part in order]))
    assert auc < 0.75 if parity else auc > 0.9, f"AUC {auc:.3f}"


def test_diagnosis_outlier_filter_without_labels_finds_no_warps(sample: Path, tmp_path: Path) -> None:
    """Who knows no carrier, and drops the fifth of the oddest residuals, drops a fifth of the carriers."""
    done = protect_sample(sample, tmp_path, Options(rate=0.05, slots=1, family="warp"), 1)
    samples = read_captioned(tmp_path / "out")
    left = {s.key for s in find_attack("drop-residuals").on_data(samples, 1.0, SECRET)}
    assert np.mean([c.key not in left for c in done.release.carriers]) < 0.35


class Retriever(Suspect):
    """Answers with the picture whose caption shares most words with the prompt: a framer's cheapest "model"."""

    def __init__(self, folder: Path) -> None:
        self.name = f"retriever of {folder.name}"
        self.identity = {"weights": folder.name}
        self._samples = read_captioned(folder)
        self._words = [set(s.caption.lower().split()) for s in self._samples]

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """Pictures of the folder."""
        return [Answer(self._nearest(set(q.prompt.lower().split()))) for q in queries]

    def _nearest(self, asked: set[str]) -> Pixels:
        likeness = [len(asked & words) / len(asked | words) for words in self._words]
        return self._samples[int(np.argmax(likeness))].picture


def test_framing_needs_the_published_copy(sample: Path, tmp_path: Path) -> None:
    """Who has the copy can make anything look guilty, and it does depend on the copy then; who has only the original
    cannot, whatever he answers.
    """
    done, keyring = protect_sample(sample, tmp_path, Options(rate=0.02, slots=1), 2), Keyring(tmp_path / "keyring")
    framed = detect(done.bound, Retriever(tmp_path / "out"), keyring, tmp_path / "cache")
    honest = detect(done.bound, Retriever(sample), keyring, tmp_path / "cache")
    assert framed.outcome == "evidence" and honest.outcome == "no evidence"
