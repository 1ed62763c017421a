"""What the commands on copies answer, in words and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from protect.alignments.sites.file import OWN
from protect.alignments.window import window_warning
from protect.alignments.wording import Wording
from protect.embed.difference import Difference
from protect.embed.job import Embedding
from protect.embed.render import Placed
from protect.embed.verify import Verification
from protect.evidence import reachable
from protect.formats.record import LeftOut
from protect.keys.keyring import Keyring
from protect.release.bound import BoundRelease, BoundSlot
from protect.release.record import Carrier, Release

_CAPTIONS = 4
"""Slots of which a caption is shown."""
_LISTED = 10
"""Lines of a list that are printed; --json has all."""
_LONGEST = 200
"""Characters of a caption that are printed."""


def embedding_text(done: Embedding, keyring: Keyring, dry_run: bool) -> str:
    """What `protect embed` did, or would do."""
    plan = done.release.plan
    counts = done.selection.survey
    lines = [
        _headline(done, dry_run),
        f"  {counts.samples} samples in, as many out; {counts.changeable} of them may be changed"
        + f"; besides, {counts.set_aside} could not be read as samples" * bool(counts.set_aside),
        f"  {done.carriers} carriers in {plan.slots} slot(s), {plan.families}; {_what_changes(done)}; "
        + f"{len(done.selection.passed)} candidates cannot be carriers; " * bool(done.selection.passed)
        + f"{done.copied_bytes / 1e6:,.1f} MB",
        *_own_wordings(done),
        *_before_and_after(done),
        *(f"  {line}" for line in done.forecast.lines()),
        *_window(done),
    ]
    lines += _cost(done) if dry_run else _next_steps(done, keyring)
    lines += _reasons(done)
    return "\n".join(lines + _left_out(done.left_out))


def _headline(done: Embedding, dry_run: bool) -> str:
    if done.release.plan.recipients:
        return f"{'would make ready' if dry_run else 'ready'} for recipients, each with a copy like this"
    return f"{'would write' if dry_run else 'done:'} {done.output}"


def _own_wordings(done: Embedding) -> list[str]:
    """How many of the owner's own choices of words serve."""
    lines = []
    for part in done.selection.parts:
        if isinstance(part.alignment, Wording) and part.options.alignment_options.get("wordings"):
            taken = [draw.trigger.removeprefix(OWN) for draw in part.drawn.slots]
            lines.append(
                f"  {len(taken)} of your {len(part.alignment.sites)} choices of words serve, a slot each: "
                f"{', '.join(taken)}"
                + "; the others fit too few captions, or one of these would be changed by them"
                * (len(taken) < len(part.alignment.sites))
            )
    return lines


def _what_changes(done: Embedding) -> str:
    painted = done.chosen.painted
    return f"{painted} pictures change" if painted else "no picture changes, only their captions"


def _before_and_after(done: Embedding) -> list[str]:
    """For each of the first slots, a caption as it was and as it will be."""
    leave, lines = done.selection.dataset.options.leave_captions, list[str]()
    for slot in done.bound.slots[:_CAPTIONS]:
        pairs = ((placed.record.captions, placed.captions(leave)) for placed in _of_slot(done, slot))
        changed = ((old[name], new[name]) for old, new in pairs for name in old if old[name] != new[name])
        if pair := next(changed, None):
            before, after = _excerpts(*(" ".join(text.split()) for text in pair))
            lines += [f"  a caption before: {before}", f"              after: {after}"]
    trigger = done.bound.slots[0].trigger
    return lines or [f"  captions stay; the trigger of slot 1 is {trigger!r}" if trigger else "  captions stay"]


def _excerpts(before: str, after: str) -> tuple[str, str]:
    """Two captions; if they are long, from shortly before where they differ."""
    if max(len(before), len(after)) <= _LONGEST:
        return before, after
    pairs = enumerate(zip(before, after, strict=False))
    differ = next((at for at, (a, b) in pairs if a != b), min(len(before), len(after)))
    start = max(0, differ - _LONGEST // 4)
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int = 0) -> str:
    end = start + _LONGEST
    return f"{'…' * bool(start)}{text[start:end]}{'…' * (end < len(text))}"


def _of_slot(done: Embedding, slot: BoundSlot) -> Iterator[Placed]:
    """The samples of a slot, as if they had no other."""
    draw = done.selection.slots[slot.number]
    yield from (Placed(record, (slot,), ()) for record in draw.carriers)
    yield from (Placed(record, (), (slot,)) for record in draw.opposite)


def _window(done: Embedding) -> list[str]:
    warning = window_warning([done.selection.survey.longest_caption])
    return [f"  note: {warning}"] if warning else []


def _cost(done: Embedding) -> list[str]:
    verdict = ["  it would be refused (--anyway writes it all the same)"] if done.forecast.hardly else []
    return [*verdict, f"  the test will ask for at most {pictures_asked(done.bound)} pictures"]


def pictures_asked(bound: BoundRelease) -> int:
    """How many pictures the test asks for at most; what serves several slots counts once."""
    return len({query for slot in bound.slots for query in slot.put})


def _next_steps(done: Embedding, keyring: Keyring) -> list[str]:
    if done.release.plan.recipients:
        return _before_issuing(done)
    psnrs = [carrier.psnr for carrier in done.release.carriers if carrier.sha256]
    quality = f"lowest PSNR {min(psnrs):.1f} dB" if psnrs else "no picture changed"
    return [
        f"  every carrier was read back: bytes and captions are right ({quality})",
        f"  release {done.release.id}; secret record in the keyring: back it up, show it to no one",
        "  look at the carriers: "
        + shlex.join(["protect", "show", str(done.output), "--original", str(done.selection.dataset.root)]),
        f"  before you release the copy, publish {done.commitment_file.name} where others can date it (your website, a",
        "  public repository, a timestamp service); docs/commitment.md says against which models a proof then counts",
        *_shared_level(done, keyring),
    ]


def _before_issuing(done: Embedding) -> list[str]:
    return [
        f"  release {done.release.id}; secret record in the keyring: back it up, show it to no one",
        f"  before you give anybody a copy, publish {done.commitment_file.name} where others can date it",
        f"  then: protect issue {done.release.id} --to recipients.csv",
    ]


def _shared_level(done: Embedding, keyring: Keyring) -> list[str]:
    """A warning if so many releases are held that testing all of them would leave this one out of reach."""
    plan, held = done.release.plan, sum(not release.plan.recipients for release in keyring.survey()[0])
    distinct = [slot.family.distinct for slot in done.bound.slots]
    if reachable(plan.decoys, distinct, held / plan.alpha):
        return []
    return [
        f"  the keyring holds {held} releases: tested together, this one could not reach the evidence it needs;",
        "  retire those you will not publish: protect retire RELEASE",
    ]


def _reasons(done: Embedding) -> list[str]:
    """Why samples were set aside, the commonest reason first."""
    keys: dict[str, list[str]] = {}
    for aside in done.set_aside:
        keys.setdefault(aside.reason, []).append(aside.key)
    ranked = sorted(keys.items(), key=lambda row: -len(row[1]))
    rows = [
        f"{found[0]}: {reason}" if len(found) == 1 else f"{len(found)} samples, such as {found[0]}: {reason}"
        for reason, found in ranked
    ]
    more = done.set_aside_count - len(done.set_aside)
    return [*_listed("set aside", rows, len(rows)), *([f"  … and {more} more set aside"] if more > 0 else [])]


def _left_out(files: tuple[LeftOut, ...]) -> list[str]:
    return _listed("not in the copy", [f"{file.path}: {file.reason}" for file in files], len(files))


def _listed(what: str, rows: list[str], count: int) -> list[str]:
    lines = [f"  {what}: {row}" for row in rows[:_LISTED]]
    return [*lines, f"  … and {count - _LISTED} more {what} (--json lists them)"] if count > _LISTED else lines


def embedding_json(done: Embedding, dry_run: bool) -> dict[str, object]:
    """The same for programs."""
    power = done.forecast.power
    return {
        "output": str(done.output),
        "dry_run": dry_run,
        "for_recipients": done.release.plan.recipients,
        "release": None if dry_run else done.release.id,
        "commitment": None if dry_run else done.release.commitment,
        "samples": done.selection.survey.samples,
        "changeable": done.selection.survey.changeable,
        "carriers": done.carriers,
        "slots": done.release.plan.slots,
        "bytes": done.copied_bytes,
        "expected_power": power and {"mean": power.mean, "low": power.low, "high": power.high},
        "basis": done.forecast.basis,
        "set_aside_count": done.set_aside_count,
        "set_aside": [{"key": s.key, "reason": s.reason} for s in done.set_aside],
        "left_out": [{"path": f.path, "reason": f.reason} for f in done.left_out],
    }


def verification_text(release: Release, found: Verification, whose: str = "") -> str:
    """What `protect verify` found, and whose copy it is if not everybody's."""
    named = f"release {release.id} ({release.name}){', ' if whose else ''}{whose}"
    lines = [f"{named}: {found.intact} of {found.carriers} carriers are as released"]
    if found.left_alone:
        alone = f"the mark left {found.left_alone} of their pictures alone"
        lines.append(f"  {alone}: they were opened; protect diff compares them with the original")
    return "\n".join(lines + [f"  {f.key}: {f.problem}" for f in found.findings])


def carrier_line(carrier: Carrier) -> str:
    """One carrier in a list."""
    slots = ", ".join(str(slot + 1) for slot in sorted((*carrier.slots, *carrier.opposite)))
    quality = f"{carrier.psnr:.1f} dB" if carrier.sha256 else "picture as it was"
    caption = " ".join(next(iter(carrier.captions.values())).split())
    return f"{carrier.key}  slot {slots}  {quality}  {_cut(caption)}"


def _forms_line(found: Difference) -> list[str]:
    first, second = found.forms
    if first == second:
        return []
    return [f"  files differ because the forms do ({first}; {second}): only samples were compared"]


def difference_text(found: Difference) -> str:
    """What `protect diff` found."""
    changes = [
        f"{change.key}: "
        + "; ".join(
            (["picture" + (f", {a:,} to {b:,} bytes" if a != b else "")] if change.picture else [])
            + ["{}: {!r} became {!r}".format(name, *_excerpts(*texts)) for name, *texts in change.captions]
        )
        for change in found.changes
        for a, b in [change.sizes]
    ]
    return "\n".join(
        [
            f"{found.samples} samples in both; {found.pictures} pictures and {found.captions} captions differ",
            *_forms_line(found),
            *_listed("differs", changes, len(changes)),
            *_listed("only in the first", list(found.only_first), len(found.only_first)),
            *_listed("only in the second", list(found.only_second), len(found.only_second)),
            *_listed("file only in the first", list(found.files_only_first), len(found.files_only_first)),
            *_listed("file only in the second", list(found.files_only_second), len(found.files_only_second)),
        ]
    )
