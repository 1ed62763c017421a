"""The commands `detect trace` and `detect certify`. Torch is imported only once one of them really runs."""

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
from detect.local_models import (
    Batch,
    Dtype,
    LoadingOptions,
    Models,
    OffloadTo,
    PipelineOnly,
    Scales,
    remarks,
    split_models,
)
from detect.reports.place import checked_page, unused
from detect.shared_options import check_exist, use_all_cores
from detect.suspects.images.settings import Offload, Precision
from detect.suspects.images.suspect import Suspect
from protect import console
from protect.files import default_cache
from protect.keys.keyring import Keyring
from protect.recipients.commands import Json, ReleaseName
from protect.recipients.ledger import open_ledger
from protect.recipients.overlay import check_for_recipients
from protect.release.record import Release

if TYPE_CHECKING:
    from detect.trial.questions import Departures
    from protect.release.bound import BoundRelease

Base = Annotated[Path | None, typer.Option(help="Diffusers folder that an adapter goes onto.")]
Control = Annotated[
    Path | None, typer.Option(help="Model that cannot have seen any copy; a LoRA goes onto --base too.")
]
Reference = Annotated[
    Path | None,
    typer.Option(help="Model such as the suspect was made from: what words do to it is taken off. [a LoRA's base]"),
]
Queries = Annotated[int | None, typer.Option(help="Fewer test pictures per slot than planned.")]
Steps = Annotated[int | None, typer.Option(help="Other sampling steps than planned.")]
Guidance = Annotated[float | None, typer.Option(help="Other guidance than planned.")]
Device = Annotated[str, typer.Option(help="Where models run, as torch names it.")]
Pickle = Annotated[bool, typer.Option("--allow-pickle", help="UNSAFE: load pickled weights.")]
Report = Annotated[Path | None, typer.Option(help="HTML report. [called after the suspect; numbered if there is one]")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit 3 on evidence, 4 if inconclusive.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; load nothing.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the answer here. [stdout]")]


def trace_command(
    release: ReleaseName,
    model: Models = None,
    answers: AnswersFolder = None,
    name: SuspectName = "",
    base: Base = None,
    scale: Scales = None,
    control: Control = None,
    reference: Reference = None,
    queries: Queries = None,
    steps: Steps = None,
    guidance: Guidance = None,
    report: Report = None,
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
    allow_pickle: Pickle = False,
    exit_code: ExitCode = False,
    dry_run: DryRun = False,
    output: Output = None,
    as_json: Json = False,
) -> int:
    """Whose copy of RELEASE did a model learn from? Asks once, and tests all who were ever given one.

    Names one recipient, or several, or nobody. Others under test than before are a further look at half the level.
    """
    box = BlackBoxOptions(answers, name, service, service_model, workflow, size, rate_limit, timeout)
    loading = LoadingOptions(device, allow_pickle, tuple(scale or ()), dtype, offload, batch, pipeline_only)
    from detect.trial.questions import Departures

    departures, models = Departures(queries, steps, guidance), model or []
    asked = _Asked(release, None, models, base, control, reference, box, loading, departures, report, output, as_json)
    return asked.answer(dry_run=dry_run, exit_code=exit_code)


def certify_command(
    release: ReleaseName,
    recipient: Annotated[str, typer.Option(help="Whose copy it was trained on: number (3 or number:3) or name.")],
    model: Models = None,
    answers: AnswersFolder = None,
    name: SuspectName = "",
    base: Base = None,
    scale: Scales = None,
    control: Control = None,
    reference: Reference = None,
    queries: Queries = None,
    steps: Steps = None,
    guidance: Guidance = None,
    report: Report = None,
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
    allow_pickle: Pickle = False,
    exit_code: ExitCode = False,
    dry_run: DryRun = False,
    output: Output = None,
    as_json: Json = False,
) -> int:
    """Did a model learn from the copy of RELEASE that was given to --recipient? For licensees who say so.

    Name the recipient before the model is asked anything: then E >= 1/alpha is required. After `detect trace`, or of a
    copy issued since the model was first asked, all N who ever had a copy count: N/alpha, and half the level.
    """
    box = BlackBoxOptions(answers, name, service, service_model, workflow, size, rate_limit, timeout)
    loading = LoadingOptions(device, allow_pickle, tuple(scale or ()), dtype, offload, batch, pipeline_only)
    from detect.trial.questions import Departures

    departures, models = Departures(queries, steps, guidance), model or []
    asked = _Asked(
        release, recipient, models, base, control, reference, box, loading, departures, report, output, as_json
    )
    return asked.answer(dry_run=dry_run, exit_code=exit_code)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What both commands are told."""

    release: str
    recipient: str | None
    """The only one under test; None for all."""
    models: Sequence[str]
    base: Path | None
    control: Path | None
    reference: Path | None
    box: BlackBoxOptions
    loading: LoadingOptions
    departures: Departures
    report: Path | None
    output: Path | None
    as_json: bool

    def answer(self, *, dry_run: bool, exit_code: bool) -> int:
        """Ask, and say whose copy it was, or whether it was that recipient's."""
        from detect.trace.trace import check_traceable
        from protect.release.bound import bind

        keyring = Keyring.default()
        release = keyring.load(self.release)
        check_for_recipients(release)
        with open_ledger(keyring) as ledger:
            issued = ledger.issued(release.id)
            serials = range(1, issued + 1)
            if self.recipient is not None:
                serial = ledger.one(release.id, self.recipient).serial
                serials = range(serial, serial + 1)
        first, paths = split_models(self.models, any(map(self.box.is_address, self.models)))
        self.box.check(first, self.base)
        black_box, _ = self.box.open(first, [release], self.departures, keyring.store)
        check_exist(paths, self.base, self.control, self.reference)
        kind = "trace" if self.recipient is None else "certify"
        page = checked_page(self.report, kind, [self.box.name or self.box.answers, *self.models], self.output)
        bound = bind(release, keyring.store)
        check_traceable(bound, serials)
        if dry_run:
            return self._say_cost(bound, serials)
        suspect = black_box or self._loaded(paths, release)
        return self._say(suspect, bound, keyring, serials, issued, page, exit_code=exit_code)

    def _loaded(self, paths: Sequence[Path], release: Release) -> Suspect:
        from detect.trial.questions import query_plan

        use_all_cores()
        suspect = self.loading.load(paths, self.base)
        for note in remarks(suspect, [query_plan(release, self.departures).sampler]):
            tell(f"{suspect.name}: {note}")
        return suspect

    def _say_cost(self, bound: BoundRelease, serials: range) -> int:
        from detect.trial.questions import all_queries, query_plan

        count, alpha = query_plan(bound.release, self.departures).queries, bound.release.plan.alpha
        row: dict[str, str | int | float] = {
            "release": bound.release.id,
            "name": bound.release.name,
            "recipients": len(serials),
            "most_pictures": len(set(all_queries(bound, count))),
            "required_evidence": len(serials) / alpha,
        }
        text = (
            f"{row['release']}  {row['name']}: at most {row['most_pictures']} pictures; a name among "
            f"{len(serials):,} recipients needs E >= {len(serials) / alpha:,.0f}, more if the model was asked before"
        )
        console.answer(text, row, self.as_json)
        return console.DONE

    def _say(
        self,
        suspect: Suspect,
        bound: BoundRelease,
        keyring: Keyring,
        serials: range,
        issued: int,
        page: Path,
        *,
        exit_code: bool,
    ) -> int:
        from detect.trace.page import write_trace_page
        from detect.trace.trace import trace
        from detect.trace.words import summary

        control = self.loading.load_other(self.control, self.base) if self.control else None
        compared = self.reference or self.base
        uses = any(slot.family.uses_reference for slot in bound.slots)
        with cost_told(suspect, keyring, [bound.release]), console.progress() as progress:
            found = trace(
                bound,
                suspect,
                keyring,
                default_cache(),
                serials,
                control=control,
                reference=self.loading.load_other(compared, self.base) if compared and uses else None,
                departures=self.departures,
                issued=issued,
                progress=progress,
            )
        with open_ledger(keyring) as ledger:
            told = {source.serial for source in found.sources} | ({serials.start} if self.recipient else set())
            names = {serial: ledger.name(bound.release.id, serial) for serial in sorted(told)}
        certify = self.recipient is not None
        page = unused(page, self.report)
        write_trace_page(page, found, names, certify=certify)
        text = f"{summary(found, names, certify=certify)}\nreport: {page}"
        console.answer(text, found.as_json(names), self.as_json, self.output)
        if not exit_code or found.outcome == "nobody":
            return console.DONE
        return console.INCONCLUSIVE if found.outcome == "inconclusive" else console.EVIDENCE
