"""Checking an evidence bundle: everything is computed again, offline, without the keyring and without torch."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect.bundle.container import SIGNATURE, manifest, unpacked
from detect.bundle.opening import opened_release, questions_digest
from detect.bundle.write import COMMITMENT, OPENING, STAMPS, STORE, VERDICT
from detect.trial.score import score_slot
from detect.trial.transcript import Transcript
from detect.trial.transcript_files import PICTURES, read_transcript
from protect.errors import EvidenceError, InputError, TracemarkError
from protect.evidence import overall_p_value, running_evidence
from protect.keys.coin import Committed, judge_coin
from protect.keys.signature import signature_from
from protect.keys.store import Store
from protect.keys.timestamp import Stamp, check_reply, read_certificates
from protect.release.bound import BoundRelease

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_EQUAL = 1e-9
"""Largest relative difference between a number of the verdict and the same computed again."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A bundle that holds: what it says, and what that rests on."""

    outcome: str
    release: str
    """Its id."""
    suspect: str
    e_value: float
    p_value: float
    threshold: float
    slots: int
    signer: str
    """Public key of its signature; empty if it is not signed."""
    rests_on: tuple[str, ...]
    """Sentences for people: what was checked, and what was not."""

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def verify_bundle(path: Path, certificates: Sequence[Certificate] = (), signer: str = "") -> Checked:
    """Check a bundle and compute its verdict again.

    Args:
        path: the file.
        certificates: roots of timestamp authorities that the reader trusts; none: those in the bundle are shown.
        signer: public key that must have signed it, 64 hex digits; empty: any, or none.

    Raises:
        InputError: if it is no bundle, or not as it was written; if another key signed it.
        EvidenceError: if the verdict does not follow from what the bundle holds.
    """
    try:
        return _verified(unpacked(path), certificates, signer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong(f"a file in it is damaged ({error})") from None


def _verified(files: Mapping[str, bytes], certificates: Sequence[Certificate], signer: str) -> Checked:
    said = _json(files, VERDICT)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        bound = opened_release(_file(files, OPENING), Store(Path(folder) / STORE))
        transcript = read_transcript(Path(folder))
        _check_pictures(transcript, files)
        peak, p_value = _scored(bound, transcript, said)
    _check_commitment(bound, files)
    threshold = _check_level(bound, transcript, said)
    outcome = _check_outcome(said, peak, threshold)
    public_key = _signed_by(files, signer)
    return Checked(
        outcome=outcome,
        release=bound.release.id,
        suspect=transcript.suspect,
        e_value=peak,
        p_value=p_value,
        threshold=threshold,
        slots=len(bound.slots),
        signer=public_key,
        rests_on=(
            *_about_key(bound),
            *_about_time(bound, files, certificates),
            *_about(said, transcript, public_key),
        ),
    )


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        return files[name]
    except KeyError:
        raise _wrong(f"{name} is missing") from None


def _json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(_file(files, name)))
    except (ValueError, TypeError):
        raise _wrong(f"{name} is damaged") from None


def _check_pictures(transcript: Transcript, files: Mapping[str, bytes]) -> None:
    """Every picture that is named is there, and no other."""
    held = {Path(name).stem for name in files if name.startswith(f"{PICTURES}/")}
    named = transcript.pictures_named
    if held != named:
        raise _wrong(f"{len(named - held)} of {len(named)} answers are missing, {len(held - named)} are too many")


def _scored(bound: BoundRelease, transcript: Transcript, said: Mapping[str, Any]) -> tuple[float, float]:
    """Largest E and overall p, computed again and compared slot by slot."""
    if [part.slot for part in transcript.slots] != list(range(len(bound.slots))):
        raise _wrong("the slots that were answered are not those that are revealed")
    evidence = [score_slot(bound, transcript, slot).evidence for slot in range(len(bound.slots))]
    running = running_evidence(evidence)
    rows = said["slots"]
    if len(rows) != len(evidence):
        raise _wrong(f"the verdict tells of {len(rows)} slots, {len(evidence)} were answered")
    for row, own, so_far in zip(rows, evidence, running, strict=True):
        _same("p of a slot", row["p_value"], own.p_value)
        _same("E of a slot", row["running_e_value"], float(so_far))
    peak, p_value = float(running.max()), overall_p_value(running)
    _same("E", said["e_value"], peak)
    _same("p", said["p_value"], p_value)
    if said["transcript_sha256"] != transcript.digest:
        raise _wrong("the verdict is about other answers")
    return peak, p_value


def _same(what: str, said: float, found: float) -> None:
    if not math.isclose(said, found, rel_tol=_EQUAL):
        raise _wrong(f"the verdict says {what} = {said:.6g}, its answers give {found:.6g}")


def _check_commitment(bound: BoundRelease, files: Mapping[str, bytes]) -> None:
    public, own = _json(files, COMMITMENT), bound.release.public()
    own["questions"] = questions_digest(files[OPENING])
    if public != own:
        fields = ", ".join(name for name in own if public.get(name) != own[name]) or "a field that is none"
        raise _wrong(f"the published commitment and what is revealed differ in {fields}")


def _check_level(bound: BoundRelease, transcript: Transcript, said: Mapping[str, Any]) -> float:
    """What E had to reach; never less than the committed level asks for, and twice that if the plan was left."""
    threshold, alpha, looks = float(said["threshold"]), bound.release.plan.alpha, said["looks"]
    further = next((look["further"] for look in looks if look["this"]), 0)
    if further == 0 and _departs(bound, transcript):
        raise _wrong("the committed plan was left, and the verdict does not count it as a further one")
    if threshold < 2**further / alpha * (1 - _EQUAL):
        raise _wrong(f"E had to reach {2**further / alpha:,.0f} at least, the verdict says {threshold:,.0f}")
    return threshold


def _departs(bound: BoundRelease, transcript: Transcript) -> bool:
    """Whether fewer questions were put than planned, or with other settings."""
    plan = bound.release.plan
    if transcript.kind == "pictures" and (transcript.plan["steps"], transcript.plan["guidance"]) != (
        plan.steps,
        plan.guidance,
    ):
        return True
    asked = zip(transcript.slots, plan.part_of_slot, strict=False)
    return transcript.kind == "pictures" and any(len(part.asked) != planned.queries for part, planned in asked)


def _check_outcome(said: Mapping[str, Any], peak: float, threshold: float) -> str:
    """The outcome, which must follow from E; a control's evidence can only take it away."""
    outcome, control = str(said["verdict"]), said["control_e_value"]
    if outcome == "evidence" and (peak < threshold or (control is not None and control >= threshold)):
        raise _wrong(f"it says evidence, and its answers give E = {peak:,.4g} of {threshold:,.0f} required")
    return outcome


def _signed_by(files: Mapping[str, bytes], wanted: str) -> str:
    if SIGNATURE not in files:
        if wanted:
            raise InputError(f"the bundle is not signed by {wanted[:16]}…", "Ask its owner for a signed one.")
        return ""
    found = signature_from(files[SIGNATURE], SIGNATURE)
    found.check("bundle", manifest(files))
    if wanted and found.public_key != wanted:
        raise InputError(
            f"another key signed the bundle: {found.public_key[:16]}…, not {wanted[:16]}…",
            "Take it for nobody's until they match.",
        )
    return found.public_key


def _about_key(bound: BoundRelease) -> list[str]:
    """What takes the weight off everything else."""
    if not bound.release.rehearsal:
        return []
    return ["The key is a throw-away one, made from a number that anybody can guess: this proves nothing to others."]


def _about_time(bound: BoundRelease, files: Mapping[str, bytes], trusted: Sequence[Certificate]) -> list[str]:
    """What is known of the commitment's age and its coin."""
    stamps, lines = list[Stamp](), list[str]()
    for name in sorted(n for n in files if n.startswith(f"{STAMPS}/") and n.endswith(".tsr")):
        roots = trusted or read_certificates(files[name.removesuffix(".tsr") + ".pem"], name)
        try:
            stamps.append(check_reply(files[name], bound.release.commitment.encode(), roots))
        except TracemarkError as error:
            lines.append(f"{name} does not count: {error.what}.")
    trust = "roots that you gave" if trusted else "roots in the bundle itself: compare them with the authority's own"
    lines += [f"The commitment existed at {stamp.in_words()}, by {trust}." for stamp in stamps]
    if not stamps:
        created = datetime.fromisoformat(bound.release.created)
        lines.append(f"The commitment says it was made on {created:%Y-%m-%d}; no timestamp shows that it is as old.")
    return [*lines, judge_coin(Committed.of(bound.release), stamps).sentence]


def _about(said: Mapping[str, Any], transcript: Transcript, signer: str) -> list[str]:
    """What a reader must take on trust, or look up."""
    control = said["control_e_value"]
    lines = [
        "Seeds, questions, marks, decoys, scores, E and p were computed again from the commitment and the answers.",
        f"That “{transcript.suspect}” gave these answers is the owner's word, unless you ask it yourself: the "
        "transcript names every question, seed and setting.",
        f"Its owner says: suspects tested with this release {said['suspects_tested_with_this_release']}, looks at this "
        f"suspect {len(said['looks'])}, commitments before this one {said['commitments_before']}.",
        "No control was asked."
        if control is None
        else f"The control showed E = {control:,.4g}; its answers are not in the bundle.",
    ]
    return [*lines, f"Signed by {signer}." if signer else "It is not signed."]


def _wrong(why: str) -> EvidenceError:
    return EvidenceError(f"the bundle's verdict does not hold: {why}", "Do not rely on it.")
