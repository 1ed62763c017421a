"""Commands of `protect`. They parse, call and print; none imports torch but `check` and the codec families."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from protect import console, marks
from protect.alignments import BUILT_IN, alignments
from protect.embed.verify import Verification, verify
from protect.embed.write import Embedding, embed
from protect.errors import InputError
from protect.evidence import reachable
from protect.keys.tree import secret_from_seed
from protect.release.plan import AUTO, RECOMMENDED, Options, check_range
from protect.release.record import Keyring, Plan

if TYPE_CHECKING:
    from protect.check import FamilyCheck

protect_app = console.make_app("Plant marks in an image-caption dataset before you release it.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@protect_app.command("embed")
def embed_command(
    dataset: Annotated[Path, typer.Argument(help="Folder of pictures with captions.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Protected copy. [<dataset>-protected]")] = None,
    rate: Annotated[float, typer.Option(help="Largest share of samples to mark.")] = 0.02,
    family: Annotated[str, typer.Option(help=f"Mark family: {', '.join(marks.BUILT_IN)}.")] = RECOMMENDED.family,
    alignment: Annotated[
        str | None, typer.Option(help=f"How triggers meet captions: {', '.join(BUILT_IN)}. {AUTO}")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="Family option, as NAME=VALUE; repeatable.")] = None,
    slots: Annotated[int | None, typer.Option(help="Independent marks. [carriers // 40, 1 to 8]")] = None,
    queries: Annotated[int | None, typer.Option(help="Test pictures per slot. [the family's own: 8 to 64]")] = None,
    decoys: Annotated[int, typer.Option(help="Decoys per slot.")] = 9_999,
    alpha: Annotated[float, typer.Option(help="Allowed chance of a false accusation.")] = 1e-3,
    steps: Annotated[int, typer.Option(help="Sampling steps of the test.")] = 20,
    guidance: Annotated[float, typer.Option(help="Guidance scale of the test.")] = 3.0,
    name: Annotated[str | None, typer.Option(help="Name of the release. [the output's name]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Write a protected copy of DATASET and the commitment beside it, keep the secret record in the keyring.

    Unmarked files are copied byte for byte. Nothing is changed in place. A stopped run resumes.
    """
    given = marks.parse_options(family, console.named_values(option or []))
    options = Options(
        rate=rate,
        family=family,
        alignment=alignment or "",
        family_options=given,
        slots=slots,
        queries=queries,
        decoys=decoys,
        alpha=alpha,
        steps=steps,
        guidance=guidance,
    )
    target = output or dataset.absolute().parent / (dataset.absolute().name + "-protected")
    if target.name in {"", "-protected"}:
        raise InputError(f"{dataset} has no name to call the copy by", "Give --output.")
    with console.progress() as told:
        done = embed(dataset, target, options, Keyring.default(), name=name, dry_run=dry_run, progress=told)
    console.answer(_embedded(done, dry_run), _embedding_json(done, dry_run), as_json)
    return console.SET_ASIDE if done.set_aside else console.DONE


@protect_app.command("check")
def check_command(
    dataset: Annotated[Path, typer.Argument(help="Folder of pictures with captions.")],
    family: Annotated[list[str] | None, typer.Option(help="Family to check; repeatable. [all]")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Family option, as FAMILY.NAME=VALUE; repeatable.")] = None,
    vae: Annotated[Path | None, typer.Option(help="Diffusers pipeline or VAE folder. [the miniature]")] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to test each family on.")] = 40,
    report: Annotated[Path, typer.Option(help="Page with pictures.")] = Path("check.html"),
    choices: Annotated[Path | None, typer.Option(help="Page on which people guess which picture is marked.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the throw-away key.")] = 0,
    as_json: Json = False,
) -> int:
    """Before release: does each family's mark read back, survive re-encoding and a VAE, and how visible is it?

    Uses a throw-away key on pictures in memory; the dataset is not changed.
    """
    from protect.check import check
    from protect.check.page import write_choices, write_page
    from protect.miniature import miniature_path

    console.existing_folder(dataset, "the dataset")
    console.check_target("--report", report)
    if choices:
        console.check_target("--choices", choices, [report])
    given = console.named_values(option or [])
    lacking = {
        "rivagan": not find_spec("onnxruntime"),
        "scene": "scene.pool" not in given,
        "latent": "latent.basis" not in given,
    }
    names = family or [name for name in marks.families() if not lacking.get(name)]
    options = marks.parse_options_of(names, given)
    secret = secret_from_seed(seed, "check")
    with console.progress() as told:
        found = check(dataset, names, options, vae or miniature_path(), secret, pictures=pictures, progress=told)
    write_page(report, found, dataset.absolute())
    if choices:
        write_choices(choices, found, secret)
    text = "\n".join(f"{c.family}: {c.verdict}" for c in found) + f"\nreport: {report}"
    console.answer(text, [_check_json(c) for c in found], as_json)
    return console.DONE


def _check_json(found: FamilyCheck) -> dict[str, object]:
    row = {f.name: getattr(found, f.name) for f in fields(found) if f.name not in {"originals", "marked", "survivals"}}
    return row | {"survivals": [asdict(s) for s in found.survivals], "verdict": found.verdict}


def _embedded(done: Embedding, dry_run: bool) -> str:
    plan = done.release.plan
    lines = [
        f"{'would write' if dry_run else 'done:'} {done.output}",
        f"  {plan.carriers} carriers in {plan.slots} slot(s), family {plan.family}; {done.copied_bytes / 1e6:,.1f} MB",
    ]
    if dry_run:
        lines.append(f"  the test will ask for at most {plan.slots * plan.queries} pictures")
    else:
        worst = min(c.psnr for c in done.release.carriers)
        lines += [
            f"  every carrier was read back: bytes and caption are right (lowest PSNR {worst:.1f} dB)",
            f"  release {done.release.id}; secret record in the keyring: back it up, show it to no one",
            f"  publish {done.commitment_file.name} before you release the copy",
        ]
        lines += _shared_level(plan)
    lines += [f"  set aside: {s.key}: {s.reason}" for s in done.set_aside[:10]]
    if len(done.set_aside) > 10:
        lines.append(f"  … and {len(done.set_aside) - 10} more set aside (--json lists all)")
    return "\n".join(lines)


def _shared_level(plan: Plan) -> list[str]:
    """A warning if so many releases are held that testing all of them would leave this one out of reach."""
    held = len(Keyring.default().survey()[0])
    distinct = marks.make_family(plan.family, plan.family_options).distinct
    if reachable(plan.decoys, plan.slots, held / plan.alpha, distinct):
        return []
    return [
        f"  the keyring holds {held} releases: tested together, this one could not reach the evidence it needs;",
        "  retire those you will not publish: protect retire RELEASE",
    ]


def _embedding_json(done: Embedding, dry_run: bool) -> dict[str, object]:
    return {
        "output": str(done.output),
        "dry_run": dry_run,
        "release": None if dry_run else done.release.id,
        "commitment": None if dry_run else done.release.commitment,
        "carriers": done.release.plan.carriers,
        "slots": done.release.plan.slots,
        "bytes": done.copied_bytes,
        "set_aside": [{"key": s.key, "reason": s.reason} for s in done.set_aside],
    }


@protect_app.command("plan")
def plan_command(
    dataset: Annotated[Path, typer.Argument(help="Folder of pictures with captions.")],
    passes: Annotated[float, typer.Option(help="How often a thief is expected to go over the dataset.")] = 10.0,
    rate: Annotated[float, typer.Option(help="Largest share of samples to mark.")] = 0.02,
    slots: Annotated[int | None, typer.Option(help="Independent marks. [carriers // 40, 1 to 8]")] = None,
    family: Annotated[str, typer.Option(help="Mark family.")] = RECOMMENDED.family,
    alignment: Annotated[str | None, typer.Option(help=f"Alignment. {AUTO}")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Family option, as NAME=VALUE; repeatable.")] = None,
    method: Annotated[str, typer.Option(help="How a thief is expected to train: lora or full.")] = "lora",
    rehearsal: Annotated[list[Path] | None, typer.Option(help="Finished rehearsal to learn from; repeatable.")] = None,
    as_json: Json = False,
) -> int:
    """Is that enough? Expected power from the sightings of each slot's carriers, by measured runs.

    Learns from the runs that ship with the project (all on its miniature), or only from your own rehearsals.
    """
    from protect.release.power import WANTED, alike, fit, measured_runs, rehearsed_runs

    check_range("--passes", passes, 1e-3, 1e6)
    if method not in {"lora", "full"}:
        raise InputError(f"--method {method} is unknown", "Allowed: lora, full.")
    given = marks.parse_options(family, console.named_values(option or []))
    options = Options(rate=rate, family=family, alignment=alignment or "", slots=slots, family_options=given)
    with TemporaryDirectory() as place:
        done = embed(dataset, Path(place) / "copy", options, Keyring.default(), dry_run=True)
    plan = done.release.plan
    known = rehearsed_runs(rehearsal) if rehearsal else measured_runs()
    law = fit(alike(known, family, options.way, method))
    carriers = plan.carriers // plan.slots
    sightings = carriers * passes
    needed = math.ceil(law.sightings() / passes)
    row = {
        "carriers": plan.carriers,
        "carriers_per_slot": carriers,
        "slots": plan.slots,
        "sightings_per_slot": sightings,
        "power_per_slot": law.power(sightings),
        "carriers_needed_per_slot": needed,
        "queries_per_slot": plan.queries,
        "fitted_on_runs": law.runs,
        "half_at_sightings": law.half,
    }
    verdict = "enough" if carriers >= needed else f"not enough: use {needed} carriers per slot or more"
    text = (
        f"{verdict}\n  {plan.carriers} carriers in {plan.slots} slot(s): {carriers} each, seen {sightings:,.0f} times "
        f"in {passes:g} passes\n  expected power {law.power(sightings):.0%} per slot (aim {WANTED:.0%}); "
        f"{plan.queries} pictures per slot\n  fitted on {law.runs} runs "
        + ("of your rehearsals" if rehearsal else "on the miniature; rehearse on your own base for better")
    )
    console.answer(text, row, as_json)
    return console.DONE


@protect_app.command("verify")
def verify_command(
    folder: Annotated[Path, typer.Argument(help="Protected copy.")],
    release: Annotated[str | None, typer.Option(help="Release id or name. [the folder's name]")] = None,
    as_json: Json = False,
) -> int:
    """Read every carrier back from disk and check its bytes, caption and mark."""
    console.existing_folder(folder, "the protected copy")
    record = Keyring.default().load(release or folder.absolute().name)
    with console.progress() as told:
        found = verify(record, folder, told)
    console.answer(_verified(found), _verification_json(found), as_json)
    return console.SET_ASIDE if found.findings else console.DONE


def _verified(found: Verification) -> str:
    lines = [f"{found.intact} of {found.carriers} carriers are as released"]
    return "\n".join(lines + [f"  {f.key}: {f.problem}" for f in found.findings])


def _verification_json(found: Verification) -> dict[str, object]:
    return {
        "carriers": found.carriers,
        "intact": found.intact,
        "findings": [{"key": f.key, "problem": f.problem} for f in found.findings],
    }


@protect_app.command("retire")
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


@protect_app.command("ls")
def ls_command(as_json: Json = False) -> int:
    """List the releases in the keyring, and the families and alignments to choose from."""
    from protect.release.power import measured_runs, told

    runs = measured_runs()
    held, problems = Keyring.default().survey()
    rows: dict[str, list[dict[str, object]]] = {
        "releases": [
            {
                "id": r.id,
                "name": r.name,
                "created": r.created,
                "family": r.plan.family,
                "alignment": r.plan.alignment,
                "rate": r.plan.rate,
                "carriers": r.plan.carriers,
                "slots": r.plan.slots,
            }
            for r in held
        ],
        "damaged": [{"problem": str(problem).replace("\n", " ")} for problem in problems],
        "families": [
            {
                "name": name,
                "min_side": family.min_side,
                "queries": family.queries,
                "summary": family.summary,
                "measured": told([run for run in runs if run.family == name]),
            }
            for name, family in marks.families().items()
        ],
        "alignments": [
            {
                "name": name,
                "summary": alignment.summary,
                "measured": told([run for run in runs if run.alignment == name]),
            }
            for name, alignment in alignments().items()
        ],
    }
    lines = [
        f"  {r['id']}  {r['name']}  {r['created']}  {r['family']}, {r['alignment']}, {r['carriers']} carriers in "
        f"{r['slots']} slot(s)"
        for r in rows["releases"]
    ]
    text = [
        f"releases in {Keyring.default().home}:",
        *(lines or ["  none"]),
        *(f"  cannot be used: {row['problem']}" for row in rows["damaged"]),
        "families:",
        *(
            f"  {r['name']:<12} {r['summary']}; pictures of {r['min_side']} px or more; {r['measured']}"
            for r in rows["families"]
        ),
        "alignments:",
        *(f"  {r['name']:<16} {r['summary']}; {r['measured']}" for r in rows["alignments"]),
    ]
    console.answer("\n".join(text), rows, as_json)
    return console.DONE
