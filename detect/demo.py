"""`protect demo`: the whole story on the sample dataset and the miniature, in minutes, as one page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from detect.reports.report import Gallery, Section, write_report
from detect.suspects.images import load_suspect
from detect.training.finetune import FinetuneOptions
from detect.training.rehearse import protected_copy, stamp
from detect.training.side_by_side import train_twins
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.embed.verify import on_white
from protect.embed.write import Progress
from protect.errors import InputError
from protect.miniature import miniature_path
from protect.pixels.images import read_rgba
from protect.release.plan import Options
from protect.release.record import Keyring, Release
from protect.sample import unpack_sample

EMBEDDING = Options(rate=0.02, slots=1, steps=12)
TUNING = FinetuneOptions(method="lora", rank=16, steps=300, batch=64, learning_rate=3e-3, text_encoder=True)

MEASURED = (
    "How often this holds: with this setting, but a rare word as trigger, 4 of 4 LoRA suspects with keys of their own "
    "were found (95 % interval 40 to 100 %), none of 4 innocent twins was accused (benchmarks/results/suspects.json)."
)
"""How often a setting like the demo's own gave the right verdicts; from benchmarks/results."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made."""

    page: Path
    guilty: Verdict
    innocent: Verdict


def demo(work: Path, *, seed: int = 0, device: str = "cpu", progress: Progress = lambda *_: None) -> Demo:
    """Mark the sample dataset, train two models, detect both, write one page.

    Args:
        work: folder for everything; a stopped run resumes, a finished one only writes the page again.
        seed: of the throw-away key and of training.
        device: where to train and sample.
        progress: told (stage, done, total).

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
    train_twins(base, jobs, tuning, device, progress)
    verdicts = [
        detect(release, load_suspect(path, base=base, device=device), keyring, progress=progress) for path in jobs
    ]
    page = work / "demo.html"
    write_report(
        page,
        "Was this model trained on my dataset?",
        f"{release.plan.carriers} of 2,400 captioned pictures were marked with a secret key. The same small diffusion "
        "model was then fine-tuned twice: once on the marked copy, once on the original.",
        [
            _carriers(release, dataset, work / "dataset-protected"),
            Section("The model tuned on the protected copy", verdicts[0]),
            Section("Its twin, tuned on the original", verdicts[1]),
        ],
        MEASURED,
    )
    return Demo(page, verdicts[0], verdicts[1])


def _carriers(release: Release, dataset: Path, protected: Path) -> Gallery:
    rows = []
    for slot in range(release.plan.slots):
        chosen = [c for c in release.carriers if c.slot == slot][:8]
        pictures = [(on_white(read_rgba(protected / c.key)), c.caption) for c in chosen]
        before = [(on_white(read_rgba(dataset / c.key)), "before") for c in chosen[:2]]
        rows.append((f"Slot {slot + 1}: {sum(c.slot == slot for c in release.carriers)} carriers", before + pictures))
    return Gallery(
        "What was planted",
        "All carriers of a slot share one soft background, each with its own foreground; in their captions two common "
        "words that never met come first, and words that describe the background last. Every other file of the copy is "
        "byte for byte the original.",
        rows,
    )
