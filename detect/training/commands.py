"""`detect rehearse`. Torch is imported only once it really runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.shared_options import Device, Json, Method, set_aside_lines, use_all_cores
from detect.suspects.images import check_base
from detect.training.cost import rehearsal_cost
from detect.training.options import FinetuneOptions
from protect import console
from protect.alignments import make_alignment
from protect.embed.options import AlignmentName, Both, Family, FamilyOption, Rate, make_options, refuse_given, share
from protect.errors import InputError
from protect.formats.dataset_format import ReadOptions
from protect.keys.store import NO_STORE
from protect.progress import Progress
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading
from protect.release.plan import Options, check_range

if TYPE_CHECKING:
    from detect.training.rehearse import Prepared, Rehearsal


class Targets(StrEnum):
    """What a LoRA covers."""

    all = "all"
    attention = "attention"


class Precision(StrEnum):
    """Of the forward pass."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Optimizer(StrEnum):
    """What follows the gradients."""

    adamw = "adamw"
    adamw8bit = "adamw8bit"


_LEARNING_RATES = {Method.lora: 2e-3, Method.full: 2e-4}
_TRAINING = (
    "method",
    "targets",
    "rank",
    "alpha",
    "steps",
    "batch",
    "accumulation",
    "learning_rate",
    "text_encoder",
    "resolution",
    "precision",
    "checkpointing",
    "caption_dropout",
    "flip",
    "min_snr",
    "noise_offset",
    "optimizer",
)
"""Parameters that say how to train here."""


def rehearse_command(
    context: typer.Context,
    dataset: Annotated[Path, typer.Argument(help="Captioned pictures.")],
    base: Annotated[
        Path | None, typer.Option(help="Diffusers folder to fine-tune [the miniature], or that --suspect goes onto.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Working folder. [<dataset>-rehearsal]")] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only write OUTPUT/protected, for a trainer of your own.")
    ] = False,
    suspect: Annotated[
        Path | None, typer.Option(help="Model that another program made from OUTPUT/protected, to test in its place.")
    ] = None,
    passes: Annotated[float | None, typer.Option(help="How often that program showed it each sample.")] = None,
    rate: Rate = None,
    family: Family = "",
    slots: Annotated[int | None, typer.Option(help="Independent marks.")] = None,
    queries: Annotated[int | None, typer.Option(help="Questions per slot, as in protect embed.")] = None,
    alignment: AlignmentName = None,
    option: FamilyOption = None,
    both: Both = False,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    method: Annotated[Method, typer.Option(help="Fine-tuning method.")] = Method.lora,
    targets: Annotated[Targets, typer.Option(help="What the LoRA covers.")] = Targets.all,
    rank: Annotated[int, typer.Option(min=1, help="LoRA rank.")] = 16,
    alpha: Annotated[float | None, typer.Option(help="LoRA alpha; its scale is alpha / rank. [the rank]")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 300,
    batch: Annotated[int, typer.Option(min=1, help="Samples per batch.")] = 64,
    accumulation: Annotated[int, typer.Option(min=1, help="Batches per update.")] = 1,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate. [LoRA 2e-3, full 2e-4]")] = None,
    text_encoder: Annotated[bool, typer.Option("--text-encoder", help="Train the text encoders too.")] = False,
    resolution: Annotated[int | None, typer.Option(help="Side of the training pictures. [the base's own]")] = None,
    precision: Annotated[Precision, typer.Option(help="Of the forward pass.")] = Precision.auto,
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="Less memory, more time.")] = False,
    caption_dropout: Annotated[
        float, typer.Option(parser=share, metavar="SHARE", help="Share of captions left empty, such as 10%.")
    ] = 0.1,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror every other picture.")] = False,
    min_snr: Annotated[float | None, typer.Option(help="Gamma of min-SNR loss weights, such as 5.")] = None,
    noise_offset: Annotated[float, typer.Option(help="Strength of offset noise, such as 0.05.")] = 0.0,
    optimizer: Annotated[Optimizer, typer.Option(help="adamw8bit needs bitsandbytes.")] = Optimizer.adamw,
    seed: Annotated[int, typer.Option(min=0, help="Of the throw-away key and of training.")] = 0,
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost.")] = False,
    as_json: Json = False,
) -> int:
    """Mark with a throw-away key, fine-tune, detect: would I be able to prove it?

    Its defaults learn more than most trainings do: set --steps, --batch and --learning-rate to what you expect.

    To rehearse another trainer: --prepare, train it on OUTPUT/protected, then the same command with --suspect and
    --passes in place of --prepare (docs/trainers.md).
    """
    work = output or dataset.absolute().with_name(dataset.absolute().name + "-rehearsal")
    made = make_options(rate, family, alignment, option, slots, NO_STORE, both=both)
    embedding = replace(made, queries=queries)
    embedding.check()
    if make_alignment(embedding.alignment_name).for_classifiers:
        raise InputError(f"--alignment {alignment} is for classifiers", "Rehearse with another alignment.")
    _check_parts(context, prepare, suspect, passes)
    if base is not None:
        check_base(base)
    tuning = FinetuneOptions(
        method=method.value,
        rank=rank,
        alpha=alpha,
        steps=steps,
        batch=batch,
        accumulation=accumulation,
        targets=targets.value,
        seed=seed,
        learning_rate=_LEARNING_RATES[method] if learning_rate is None else learning_rate,
        text_encoder=text_encoder,
        size=resolution,
        precision=precision.value,
        checkpointing=checkpointing,
        caption_dropout=caption_dropout,
        flip=flip,
        min_snr=min_snr,
        noise_offset=noise_offset,
        optimizer=optimizer.value,
    )
    tuning.check()
    said = reading(caption_column, leave_captions, only, exclude, split)
    if dry_run:
        cost = rehearsal_cost(dataset, embedding, said, tuning.presentations, passes)
        console.answer(cost.in_words(), cost.as_json(), as_json)
        return console.DONE
    use_all_cores()
    asked = _Asked(dataset, work, embedding, said, base, seed, device)
    with console.progress() as progress:
        if suspect is None and not prepare:
            return _report(asked.trained_here(tuning, progress), work, as_json)
        stage = asked.prepared(progress)
        if suspect is None or passes is None:
            return _say_prepared(stage.copy, as_json)
        done = asked.trained_elsewhere(stage, suspect, passes, progress)
    return _report(done, work, as_json)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rehearsal that was asked for, whoever trains."""

    dataset: Path
    work: Path
    options: Options
    reading: ReadOptions
    base: Path | None
    seed: int
    device: str

    def trained_here(self, tuning: FinetuneOptions, progress: Progress) -> Rehearsal:
        """All of it."""
        from detect.training.rehearse import rehearse
        from protect.miniature import miniature_path

        return rehearse(
            self.dataset,
            self.base or miniature_path(),
            self.work,
            self.options,
            tuning,
            reading=self.reading,
            seed=self.seed,
            device=self.device,
            progress=progress,
        )

    def prepared(self, progress: Progress) -> Prepared:
        """What another program is to train on."""
        from detect.training.rehearse import prepare

        return prepare(self.dataset, self.work, self.options, reading=self.reading, seed=self.seed, progress=progress)

    def trained_elsewhere(self, stage: Prepared, suspect: Path, passes: float, progress: Progress) -> Rehearsal:
        """The rest, with the model that the other program made."""
        from detect.training.rehearse import rehearse_made

        return rehearse_made(stage, suspect, self.base, passes, device=self.device, progress=progress)


def _check_parts(context: typer.Context, prepare: bool, suspect: Path | None, passes: float | None) -> None:
    """Refuse what makes no sense together: nothing is trained here if another program does it."""
    if prepare and suspect is not None:
        raise InputError("--prepare comes before --suspect", "Give one of them.")
    if prepare or suspect is not None:
        refuse_given(context, _TRAINING, "another program trains")
    if suspect is not None and passes is None:
        raise InputError(
            "--suspect needs --passes: how often its trainer showed it each sample",
            "Steps times batch size over the number of samples, or epochs times repeats.",
        )
    if suspect is None and passes is not None:
        raise InputError("--passes is for a --suspect that another program made", "Leave it out, or give --steps.")
    check_range("--passes", passes, 1e-3, 1e6)


def _say_prepared(copy: Path, as_json: bool) -> int:
    text = f"train on {copy}, then repeat this command with --suspect MODEL --passes N in place of --prepare"
    console.answer(text, {"protected": str(copy)}, as_json)
    return console.DONE


def _report(done: Rehearsal, work: Path, as_json: bool) -> int:
    """Write the page, and say what came of it."""
    from detect.reports.report import Section, write_report
    from detect.reports.words import summary

    write_report(
        work / "report.html",
        "Would I be able to prove it?",
        "A rehearsal with a throw-away key.",
        [Section("The rehearsed suspect", done.verdict, rehearsed=True)],
        set_aside=done.set_aside,
    )
    lines = [done.effect, summary(done.verdict), learned_in_words(done.captions_learned)]
    text = "\n".join([*lines, *set_aside_lines(done.set_aside), f"report: {work / 'report.html'}"])
    known = None if done.verdict.outcome == "inconclusive" else done.verdict.outcome == "evidence"
    said = {
        "effect": known,
        "captions_learned": done.captions_learned,
        "set_aside": [asdict(one) for one in done.set_aside],
    }
    console.answer(text, {**done.verdict.as_json(), **said}, as_json)
    return console.SET_ASIDE if done.set_aside else console.DONE


def learned_in_words(learned: float | None) -> str:
    """How far captions were learned, for people."""
    if learned is None:
        return "captions learned: not measured for models of this kind"
    return f"captions learned: it errs by {learned:.1%} less with a picture's own caption than with another's"
