"""Can an owner try keys until one fits a model at hand? Without a public coin, yes; with one, no.

    python -m benchmarks.grinding --work W [--tries 500000]

The owner has a model (the miniature, tuned on pictures that nobody marked) and wants to accuse it, and a younger one
that somebody makes from it afterwards; neither ever saw the release. He draws secrets by the hundred thousand, looks
which mark the model's pictures happen to follow, tests the best few in full, and commits to the best.

* Without a coin: how long that takes, what the verdicts on both models are, and that their first lines say so.
* With a coin: the same secret, committed to before the coin; the secrets that fitted best before it, each with its
  coin; and what an owner may still choose once the coin is known.
* On request: if a timestamp authority can be asked again and again, each reply is another draw. How many it takes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Clock, interval, keyring_in, write_result
from detect.reports.words import summary
from detect.suspects.images import Suspect, load_suspect
from detect.suspects.images.suspect import stacked
from detect.training.options import FinetuneOptions
from detect.training.rehearse import train_suspect
from detect.trial.judge import detect
from detect.trial.questions import query_plan, trigger_queries
from detect.trial.verdict import Verdict
from protect.embed.commit import commit, options_of
from protect.embed.write import embed
from protect.evidence import slot_evidence
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import NO_COIN, KeyTree, SlotKey, secret_from_seed
from protect.marks.family import Answers
from protect.miniature import miniature_path
from protect.release.bound import BoundRelease
from protect.release.plan import Options
from protect.release.record import Coin, Release
from protect.sample import unpack_sample

OPTIONS = Options(rate=0.08, family="template", alignment="twa", slots=1, queries=64, steps=6)
"""One slot that anyone can test in seconds: the easiest to grind. The bound holds for any number of slots."""
AT_HAND = FinetuneOptions(method="full", learning_rate=3e-4, steps=40, batch=16, seed=5)
YOUNGER = FinetuneOptions(method="lora", rank=16, learning_rate=1e-3, steps=30, batch=16, seed=6)
"""How the models are made: the one at hand from the miniature, the younger one from that; on unmarked pictures."""
FOREIGN = 2
"""Sets of questions that the owner asks before he draws secrets."""
TESTED = 24
"""Secrets that are tested in full, best first."""
COINED = 4_000
"""Secrets that fitted best before the coin, each tested with its coin."""
WANTED = 1_000.0
"""E that accuses."""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """The models, the pictures, and what the model at hand answers to questions of no release."""

    work: Path
    dataset: Path
    at_hand: Suspect
    younger: Suspect
    bound: BoundRelease
    """Any release: its family scores marks."""
    answers: Answers

    def scores(self, ids: NDArray[np.uint64]) -> Scores:
        """Scores of marks on what the model at hand answered."""
        return np.asarray(self.bound.slots[0].family.score(self.answers, ids))

    def evidence(self, slot: SlotKey) -> float:
        """E of a slot's planted mark against its own decoys, by the product's own arithmetic."""
        planted = np.array([slot.planted], dtype=np.uint64)
        scores = self.scores(np.concatenate([planted, slot.decoys(OPTIONS.decoys)]))
        return slot_evidence(float(scores[0]), scores[1:]).e_value


def secret_of(number: int) -> bytes:
    """The secret of a try."""
    return secret_from_seed(number, "benchmark grinding")


def coin_of(number: int) -> str:
    """A coin that nobody could know: it stands for a round of a beacon."""
    return hashlib.sha256(f"benchmark grinding, coin {number}".encode()).hexdigest()


def answers_of(suspect: Suspect, bound: BoundRelease) -> Answers:
    """What a suspect answers to a release's first slot."""
    plan = query_plan(bound.release)
    return Answers(stacked(suspect.answer(trigger_queries(bound.slots[0], plan.queries), plan.sampler)))


def some_pictures(work: Path) -> Path:
    """Every fourth picture of the sample dataset, with its caption."""
    whole, folder = work / "whole", work / "dataset"
    if not folder.exists():
        unpack_sample(whole)
        folder.mkdir()
        for record in list(open_dataset(whole).records())[::4]:
            (folder / record.key).write_bytes(record.read())
            (folder / record.key).with_suffix(".txt").write_text(record.caption)
    return folder


def planned(dataset: Path, work: Path, secret: bytes) -> BoundRelease:
    """The release that a secret would make; nothing is written."""
    keyring = keyring_in(work / "scratch")
    return embed(dataset, work / "never", OPTIONS, keyring, secret=secret, dry_run=True).bound


def prepare(work: Path) -> Setting:
    """Train the models, and put foreign questions to the one at hand."""
    dataset = some_pictures(work)
    train_suspect(miniature_path(), dataset, work / "at-hand", AT_HAND)
    train_suspect(work / "at-hand", dataset, work / "younger", YOUNGER)
    at_hand, younger = load_suspect(work / "at-hand"), load_suspect(work / "younger", base=work / "at-hand")
    foreign = [planned(dataset, work, secret_from_seed(i, "benchmark grinding, foreign")) for i in range(FOREIGN)]
    pictures = [answers_of(at_hand, bound).asked for bound in foreign]
    return Setting(work, dataset, at_hand, younger, foreign[0], Answers(np.concatenate(pictures)))


def ground(setting: Setting, tries: int) -> tuple[list[int], dict[str, Any]]:
    """Tries in the order in which their marks fit the model at hand, and what that took."""
    clock = Clock()
    ids = np.array([KeyTree(secret_of(i)).slot(0).planted for i in range(tries)], dtype=np.uint64)
    scores = np.concatenate([setting.scores(ids[start : start + 20_000]) for start in range(0, tries, 20_000)])
    order = [int(i) for i in np.argsort(-scores)]
    seconds, hits = clock(), 0
    for i in order:  # E falls with the score, but for each try's own decoys: stop well below
        e_value = setting.evidence(KeyTree(secret_of(i)).slot(0))
        hits += e_value >= WANTED
        if e_value < WANTED / 20:
            break
    return order, {"tries": tries, "seconds": round(seconds, 1), "hits": interval(hits, tries)}


def chosen(setting: Setting, order: Sequence[int]) -> tuple[int, list[float]]:
    """The try whose own questions accuse the model at hand most, and the E of each that was tested in full."""
    bounds = (planned(setting.dataset, setting.work, secret_of(i)) for i in order[:TESTED])
    found = [in_full(bound, setting.at_hand) for bound in bounds]
    return order[int(np.argmax(found))], found


def in_full(bound: BoundRelease, suspect: Suspect) -> float:
    """E of a release's first slot, on what a suspect answers to its own questions."""
    slot, given = bound.slots[0], answers_of(suspect, bound)
    scores = slot.family.score(given, np.concatenate([np.array([slot.planted], dtype=np.uint64), slot.decoys]))
    return slot_evidence(float(scores[0]), scores[1:]).e_value


def released(setting: Setting, number: int, coin: str) -> tuple[Keyring, BoundRelease]:
    """A release whose owner forced the secret of a try upon it; with a coin, he committed to it before."""
    place = setting.work / f"owner-{number}{'-coin' if coin else ''}"
    keyring, output = keyring_in(place / "keyring"), place / "copy"
    place.mkdir(exist_ok=True)
    with (
        patch("protect.embed.write.new_secret", lambda: secret_of(number)),
        patch("protect.embed.commit.new_secret", lambda: secret_of(number)),
    ):
        if not coin:
            return keyring, embed(setting.dataset, output, OPTIONS, keyring, anyway=True).bound
        waiting = commit(setting.dataset, output, OPTIONS, keyring, Coin("a stand-in for a beacon", "1"), anyway=True)
        options = options_of(waiting.plan)
        done = embed(setting.dataset, output, options, keyring, commitment=waiting.id, coin=coin, anyway=True)
        return keyring, done.bound


def verdicts(setting: Setting, keyring: Keyring, bound: BoundRelease) -> dict[str, Any]:
    """What is said of both models."""
    both = {
        "model at hand": detect(bound, setting.at_hand, keyring, setting.work / "cache"),
        "younger model made from it": detect(bound, setting.younger, keyring, setting.work / "cache"),
    }
    return {name: _row(verdict) for name, verdict in both.items()}


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.outcome,
        "e_value": verdict.e_value,
        "flags": list(verdict.flags),
        "first_lines": summary(verdict).splitlines()[:3],
    }


def with_coins(setting: Setting, order: Sequence[int]) -> dict[str, Any]:
    """The secrets that fitted best before the coin, each with its coin."""
    before = [setting.evidence(KeyTree(secret_of(i)).slot(0)) for i in order[:TESTED]]
    after = np.array([setting.evidence(KeyTree(secret_of(i), coin_of(i)).slot(0)) for i in order[:COINED]])
    return {
        "secrets": len(after),
        "best_e_values_before_the_coin": before,
        "at_least_1000": interval(int((after >= WANTED).sum()), len(after)),
        "mean_e": float(after.mean()),
        "standard_error": float(after.std(ddof=1) / np.sqrt(len(after))),
        "largest_e": float(after.max()),
    }


def after_the_coin(release: Release) -> dict[str, Any]:
    """What an owner may still choose once the coin is known changes no mark, no decoy and no carrier."""
    marks, headers = set(), set()
    for i in range(2_000):
        other = Release(
            name=f"name {i}",
            secret=release.secret,
            header=release.header.replace(b'"tracemark"', b'"note":"%d","tracemark"' % i),
            coin=release.coin,
        )
        slot = other.keys.slot(0)
        headers.add(other.commitment)
        marks.add((slot.planted, slot.decoys(9).tobytes(), other.keys.carrier_rank("a.png")))
    return {"names_and_notes_tried": len(headers), "different_marks": len(marks)}


def on_request(setting: Setting, number: int, tries: int) -> dict[str, Any]:
    """One commitment, and very many coins: what an owner could do who may ask an authority again and again."""
    secret = secret_of(number)
    ids = np.array([KeyTree(secret, coin_of(i)).slot(0).planted for i in range(tries)], dtype=np.uint64)
    scores = np.concatenate([setting.scores(ids[start : start + 20_000]) for start in range(0, tries, 20_000)])
    hits = 0
    for i in np.argsort(-scores):
        e_value = setting.evidence(KeyTree(secret, coin_of(int(i))).slot(0))
        hits += e_value >= WANTED
        if e_value < WANTED / 20:
            break
    return {"replies": tries, "that_accuse": interval(hits, tries)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tries", type=int, default=500_000)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    setting = prepare(args.work)
    order, offline = ground(setting, args.tries)
    number, tested = chosen(setting, order)
    alone, coined = released(setting, number, NO_COIN), released(setting, number, coin_of(number))
    write_result(
        "grinding",
        {
            "options": {"family": OPTIONS.parts[0].family, "slots": 1, "decoys": OPTIONS.decoys},
            "offline": {**offline, "tested_in_full": tested},
            "without_a_coin": verdicts(setting, *alone),
            "with_a_coin": verdicts(setting, *coined),
            "ground_before_the_coin": with_coins(setting, order),
            "chosen_after_the_coin": after_the_coin(coined[1].release),
            "coins_on_request": on_request(setting, number, args.tries),
        },
        clock(),
    )


if __name__ == "__main__":
    main()
