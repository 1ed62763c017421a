"""The app `protect`, and its commands about releases. Other parts keep their commands in a `commands.py` of their own.

None imports torch but `check`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from protect import console, marks
from protect.alignments import alignments
from protect.check.commands import check_command
from protect.embed.commands import diff_command, embed_command
from protect.embed.commit_commands import commit_command
from protect.embed.date_commands import (
    publish_command,
    sign_command,
    signing_key_command,
    timestamp_command,
    verify_commitment_command,
)
from protect.frame_command import frame_command
from protect.keys.keyring import Keyring
from protect.marks.family import MarkFamily
from protect.plan_command import plan_command
from protect.recipients.commands import issue_command, recipients_app
from protect.recipients.copy_commands import show_command, verify_command
from protect.release.power import measured_runs, summary
from protect.release.record import Release

protect_app = console.make_app("Plant marks in an image-caption dataset before you release it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def retire_command(
    release: Annotated[str, typer.Argument(help="Release or commitment, by id or name.")],
    as_json: Json = False,
) -> int:
    """Take a release out of the tests, such as one made for practice; or a commitment that will get no copy.

    Releases share the level: the more are tested on a suspect, the more evidence each must give. The record is kept.
    Moving it back into the keyring's folder `releases`, or `commitments`, undoes it.
    """
    keyring = Keyring.default()
    record = keyring.either(release)
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
