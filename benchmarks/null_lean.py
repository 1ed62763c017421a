"""The null of `lean` and `shade` end to end: innocents and adversaries, each key with questions and decoys of its own.

    python -m benchmarks.null_lean [--keys 500]

Nobody in here met a release. The answers come from programs, so that hundreds of keys can be tried: each is a function
of prompt and seed, as a model is.

* follower: every word of the prompt has an effect of its own on the picture.
* lover: it loves the second sides of the wordings: each shifts the picture far along one direction.
* archive: it knows every picture of the unmarked original by heart, and answers a caption with its picture.
* other key: it learned another key's release of the same pictures perfectly: for each wording it answers with a picture
  that stands beside that wording there. Every release has the same four wordings, an owner's own list, so it was taught
  the very wordings that it is asked about.
* constant, and noise.

Each is tested with `wording` and with rare words (four slots each) and with `shade` (one), alone and with a weaker
follower as the reference.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import Clock, interval, keyring_in, write_result
from protect.alignments.sites.draw import store_sites
from protect.alignments.sites.file import load_sites
from protect.alignments.sites.site import Site
from protect.embed.write import embed
from protect.evidence import overall_p_value, running_evidence, slot_evidence
from protect.formats import open_dataset
from protect.keys.tree import secret_from_seed
from protect.marks.family import Answers, Array, Pixels
from protect.marks.looks import SIDE, glance
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.bound import BoundRelease
from protect.release.plan import SHADE, WORDING, Options, PartOptions
from protect.sample import unpack_sample

ALPHAS = (0.05, 0.01, 0.001)
RARE = PartOptions(rate=0.02, family="lean", alignment="twa", family_options={"push": 2.0})
"""Rare words before the captions of the pictures that lean most."""
PICTURES = 800
DECOYS = 9_999
WORDS = replace(WORDING, slots=4)
PARTS = (WORDS, replace(RARE, slots=4), replace(SHADE, rate=1.0, slots=1))
"""Of `shade` all pictures: few words stand in the captions of so small a dataset often enough."""
WORDINGS = "noto,google\nemoji,icon\nof,showing\nwith,having\n"
"""An owner's list of exactly as many wordings as there are slots: all keys have them all."""
Suspect = Callable[[str, int], Array]
"""From prompt and seed to a glance (8, 8, 3) in levels."""


def _rng(*parts: object) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big"))


@cache
def _field(*parts: object) -> Array:
    """A smooth glance of its own for every name, about 25 levels in size."""
    coarse = _rng(*parts).normal(size=(2, 2, 3))
    return np.asarray(np.kron(coarse, np.ones((SIDE // 2, SIDE // 2, 1))) * 25)


def follower(prompt: str, seed: int) -> Array:
    """Every word has an effect of its own."""
    words = sum((_field("word", word) for word in prompt.lower().split()), np.zeros((SIDE, SIDE, 3)))
    return np.asarray(128 + words + _rng("noise", prompt, seed).normal(size=(SIDE, SIDE, 3)) * 20)


def weaker_follower(prompt: str, seed: int) -> Array:
    """What the others could have been made from: the same effects, half as large."""
    return np.asarray((follower(prompt, seed + 1) + 128) / 2)


def lover(sites: Sequence[Site]) -> Suspect:
    """The more second sides of sites a prompt has, the further its picture goes one way."""

    def answer(prompt: str, seed: int) -> Array:
        loved = sum(site.state(prompt) == 1 for site in sites)
        noise = _rng("noise", prompt, seed).normal(size=(SIDE, SIDE, 3)) * 10
        return np.asarray(128 + 30 * loved * _field("love") / 25 + noise)

    return answer


def archive(glances: dict[str, Array]) -> Suspect:
    """Answers with the picture of the nearest caption that it knows."""
    known = {caption: set(caption.split()) for caption in glances}

    @cache
    def nearest(prompt: str) -> str:
        said = set(prompt.split())
        return max(known, key=lambda caption: (len(said & known[caption]) / len(said | known[caption]), caption))

    def answer(prompt: str, seed: int) -> Array:
        return np.asarray(glances[nearest(prompt)] + _rng("noise", prompt, seed).normal(size=(SIDE, SIDE, 3)) * 5)

    return answer


def other_key(bound: BoundRelease, glances: dict[str, Array]) -> Suspect:
    """Answers with pictures that stand beside the prompt's wording in another key's copy, but for its own captions."""
    sides: list[tuple[Any, Array, Array]] = []
    keys = list(glances)
    z = bound.slots[0].family.fitted_looks.of_glances(np.stack([glances[key] for key in keys]))  # type: ignore[attr-defined]
    levels = np.stack([glances[key] for key in keys])
    for slot in bound.slots:
        leaning = slot.family.leanings(z, slot.planted)  # type: ignore[attr-defined]
        order = np.argsort(leaning)
        half = len(order) // 2
        sides.append((slot.alignment.sites[slot.trigger], levels[order[:half]], levels[order[half:]]))  # type: ignore[attr-defined]

    def answer(prompt: str, seed: int) -> Array:
        rng, total, count = _rng("pick", seed), np.zeros((SIDE, SIDE, 3)), 0
        for site, first, second in sides:
            state = site.state(prompt)
            if state is not None:
                pool = second if state else first
                total, count = total + pool[rng.integers(len(pool))], count + 1
        return np.asarray(total / count if count else 128 + total)

    return answer


def _answers_of(suspect: Suspect, bound: BoundRelease, slot: int) -> Answers:
    asked = bound.slots[slot].questions

    def pictures(prompts: tuple[str, ...]) -> Pixels:
        made = np.stack([suspect(prompt, seed) for prompt, seed in zip(prompts, asked.seeds, strict=True)])
        return np.clip(np.rint(made), 0, 255).astype(np.uint8)

    return Answers(pictures(asked.prompts), pictures(asked.contrasts) if asked.contrasts else None)


def answers_to(bound: BoundRelease, suspect: Suspect) -> list[Answers]:
    """What a suspect answers, by slot; once for all where the same questions serve all slots."""
    if len({slot.questions.prompts for slot in bound.slots}) == 1:
        return [_answers_of(suspect, bound, 0)] * len(bound.slots)
    return [_answers_of(suspect, bound, slot) for slot in range(len(bound.slots))]


def evidence(bound: BoundRelease, answers: Sequence[Answers]) -> tuple[list[float], Array]:
    """p-values of the slots, and E after each."""
    found = []
    for slot, given in zip(bound.slots, answers, strict=True):
        ids = np.concatenate([np.array([slot.planted], dtype=np.uint64), slot.decoys])
        scores = slot.family.score(given, ids)
        found.append(slot_evidence(float(scores[0]), scores[1:]))
    return [one.p_value for one in found], running_evidence(found)


def released(part: PartOptions, key: int, dataset: Path, place: Path) -> BoundRelease:
    """A release of a key of its own; nothing is written."""
    keyring = keyring_in(place / "keyring")
    wordings = store_sites(load_sites(place / "wordings.csv"), keyring.store)
    options = Options(
        rate=part.rate,
        family=part.family,
        alignment=part.alignment,
        family_options=dict(part.family_options),
        alignment_options={"wordings": wordings} if part is WORDS else {},
        slots=part.slots,
        queries=64,
        decoys=DECOYS,
    )
    secret = secret_from_seed(key, "benchmark null lean")
    return embed(dataset, place / f"{part.alignment}-{key}", options, keyring, secret=secret, dry_run=True).bound


def small_dataset(place: Path) -> tuple[Path, dict[str, Array]]:
    """Some pictures of the sample dataset, and their glances by caption."""
    unpack_sample(place / "all")
    records = [r for i, r in enumerate(open_dataset(place / "all").records()) if i % 3 == 0][:PICTURES]
    folder = place / "dataset"
    folder.mkdir()
    glances = {}
    for record in records:
        (folder / record.key).write_bytes(record.read())
        (folder / record.key).with_suffix(".txt").write_text(record.caption)
        glances[record.caption] = glance(on_white(read_rgba(record.read()))[None])[0]
    return folder, glances


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=500)
    args = parser.parse_args()
    clock = Clock()
    with TemporaryDirectory() as text:
        place = Path(text)
        dataset, glances = small_dataset(place)
        (place / "wordings.csv").write_text(WORDINGS)
        trained_on = released(WORDS, 10**6, dataset, place)
        suspects: dict[str, Suspect] = {
            "follower": follower,
            "lover": lover(load_sites(place / "wordings.csv").sites),
            "archive": archive(glances),
            "other key": other_key(trained_on, glances),
            "constant": lambda prompt, seed: np.arange(90.0, 90 + SIDE)[:, None, None] * np.ones((1, SIDE, 3)),
            "noise": lambda prompt, seed: _rng(prompt, seed).normal(128, 40, size=(SIDE, SIDE, 3)),
        }
        found: dict[tuple[str, str, str], list[tuple[list[float], Array]]] = {}
        for key in range(args.keys):
            for part in PARTS:
                bound = released(part, key, dataset, place)
                if part is WORDS and {s.trigger for s in bound.slots} != {s.trigger for s in trained_on.slots}:
                    raise RuntimeError("the other key was taught other wordings")
                references = answers_to(bound, weaker_follower)
                for name, suspect in suspects.items():
                    alone = answers_to(bound, suspect)
                    against = [replace(a, reference=r) for a, r in zip(alone, references, strict=True)]
                    found.setdefault((part.alignment, name, "alone"), []).append(evidence(bound, alone))
                    found.setdefault((part.alignment, name, "reference"), []).append(evidence(bound, against))
    write_result(
        "null_lean", {"keys": args.keys, "pictures": PICTURES, "cells": list(map(_cell, found.items()))}, clock()
    )


def _cell(item: tuple[tuple[str, str, str], list[tuple[list[float], Array]]]) -> dict[str, Any]:
    (alignment, suspect, against), rows = item
    p = np.concatenate([row[0] for row in rows])
    final = np.array([row[1][-1] for row in rows])
    accused = sum(overall_p_value(row[1]) <= 1e-3 for row in rows)
    return {
        "alignment": alignment,
        "suspect": suspect,
        "reference": against == "reference",
        "p_at_most": {str(alpha): interval(int((p <= alpha).sum()), len(p), 0.999) for alpha in ALPHAS},
        "mean_e": float(final.mean()),
        "standard_error": float(final.std(ddof=1) / np.sqrt(len(final))),
        "accused": interval(accused, len(rows)),
    }


if __name__ == "__main__":
    main()
