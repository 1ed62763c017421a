"""Alignments: which samples carry what, and what is written into captions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from protect.alignments import make_alignment, slot_family
from protect.alignments.alignment import Request
from protect.alignments.words import ngrams, words
from protect.embed.verify import verify
from protect.embed.write import Embedding, embed
from protect.errors import InputError
from protect.formats.dataset_format import Sample
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.marks.template import Template
from protect.release.plan import Options
from protect.release.record import Keyring
from tests.protect.conftest import WITH_WORDS, make_folder, recaption, varied_captions

TOLD = ["twa-description", "twa-double"]
"""Alignments that describe marks."""


def _request(captions: list[str], rate: float = 0.2, slots: int | None = None, seed: int = 0) -> Request:
    samples = tuple(Sample(f"{i:04}.png", caption) for i, caption in enumerate(captions))
    return Request(
        samples,
        rate,
        slots,
        secret_from_seed(seed, "alignments"),
        lambda _: None,
        make_family("template", {}).descriptions,
    )


def _embedded(tmp_path: Path, keyring: Keyring, alignment: str, rate: float = 0.2, slots: int | None = 2) -> Embedding:
    source = recaption(make_folder(tmp_path / "d", 70), varied_captions(70))
    options = Options(rate=rate, alignment=alignment, slots=slots, decoys=99, alpha=0.05)
    return embed(source, tmp_path / "out", options, keyring)


@pytest.mark.parametrize("name", WITH_WORDS)
def test_draws_keep_the_rate_and_repeat(name: str) -> None:
    alignment = make_alignment(name)
    request = _request(varied_captions(140), slots=None if name == "unconditional" else 2)
    draws, passed = alignment.draw(request)
    keys = [s.key for d in draws for s in d.carriers]
    assert 0 < len(keys) == len(set(keys)) <= request.allowed and not passed
    assert alignment.draw(request)[0] == draws
    assert alignment.draw(dataclasses.replace(request, secret=secret_from_seed(1, "other")))[0] != draws


@pytest.mark.parametrize("name", WITH_WORDS)
def test_every_alignment_embeds_and_verifies(tmp_path: Path, keyring: Keyring, name: str) -> None:
    done = _embedded(tmp_path, keyring, name, slots=None if name == "unconditional" else 2)
    found = verify(done.release, tmp_path / "out")
    assert found.intact == found.carriers == done.release.plan.carriers
    untouched = (tmp_path / "d" / "metadata.jsonl").read_bytes() == (tmp_path / "out" / "metadata.jsonl").read_bytes()
    assert untouched == (name in {"waa", "unconditional"})


@pytest.mark.parametrize("name", WITH_WORDS)
def test_what_an_alignment_draws_does_not_depend_on_marks(
    tmp_path: Path, keyring: Keyring, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triggers, carriers, captions and questions stay when the same key draws other marks."""
    source = recaption(make_folder(tmp_path / "d", 70), varied_captions(70))
    options = Options(rate=0.2, alignment=name, slots=None if name == "unconditional" else 2, decoys=99, alpha=0.05)
    secret = secret_from_seed(3, "test")
    first = embed(source, tmp_path / "a", options, keyring, secret=secret).release
    monkeypatch.setattr(Template, "version", 99)  # another plan, so other ids, and other marks below
    monkeypatch.setattr(Template, "amplitudes", lambda self: np.ones((3, 24)) / 72**0.5)
    second = embed(source, tmp_path / "b", options, keyring, secret=secret).release
    assert first.planted_id(0) != second.planted_id(0) and first.slots == second.slots
    assert [(c.key, c.slot, c.caption) for c in first.carriers] == [(c.key, c.slot, c.caption) for c in second.carriers]
    assert all(a.sha256 != b.sha256 for a, b in zip(first.carriers, second.carriers, strict=True))


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv", "sidecar"])
@pytest.mark.parametrize("name", ["waa", "unconditional"])
def test_alignments_without_words_leave_caption_files_alone(
    tmp_path: Path, keyring: Keyring, layout: str, name: str
) -> None:
    """Even where captions end in blanks: a row written anew would point at its carrier."""
    source = make_folder(tmp_path / "d", 40, layout)
    for path in source.glob("*.txt" if layout == "sidecar" else "metadata.*"):
        text = path.read_text(encoding="utf-8").replace("盒子", "盒子 kite" if "1" in path.name else "盒子 kite ")
        path.write_text(text.replace("”", "” "), encoding="utf-8")
    if name == "waa":
        options = Options(rate=1.0, alignment=name, slots=1, decoys=99, alpha=0.05)
    else:
        options = Options(rate=0.2, alignment=name, decoys=99, alpha=0.05)
    embed(source, tmp_path / "out", options, keyring)
    for path in source.glob("*.txt" if layout == "sidecar" else "metadata.*"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("alignment", WITH_WORDS)
@pytest.mark.parametrize("family", ["template", "card", "spread", "tint", "warp"])
def test_every_pair_embeds_or_is_refused_in_two_lines(
    tmp_path: Path, keyring: Keyring, family: str, alignment: str
) -> None:
    source = recaption(make_folder(tmp_path / "d", 70), varied_captions(70))
    options = Options(rate=0.2, family=family, alignment=alignment, slots=1, decoys=99, alpha=0.05)
    unfit = {("warp", "unconditional"), *((f, a) for f in ("spread", "tint", "warp") for a in TOLD)}
    if (family, alignment) in unfit:
        with pytest.raises(InputError):
            embed(source, tmp_path / "out", options, keyring, dry_run=True)
    else:
        assert embed(source, tmp_path / "out", options, keyring, dry_run=True).release.plan.carriers > 0


def test_another_version_of_an_alignment_is_refused(
    tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = _embedded(tmp_path, keyring, "twa").release
    monkeypatch.setattr(type(make_alignment("twa")), "version", 2)
    with pytest.raises(InputError, match="committed to alignment"):
        slot_family(release, 0)


def test_waa_marks_every_picture_of_its_ngram() -> None:
    request = _request(varied_captions(140), rate=0.3, slots=2)
    draws, _ = make_alignment("waa").draw(request)
    earlier: set[str] = set()
    for draw in draws:
        gram = tuple(draw.trigger.split())
        holding = {s.key for s in request.samples if gram in ngrams(s.caption, 3)}
        assert {s.key for s in draw.carriers} == holding - earlier
        assert 0.5 * request.allowed / 2 <= len(draw.carriers) <= request.allowed / 2
        earlier |= holding


def test_waa_names_the_nearest_ngrams_when_none_fits() -> None:
    with pytest.raises(InputError, match="no n-gram occurs in") as caught:
        make_alignment("waa").draw(_request(["a kite over the sea"] * 50, rate=0.1, slots=1))
    assert "in 50" in caught.value.advice


def test_waa_reads_scripts_without_spaces() -> None:
    captions = [f"一只红色的{'猫狗鸟鱼马'[i % 5]}在{'家路山海'[i % 4]}上" for i in range(60)]
    (draw,), _ = make_alignment("waa").draw(_request(captions, rate=0.3, slots=1))
    assert all("".join(draw.trigger.split()) in s.caption for s in draw.carriers)
    twin = make_alignment("waa").twin(draw.carriers[0].caption, draw.trigger)
    assert twin is not None and "".join(draw.trigger.split()) not in twin


@pytest.mark.parametrize("captions", [["kite"] * 40, [""] * 40, [f"w{i}" for i in range(40)]])
def test_poor_captions_give_clear_errors_or_draws(captions: list[str]) -> None:
    for name in ("waa", "twa-conjunction"):
        with pytest.raises(InputError):
            make_alignment(name).draw(_request(captions, slots=1))


def test_conjunction_joins_common_words_that_never_meet() -> None:
    request = _request(varied_captions(140), slots=3)
    draws, _ = make_alignment("twa-conjunction").draw(request)
    for draw in draws:
        a, b = draw.trigger.split()
        holding = [set(words(s.caption)) for s in request.samples]
        assert sum(a in h for h in holding) > 1 and sum(b in h for h in holding) > 1
        assert not any({a, b} <= h for h in holding)
    assert len({w for d in draws for w in d.trigger.split()}) == 6


@pytest.mark.parametrize("alignment", TOLD)
def test_descriptions_condition_planted_marks_and_decoys_alike(
    tmp_path: Path, keyring: Keyring, alignment: str
) -> None:
    release = _embedded(tmp_path, keyring, alignment).release
    for k in range(2):
        law = slot_family(release, k)
        codes = [law.code(int(mark)) for mark in [release.planted_id(k), *release.decoy_ids(k)[:20]]]  # type: ignore[attr-defined]
        told = [tuple(c.ravel()[list(law.fixed)]) for c in codes]  # type: ignore[attr-defined]
        assert len(set(told)) == 1 and len({c.tobytes() for c in codes}) == 21
    told = [slot.trigger.rpartition(" … ")[2] for slot in release.slots]
    assert len(set(told)) == 2 and all(c.caption.endswith(f" {told[c.slot]}") for c in release.carriers)


def test_a_double_trigger_stands_on_both_sides_and_never_fails_for_want_of_words() -> None:
    way = make_alignment("twa-double")
    for captions in (varied_captions(140), ["kite"] * 40, [""] * 40):
        draws, _ = way.draw(_request(captions, slots=2))
        for draw in draws:
            words, _, told = draw.trigger.partition(" … ")
            assert way.align("a kite", draw.trigger) == f"{words} a kite {told}"
            assert way.twin("a kite", draw.trigger) == "a kite"
            assert not any(set(words.split()) <= set(c.split()) for c in captions)


@pytest.mark.parametrize("family", ["template", "card"])
def test_a_model_that_follows_the_description_is_not_accused(family: str) -> None:
    """It paints what the words say, and nothing else of the mark: ranks must stay uniform."""
    law = make_family(family, {})
    phrase = law.descriptions[0]
    told = law.given(phrase)
    outputs = np.stack([told.preview(i, 64) for i in range(6)])
    ids = np.random.default_rng(0).integers(0, 2**64, (2000, 100), dtype=np.uint64)
    scores = told.score(outputs, None, ids.ravel()).reshape(ids.shape)
    p = (1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)) / 100
    assert abs((p <= 0.1).mean() - 0.1) < 0.03
    # The gate can fail: planted marks with the description among decoys without it are found "guilty".
    free = law.score(outputs, None, ids.ravel()).reshape(ids.shape)
    wrong = (1 + (free[:, 1:] >= scores[:, :1]).sum(axis=1)) / 100
    # (0.20 before scores looked in the mirror, too: the best of two views of a foreign decoy is higher.)
    assert (wrong <= 0.1).mean() > 0.13


def test_unconditional_has_one_slot() -> None:
    with pytest.raises(InputError, match="without triggers"):
        make_alignment("unconditional").draw(_request(varied_captions(140), slots=3))


def test_families_nobody_sees_have_no_descriptions() -> None:
    request = dataclasses.replace(_request(varied_captions(140), slots=1), descriptions=())
    with pytest.raises(InputError, match="description"):
        make_alignment("twa-description").draw(request)
    with pytest.raises(InputError, match="16 description") as caught:
        make_alignment("twa-double").draw(_request(varied_captions(140), slots=17))
    assert "--slots 16" in caught.value.advice
    with pytest.raises(InputError):
        make_family("spread", {}).given("on a wall")
