"""The app `protect`, and its commands about releases. Other parts keep their commands in a `commands.py` of their own.

None imports torch but `check`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from protect import console, marks
from protect.alignments import alignments
from protect.check.commands import check_command
from protect.embed.answers import pictures_asked
from protect.embed.commands import diff_command, embed_command
from protect.embed.commit_commands import commit_command
from protect.embed.date_commands import (
    publish_command,
    sign_command,
    signing_key_command,
    timestamp_command,
    verify_commitment_command,
)
from protect.embed.forecast import Expectation, Forecast, with_trainer
from protect.embed.naming import naming
from protect.embed.options import (
    AlignmentName,
    Both,
    Family,
    FamilyOption,
    Method,
    Passes,
    Rate,
    Slots,
    Wordings,
    make_options,
)
from protect.embed.places import ending
from protect.embed.trainers import TRAINERS
from protect.embed.write import embed
from protect.frame_command import frame_command
from protect.keys.keyring import Keyring
from protect.marks.family import MarkFamily
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading
from protect.recipients.commands import issue_command, recipients_app
from protect.recipients.copy_commands import show_command, verify_command
from protect.release.power import WANTED, measured_runs, rehearsed_runs, summary
from protect.release.record import Release

protect_app = console.make_app("Plant marks in an image-caption dataset before you release it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plan_command(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder, tar or parquet file of captioned pictures.")
    ],
    passes: Passes = 10.0,
    rate: Rate = None,
    slots: Slots = None,
    family: Family = "",
    alignment: AlignmentName = None,
    option: FamilyOption = None,
    wordings: Wordings = None,
    both: Both = False,
    method: Method = "lora",
    rehearsal: Annotated[list[Path] | None, typer.Option(help="Finished rehearsal to learn from; repeatable.")] = None,
    recipients: Annotated[int | None, typer.Option(help="Would a leak among so many recipients be named, too?")] = None,
    colluders: Annotated[int, typer.Option(help="How many of them may put their copies together.")] = 1,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    as_json: Json = False,
) -> int:
    """Is that enough? Expected power from the sightings of each slot's carriers, by measured runs.

    Learns from the runs that ship with the project (all on its miniature), or only from your own rehearsals. Says which
    --rate would do. Exits with 4 if it is not enough, or not known.
    """
    expectation = Expectation(passes, method, tuple(rehearsed_runs(rehearsal)) if rehearsal else None)
    expectation.check()
    keyring = Keyring.default()
    options = make_options(rate, family, alignment, option, slots, keyring.store, wordings=wordings, both=both)
    options = replace(options, recipients=recipients is not None)
    with TemporaryDirectory() as place, console.progress() as progress:
        done = embed(
            dataset,
            Path(place) / f"copy{ending(dataset)}",
            options,
            keyring,
            reading=reading(caption_column, leave_captions, only, exclude, split),
            expectation=expectation,
            dry_run=True,
            progress=progress,
        )
    found, planned, asked = done.forecast, done.release.plan, pictures_asked(done.bound)
    named = None if recipients is None else naming(done.selection, found, recipients, colluders, planned.alpha)
    usual = [(trainer, with_trainer(trainer, done.selection, expectation)) for trainer in TRAINERS]
    text = "\n".join(
        [
            *_plan_lines(found, done.carriers, planned.slots),
            f"  the test asks for at most {asked} pictures",
            "with the defaults of well-known trainers (their learning rates may be slower than those measured):",
            *(f"  {trainer.name}, {trainer.in_words()}: {own.in_short()}" for trainer, own in usual),
            *(named.lines() if named else []),
        ]
    )
    trainers = {trainer.name: _power_json(own) for trainer, own in usual}
    data = _plan_json(found, done.carriers, planned.slots, asked)
    console.answer(text, {**data, "trainers": trainers, "naming": named and named.as_json()}, as_json)
    return console.DONE if (named or found).enough else console.NOT_ENOUGH


def _plan_lines(found: Forecast, carriers: int, slots: int) -> list[str]:
    verdict = "enough" if found.enough else "not known" if found.power is None else "not enough"
    lines = [
        f"{verdict} (aim: {WANTED:.0%} per slot)",
        f"  {carriers} carriers in {slots} slot(s), {found.carriers} in the smallest, each seen "
        f"{found.expectation.passes:g} times",
        f"  {found.sentence()}",
    ]
    return lines if found.enough else [*lines, f"  {_advice(found, slots)}"]


def _advice(found: Forecast, slots: int) -> str:
    """What would be enough."""
    if found.power is None:
        return "nothing like it was tried: rehearse it (detect rehearse), or take another --family"
    if any(run.slots > 1 for run in found.runs):
        return "more pictures with captions, or more passes, are needed; rehearse yours: detect rehearse"
    if found.carriers_needed is None:
        return "nothing that was tried reached the aim: rehearse it (detect rehearse), or take another --family"
    wanted = f"{found.carriers_needed} carriers per slot are needed"
    fewer = slots * found.carriers // found.carriers_needed
    ways = ([f"--slots {fewer}"] if 1 <= fewer < slots else []) + ([found.remedy] if found.remedy else [])
    return f"{wanted}: {' or '.join(ways)}" if ways else f"{wanted}: the dataset is too small for this family"


def _power_json(found: Forecast) -> dict[str, object]:
    power = found.power
    return {
        "sightings": found.sightings,
        "power": power and power.mean,
        "interval": power and [power.low, power.high],
        "tried": found.tried,
    }


def _plan_json(found: Forecast, carriers: int, slots: int, asked: int) -> dict[str, object]:
    power = found.power
    return {
        "enough": found.enough,
        "carriers": carriers,
        "carriers_per_slot": found.carriers,
        "slots": slots,
        "sightings_per_slot": found.sightings,
        "power_per_slot": power and power.mean,
        "power_interval": power and [power.low, power.high],
        "carriers_needed_per_slot": found.carriers_needed,
        "remedy": found.remedy,
        "pictures_asked": asked,
        "basis": found.basis,
        "runs": len(found.runs),
        "runs_found": sum(run.found for run in found.runs),
    }


def retire_command(
    release: Annotated[str, typer.Argument(help="Release id or name.")],
    as_json: Json = False,
) -> int:
    """Take a release out of the tests, such as one made for practice; its record is kept.

    Releases share the level: the more are tested on a suspect, the more evidence each must give. Moving the record back
    into the keyring's folder `releases` undoes it.
    """
    keyring = Keyring.default()
    record = keyring.load(release)
    kept = keyring.retire(record)
    console.answer(f"retired {record.id} ({record.name}); its record is {kept}", {"release": record.id}, as_json)
    return console.DONE


def ls_command(as_json: Json = False) -> int:
    """List the releases in the keyring, and the families and alignments to choose from."""
    keyring = Keyring.default()
    (held, problems), (waiting, others) = keyring.survey(), keyring.commitments()
    rows: dict[str, list[dict[str, object]]] = {
        "releases": [_release_row(r) for r in held],
        "commitments": [_release_row(r) for r in waiting],
        "damaged": [{"problem": str(problem).replace("\n", " ")} for problem in [*problems, *others]],
        "families": [_family_row(name, family) for name, family in marks.families().items()],
        "alignments": [_alignment_row(name, a.summary) for name, a in alignments().items()],
    }
    text = [
        f"releases in {keyring.home}:",
        *([_release_line(r) for r in held] or ["  none"]),
        *(["commitments that wait for their copy:"] if waiting else []),
        *(f"  {r.id}  {r.name}  {r.created}" for r in waiting),
        *(f"  cannot be used: {row['problem']}" for row in rows["damaged"]),
        "families:",
        *(f"  {r['name']:<12} {r['summary']}; {r['measured']}{_options_text(r['options'])}" for r in rows["families"]),
        "alignments:",
        *(f"  {r['name']:<16} {r['summary']}; {r['measured']}" for r in rows["alignments"]),
    ]
    console.answer("\n".join(text), rows, as_json)
    return console.DONE


def _release_line(release: Release) -> str:
    plan = release.plan
    carriers = "for recipients" if plan.recipients else f"{len(release.carriers)} carriers"
    return f"  {release.id}  {release.name}  {release.created}  {plan.families}, {carriers} in {plan.slots} slot(s)"


def _release_row(release: Release) -> dict[str, object]:
    plan = release.plan
    return {
        "id": release.id,
        "name": release.name,
        "created": release.created,
        "parts": [{"family": p.family, "alignment": p.alignment, "rate": p.rate, "slots": p.slots} for p in plan.parts],
        "carriers": len(release.carriers),
        "for_recipients": plan.recipients,
        "slots": plan.slots,
    }


def _family_row(name: str, family: type[MarkFamily]) -> dict[str, object]:
    runs = [run for run in measured_runs() if run.family == name]
    return {
        "name": name,
        "min_side": family.min_side,
        "queries": family.queries,
        "summary": f"{family.summary}; pictures of {family.min_side} px or more",
        "measured": summary(runs),
        "options": marks.options_of(name),
    }


def _options_text(options: object) -> str:
    if not (isinstance(options, dict) and options):
        return ""
    return "; options: " + ", ".join(f"{name}={value}" if value != "" else name for name, value in options.items())


def _alignment_row(name: str, about: str) -> dict[str, object]:
    runs = [run for run in measured_runs() if run.alignment == name]
    return {"name": name, "summary": about, "measured": summary(runs)}


_COMMANDS: dict[str, Callable[..., int]] = {
    "embed": embed_command,
    "plan": plan_command,
    "check": check_command,
    "commit": commit_command,
    "timestamp": timestamp_command,
    "sign": sign_command,
    "signing-key": signing_key_command,
    "publish": publish_command,
    "verify-commitment": verify_commitment_command,
    "issue": issue_command,
    "show": show_command,
    "frame": frame_command,
    "verify": verify_command,
    "diff": diff_command,
    "ls": ls_command,
    "retire": retire_command,
}
"""In the order of use."""
for _name, _command in _COMMANDS.items():
    protect_app.command(_name)(_command)
protect_app.add_typer(recipients_app, name="recipients")
