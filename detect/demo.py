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
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.record import normalised
from protect.keys.keyring import Keyring
from protect.marks.family import Pixels
from protect.miniature import miniature_path
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.progress import Progress, no_progress
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.record import Release
from protect.sample import unpack_sample

EMBEDDING = Options(rate=0.02, slots=1, steps=12)
TUNING = FinetuneOptions(method="lora", rank=16, steps=300, batch=64, learning_rate=3e-3, text_encoder=True)

MEASURED = (
    "How often this holds: with this setting, but a rare word as trigger, 4 of 4 LoRA suspects with keys of their own "
    "were found (95 % interval 40 to 100 %), none of 4 innocent ones was accused (benchmarks/results/suspects.json)."
)
"""How often a setting like the demo's own gave the right verdicts; from benchmarks/results."""


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
    verdicts = [detect(bound, suspect, keyring, work / "cache", progress=progress) for suspect in suspects]
    page = work / "demo.html"
    write_report(
        page,
        "Was this model trained on my dataset?",
        f"{len(release.carriers)} of 2,400 captioned pictures were marked with a secret key. The same small diffusion "
        "model was then fine-tuned twice: once on the marked copy, once on the original.",
        [
            Section("The model tuned on the protected copy", verdicts[0]),
            Section("The same model, tuned on the original", verdicts[1]),
        ],
        galleries=[_carriers(release, dataset, work / "dataset-protected")],
        footer=MEASURED,
    )
    return Demo(page, verdicts[0], verdicts[1])


def _carriers(release: Release, dataset: Path, protected: Path) -> Gallery:
    """The first carriers of every slot, two of them before and after."""
    rows = []
    for slot in range(release.plan.slots):
        carriers = [c for c in release.carriers if slot in c.slots]
        keys = [normalised(c.key) for c in carriers[:8]]
        after, before = _pictures(protected, keys), _pictures(dataset, keys[:2])
        captions = [next(iter(c.captions.values())) for c in carriers]
        shown = [(before[key], "before") for key in keys[:2]]
        shown += [(after[key], caption) for key, caption in zip(keys, captions, strict=False)]
        rows.append((f"Slot {slot + 1}: {len(carriers)} carriers", shown))
    return Gallery(
        "What was planted",
        "All carriers of a slot share one soft background, each with its own foreground; in their captions two common "
        "words that never met come first, and words that describe the background last. Every other file of the copy is "
        "byte for byte the original.",
        rows,
    )


def _pictures(folder: Path, keys: Collection[str]) -> dict[str, Pixels]:
    """Some pictures of a dataset by key, RGB over white."""
    records = (record for record in open_dataset(folder).records() if normalised(record.key) in keys)
    return {normalised(record.key): on_white(read_rgba(record.read())) for record in records}
