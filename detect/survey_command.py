"""The command `detect survey`. Torch is imported only once it really runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.local_models import Batch, Dtype, LoadingOptions, OffloadTo
from detect.shared_options import Device, Json, check_given_to_all, chosen_releases, use_all_cores
from detect.suspects.images import is_pipeline
from detect.suspects.images.settings import Offload, Precision
from detect.suspects.images.suspect import Suspect
from protect import console
from protect.embed.options import share
from protect.errors import InputError, SuspectError
from protect.files import default_cache
from protect.keys.keyring import Keyring

if TYPE_CHECKING:
    from detect.trial.survey import Survey
    from detect.trial.verdict import Verdict

_FILES = {".safetensors", ".ckpt", ".bin", ".pt"}


def survey_command(
    suspects: Annotated[Path, typer.Argument(help="Folder; every folder and weights file in it is a suspect.")],
    base: Annotated[Path | None, typer.Option(help="Diffusers folder that adapters go onto.")] = None,
    release: Annotated[str | None, typer.Option(help="Only this release, by id or name. [all in the keyring]")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Model such as the suspects were made from; its words are taken off. [--base]")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--false-discovery-rate",
            parser=share,
            metavar="SHARE",
            help="Mean share of wrong ones among what is found, such as 5%. [releases' alpha]",
        ),
    ] = None,
    report: Annotated[Path, typer.Option(help="HTML report.")] = Path("tracemark-survey.html"),
    device: Device = "cpu",
    dtype: Dtype = Precision.auto,
    offload: OffloadTo = Offload.none,
    batch: Batch = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="UNSAFE: load pickled weights.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked; load nothing.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the answer here. [stdout]")] = None,
    as_json: Json = False,
) -> int:
    """Test many suspects against all releases: who learned from which, at a false discovery rate.

    `detect run` promises for each suspect that an innocent one is accused with probability alpha at most. Over a
    hundred suspects that is no small number. This promises for all that it finds together: on average no more than the
    given share of it is wrong (e-BH), however suspects and releases depend on each other.
    """
    if rate is not None and not 0 < rate < 1:
        raise InputError(f"--false-discovery-rate {rate} is out of range", "Allowed: more than 0 and less than 1.")
    keyring = Keyring.default()
    releases = chosen_releases(keyring, release, for_classifiers=False)
    check_given_to_all(releases)
    level = min(one.plan.alpha for one in releases) if rate is None else rate
    found = _suspects(suspects)
    for path in filter(None, (base, reference)):
        if not path.exists():
            raise SuspectError(f"no such file or folder: {path}", "Give a local path.")
    console.check_target("--report", report)
    if output:
        console.check_target("--output", output, [report], page=False)
    if dry_run:
        from detect.trial.cost import most_questions
        from detect.trial.questions import AS_COMMITTED

        most = len(found) * sum(row.most_pictures for row in most_questions(releases, keyring.store, AS_COMMITTED))
        console.answer(
            f"{len(found)} suspects and {len(releases)} releases: at most {most:,} pictures",
            {"suspects": [path.name for path in found], "releases": len(releases), "most_pictures": most},
            as_json,
        )
        return console.DONE
    use_all_cores()
    from detect.trial.judge import uses_reference
    from detect.trial.survey import survey

    loading = LoadingOptions(device, allow_pickle, (), dtype, offload, batch)
    opened: dict[str, Callable[[], Suspect]] = {
        path.name: partial(loading.load, [path], None if path.is_dir() and is_pipeline(path) else base)
        for path in found
    }
    compared = reference or base
    other = loading.load_other(compared, base) if compared and any(map(uses_reference, releases)) else None
    with console.progress() as progress:
        done = survey(opened, releases, keyring, default_cache(), level, reference=other, progress=progress)
    write_page(report, done, suspects)
    console.answer(f"{_text(done)}\nreport: {report}", done.as_json(), as_json, output)
    return console.DONE


def _suspects(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SuspectError(
            f"no such folder: {folder}", "Give a folder that holds the suspects, or test one: detect run"
        )
    found = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in _FILES)
    )
    if not found:
        raise SuspectError(
            f"no suspects in {folder}",
            f"Every folder in it is one, and every file that ends in {', '.join(sorted(_FILES))}.",
        )
    return found


def _text(done: Survey) -> str:
    """Pairs found, the strongest first, then what else there is to say."""
    found = [pair for pair in done.pairs if pair.found]
    others = done.pairs[len(found) :]
    lines = [
        f"{len(found)} of {done.tested} pairs of a suspect and a release found; on average at most "
        f"{done.level:.2%} of what is found is wrong",
        *(f"  found: {_pair(pair.verdict)}, E = {pair.e_value:.4g}" for pair in found),
    ]
    if others:
        lines.append(
            f"  not found: {len(others)}; the strongest of them: {_pair(others[0].verdict)}, "
            f"E = {others[0].e_value:.4g}"
        )
    lines += [f"  not tested: {name}: {why}" for name, why in done.set_aside.items()]
    return "\n".join([*lines, *(f"  warning: {warning}" for warning in done.warnings)])


def _pair(verdict: Verdict) -> str:
    return f"{verdict.suspect} and release {verdict.release.name}"


def write_page(path: Path, done: Survey, folder: Path) -> None:
    """What was found with all its pictures, and E of every pair."""
    from detect.reports.report import Box, Section, write_report

    found = [pair for pair in done.pairs if pair.found]
    rows = [
        (_pair(pair.verdict), f"E = {pair.e_value:.4g}; {'found' if pair.found else pair.verdict.outcome}")
        for pair in done.pairs
    ]
    write_report(
        path,
        "Who was trained on my datasets?",
        f"{len(found)} of {done.tested} pairs of a suspect in {folder} and a release are found. On average at most "
        f"{done.level:.2%} of what is found is wrong, over everything that was tested here. Each verdict below also "
        "says what it would say if that suspect had been tested alone.",
        [Section(_pair(pair.verdict), pair.verdict) for pair in found],
        boxes=[
            Box("All pairs", "E when asking stopped; further looks count by half, and by half again.", rows),
            Box("The same answers", "", [("warning", warning) for warning in done.warnings]),
            Box("Not tested", "They count as pairs in which nothing was found.", list(done.set_aside.items())),
        ],
    )
