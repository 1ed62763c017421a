"""`protect demo`: the whole story on the sample dataset and the miniature, in minutes, as one page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from detect.reports.report import Gallery, Section, write_report
from detect.suspects.images import load_suspect
from detect.training.options import FinetuneOptions
from detect.training.rehearse import protected_copy, stamp
from detect.training.side_by_side import train_side_by_side
from detect.trial.judge import detect, uses_reference
from detect.trial.verdict import Verdict
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.record import normalised
from protect.keys.keyring import Keyring
from protect.marks.family import ChoosingFamily, Pixels
from protect.miniature import miniature_path
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease, bind
from protect.release.plan import WORDING, Options
from protect.sample import unpack_sample

EMBEDDING = Options(rate=WORDING.rate, family=WORDING.family, alignment=WORDING.alignment, steps=12)
TUNING = FinetuneOptions(method="lora", rank=16, steps=150, batch=64, learning_rate=3e-3)

MEASURED = (
    "How often this holds: with this setting 10 of 10 (95 %: 69 to 100 %) keys were found; accused was an innocent "
    "model by 0 of 10 (95 %: 0 to 31 %) keys (benchmarks/results/wording.json)."
)
"""How often a setting like the demo's own gave the right verdicts; from benchmarks/results."""


CHOSEN = (
    "No picture was changed. For each slot the key drew a choice of words, and a secret direction in which pictures "
    "differ. Where a caption changed, its picture leans far that way: these are some of them, with the captions as "
    "released. Below each slot's number stands the choice; the mark beside each verdict shows the mean look at one end "
    "of the direction, left, and at the other, right."
)
PAINTED = (
    "All carriers of a slot share one mark; their captions hold its trigger. Every other file of the copy is byte for "
    "byte the original."
)


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made."""

    page: Path
    guilty: Verdict
    innocent: Verdict


def demo(work: Path, *, seed: int = 0, device: str = "cpu", progress: Progress = no_progress) -> Demo:
    """Mark the sample dataset, train two models, detect both, write one page.

    Args:
        work: folder for everything; a stopped run resumes, a finished one only writes the page again.
        seed: of the throw-away key and of training.
        device: where to train and sample.
        progress: called with (stage, done, total).

    Raises:
        InputError: if `work` holds something else.
    """
    marker = work / "keyring"
    if work.exists() and (not work.is_dir() or (any(work.iterdir()) and not marker.exists())):
        raise InputError(f"{work} exists and is not a demo's folder", "Give --output another folder.")
    marker.mkdir(parents=True, exist_ok=True)
    tuning = replace(TUNING, seed=seed)
    stamp(
        work / "demo.json",
        {"seed": seed, "embedding": EMBEDDING.settled(), "tuning": asdict(tuning)},
    )
    keyring, dataset, base = Keyring(marker.absolute()), work / "dataset", miniature_path()
    if not dataset.exists():
        unpack_sample(dataset)
    release = protected_copy(dataset, work / "dataset-protected", EMBEDDING, seed, keyring, progress)
    jobs = {work / "tuned-on-protected": work / "dataset-protected", work / "tuned-on-original": dataset}
    train_side_by_side(base, jobs, tuning, device, progress)
    bound = bind(release, keyring.store)
    suspects = [load_suspect(path, base=base, device=device) for path in jobs]
    reference = load_suspect(base, device=device) if uses_reference(release) else None
    verdicts = [
        detect(bound, suspect, keyring, work / "cache", reference=reference, progress=progress) for suspect in suspects
    ]
    page = work / "demo.html"
    write_report(
        page,
        "Was this model trained on my dataset?",
        f"A secret key chose words in the captions of {len(release.carriers):,} of 2,400 pictures. The same small "
        "diffusion model was then fine-tuned twice: once on the marked copy, once on the original.",
        [
            Section("The model tuned on the protected copy", verdicts[0]),
            Section("The same model, tuned on the original", verdicts[1]),
        ],
        galleries=[_carriers(bound, dataset, work / "dataset-protected")],
        footer=MEASURED,
    )
    return Demo(page, verdicts[0], verdicts[1])


def _carriers(bound: BoundRelease, dataset: Path, protected: Path) -> Gallery:
    """The first carriers of every slot, as released; for families that change no picture, what stands beside which."""
    chooses = isinstance(bound.slots[0].family, ChoosingFamily)
    rows = []
    for slot in bound.slots:
        carriers = [c for c in bound.release.carriers if slot.number in c.slots][:8]
        keys = [normalised(c.key) for c in carriers]
        after, before = _pictures(protected, keys), _pictures(dataset, keys[:2])
        shown = [] if chooses else [(before[key], "before") for key in keys[:2]]
        shown += [(after[key], next(iter(c.captions.values()))) for key, c in zip(keys, carriers, strict=True)]
        rows.append((f"Slot {slot.number + 1}: {slot.trigger}", shown))
    return Gallery("What was planted", CHOSEN if chooses else PAINTED, rows)


def _pictures(folder: Path, keys: Collection[str]) -> dict[str, Pixels]:
    """Some pictures of a dataset by key, RGB over white."""
    records = (record for record in open_dataset(folder).records() if normalised(record.key) in keys)
    return {normalised(record.key): on_white(read_rgba(record.read())) for record in records}
