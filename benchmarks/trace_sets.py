"""What the models of `benchmarks.trace` are tuned on: recipients' copies, and what colluders make of theirs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import keyring_in
from benchmarks.wording import prepare
from detect.trace.collusion import STRATEGIES, merged_captions
from protect.alignments.wording import Wording
from protect.embed.write import embed
from protect.execution.engine import Threads
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.recipients.entry import Entry
from protect.recipients.ledger import open_ledger
from protect.recipients.materialise import materialise
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options

RECIPIENTS = 50
MARKING = Options(rate=1.0, family="lean", alignment="wording", slots=8, steps=12, recipients=True)
"""Every caption may change at any of its choices of words, and no picture."""
SINGLE = range(1, 25)
"""Recipients whose copy alone is learned."""
SETS = {2: ((1, 2), (3, 4)), 3: ((5, 6, 7), (8, 9, 10))}
"""Recipients who put their copies together."""


@dataclass(frozen=True, slots=True)
class Suspected:
    """One model, and whose copies it learned."""

    sources: tuple[int, ...]
    strategy: str = ""
    """What colluders did; empty for one copy."""

    @property
    def name(self) -> str:
        """Of its folders."""
        return "-".join(["model", self.strategy.replace(" ", "-") or "single", *map(str, self.sources)])


def suspected() -> Iterator[Suspected]:
    """All models, in the order of what they tell."""
    singles = [Suspected((serial,)) for serial in SINGLE]
    together = [
        Suspected(SETS[count][turn], name) for turn in range(2) for count in sorted(SETS) for name in STRATEGIES
    ]
    yield from singles[:8]
    yield from together[: len(together) // 2]
    yield from singles[8:]
    yield from together[len(together) // 2 :]


def release_of(work: Path) -> tuple[BoundRelease, Keyring]:
    """The release and its keyring; it is issued once."""
    keyring = keyring_in(work / "keyring")
    held = keyring.survey()[0]
    if not held:
        secret = secret_from_seed(950, "benchmark trace")
        embed(work / "dataset", work / "release", MARKING, keyring, secret=secret)
        held = keyring.survey()[0]
    with open_ledger(keyring) as ledger:
        if not ledger.issued(held[0].id):
            ledger.issue(held[0], ((f"row {n}", Entry(f"recipient {n}")) for n in range(1, RECIPIENTS + 1)))
    return bind(held[0], keyring.store), keyring


def prepare_copies(work: Path) -> None:
    """Unpack the dataset, make the release and write all copies that are learned, unless they are there."""
    prepare(work)
    release_of(work)
    for serial in sorted({serial for one in suspected() for serial in one.sources}):
        copy_of(work, serial)


def copy_of(work: Path, serial: int) -> Path:
    """A recipient's copy, materialised once."""
    target = work / f"copy-{serial}"
    if not target.exists():
        bound, keyring = release_of(work)
        with open_ledger(keyring) as ledger:
            person = ledger.one(bound.release.id, str(serial))
        materialise(bound.release, person, target, keyring, engine=Threads(), dataset=work / "dataset", link=True)
    return target


def training_set(work: Path, one: Suspected) -> Path:
    """What a model is tuned on: a copy, or what colluders made of theirs."""
    if not one.strategy:
        return copy_of(work, one.sources[0])
    target = work / one.name.replace("model", "merged")
    if target.exists():
        return target
    bound, _ = release_of(work)
    alignment = bound.slots[0].alignment
    assert isinstance(alignment, Wording)
    sites = [alignment.sites[slot.trigger] for slot in bound.slots]
    copies = [{r.key: r.caption for r in open_dataset(copy_of(work, serial)).records()} for serial in one.sources]
    merged = merged_captions(copies, sites, STRATEGIES[one.strategy], np.random.default_rng(one.sources))
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    lines = []
    for place, (key, caption) in enumerate(merged):
        name = f"{place:06}{Path(key).suffix}"
        (partial / name).hardlink_to(work / "dataset" / key)
        lines.append(json.dumps({"file_name": name, "text": caption}, ensure_ascii=False))
    (partial / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return partial.rename(target)
