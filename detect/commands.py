"""Commands of `detect`, and `protect demo`. Torch is imported only once a command really runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.black_boxes import (
    AnswersFolder,
    BlackBoxOptions,
    PictureSize,
    RateLimit,
    ServiceModel,
    ServiceOption,
    SuspectName,
    Timeout,
    WorkflowFile,
    cost_told,
    tell,
)
from detect.bundle.commands import check_one, is_bundle
from detect.local_models import (
    Batch,
    Dtype,
    LoadingOptions,
    Models,
    OffloadTo,
    PipelineOnly,
    Scales,
    boxes,
    remarks,
    split_models,
)
from detect.reports.place import checked_page, unused
from detect.shared_options import Anew, Device, Json, check_exist, check_given_to_all, chosen_releases, use_all_cores
from detect.suspects.images.settings import Offload, Precision
from detect.suspects.images.suspect import Suspect
from protect import console
from protect.files import default_cache
from protect.keys.keyring import Keyring
from protect.release.record import Release

if TYPE_CHECKING:
    from detect.trial.questions import Departures
    from detect.trial.verdict import Verdict

detect_app = console.make_app("Prove that a text-to-image model was trained on one of your releases.")


@detect_app.callback()
def _group() -> None:
    """Keep `run` a subcommand even where it is the only one."""


@detect_app.command("run")
def run_command(
    model: Models = None,
    answers: AnswersFolder = None,
    name: SuspectName = "",
    base: Annotated[
        Path | None, typer.Option(help="Diffusers folder that an adapter goes onto, or a checkpoint is built by.")
    ] = None,
    scale: Scales = None,
    release: Annotated[str | None, typer.Option(help="Only this release, by id or name. [all in the keyring]")] = None,
    control: Annotated[
        Path | None,
        typer.Option(help="Model that cannot have seen the release; a LoRA goes onto --base too."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Model such as the suspect was made from: what words do to it is taken off. [a LoRA's base]"),
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Fewer test pictures per slot than planned.")] = None,
    steps: Annotated[int | None, typer.Option(help="Other sampling steps than planned.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Other guidance than planned.")] = None,
    anew: Anew = False,
    report: Annotated[
        Path | None, typer.Option(help="HTML report. [tracemark-report-SUSPECT.html; numbered if there is one]")
    ] = None,
    service: ServiceOption = None,
    service_model: ServiceModel = "",
    workflow: WorkflowFile = None,
    size: PictureSize = "",
    rate_limit: RateLimit = None,
    timeout: Timeout = None,
    device: Device = "cpu",
    dtype: Dtype = Precision.auto,
    offload: OffloadTo = Offload.none,
    batch: Batch = None,
    pipeline_only: PipelineOnly = False,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="UNSAFE: load pickled weights.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 on evidence, 4 if inconclusive.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; load nothing.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the answer here; .zip: an evidence bundle. [stdout]")
    ] = None,
    as_json: Json = False,
) -> int:
    """Test a suspect against every release in the keyring, or one of them.

    Other --queries, --steps or --guidance than planned make a further look at half the level; the planned ones keep
    the whole level. Device, precision, base and reference are not planned: the first test fixes them, and every other
    choice is a further look. A repeat says the same.
    """
    from detect.trial.questions import Departures

    keyring, departures = Keyring.default(), Departures(queries, steps, guidance)
    releases = chosen_releases(keyring, release, for_classifiers=False)
    check_given_to_all(releases)
    box = BlackBoxOptions(answers, name, service, service_model, workflow, size, rate_limit, timeout)
    first, models = split_models(model, any(map(box.is_address, model or ())))
    box.check(first, base)
    black_box, releases = box.open(first, releases, departures, keyring.store)
    check_exist(models, base, control, reference)
    page = checked_page(report, "report", [name or answers, *(model or ())], output)
    if is_bundle(output):
        check_one(len(releases))
    compared = reference or base
    if dry_run:
        return _say_cost(
            releases, keyring, departures, as_json, reference=compared is not None, control=control is not None
        )
    use_all_cores()
    from detect.reports.words import summary
    from detect.trial.questions import query_plan

    loading = LoadingOptions(device, allow_pickle, tuple(scale or ()), dtype, offload, batch, pipeline_only)
    suspect: Suspect = black_box or loading.load(models, base)
    notes = remarks(suspect, [query_plan(one, departures).sampler for one in releases])
    test = _Test(suspect, releases, keyring, departures, anew, notes)
    verdicts = test.verdicts(
        loading.load_other(control, base) if control else None,
        loading.load_other(compared, base) if compared and test.uses_reference else None,
    )
    page = unused(page, report)
    test.write_page(page, verdicts, " + ".join(map(str, [answers] if answers else model or ())))
    data = [v.as_json() for v in verdicts]
    text = "\n".join([*map(summary, verdicts), f"report: {page}"])
    if output and is_bundle(output):
        from detect.bundle.write import write_bundle

        write_bundle(output, verdicts[0], keyring, page.read_text(encoding="utf-8"))
        text, output = f"{text}\nbundle: {output}", None
    console.answer(text, data[0] if len(data) == 1 else data, as_json, output)
    return console.verdict_code([v.outcome for v in verdicts]) if exit_code else console.DONE


@dataclass(frozen=True, slots=True)
class _Test:
    """One suspect, and the releases that it is tested for."""

    suspect: Suspect
    releases: Sequence[Release]
    keyring: Keyring
    departures: Departures
    anew: bool
    notes: Sequence[str]
    """What is odd about the suspect."""

    @property
    def uses_reference(self) -> bool:
        """Whether any of the releases takes off what words do to a reference."""
        from detect.trial.judge import uses_reference

        return any(map(uses_reference, self.releases))

    def verdicts(self, control: Suspect | None, reference: Suspect | None) -> list[Verdict]:
        """Ask the suspect, and judge every release; what it is and what it costs is told on stderr."""
        from detect.trial.every_release import detect_all
        from detect.trial.ordinary import with_ordinary

        for note in self.notes:
            tell(f"{self.suspect.name}: {note}")
        with cost_told(self.suspect, self.keyring, self.releases), console.progress() as progress:
            found = detect_all(
                self.releases,
                self.suspect,
                self.keyring,
                default_cache(),
                control=control,
                reference=reference,
                departures=self.departures,
                anew=self.anew,
                progress=progress,
            )
            store = self.keyring.store
            return [
                with_ordinary(one, self.suspect, store, self.departures, default_cache(), progress) for one in found
            ]

    def write_page(self, page: Path, verdicts: Sequence[Verdict], what: str) -> None:
        """The report."""
        from detect.reports.report import Section, write_report

        write_report(
            page,
            f"Was “{self.suspect.name}” trained on my dataset?",
            f"{len(verdicts)} release(s) tested on {what}.",
            [Section(f"Release {v.release.name}", v) for v in verdicts],
            boxes=boxes(self.suspect, self.notes, verdicts),
        )


def _say_cost(
    releases: Sequence[Release],
    keyring: Keyring,
    departures: Departures,
    as_json: bool,
    *,
    reference: bool,
    control: bool,
) -> int:
    from detect.trial.cost import most_questions

    rows = most_questions(releases, keyring.store, departures, reference=reference, control=control)
    console.answer("\n".join(row.in_words() for row in rows), [row.as_json() for row in rows], as_json)
    return console.DONE
