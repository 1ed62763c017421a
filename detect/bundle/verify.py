"""Checking an evidence bundle: everything is computed again, offline, without the keyring and without torch."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from detect.bundle.asked import about_asked, check_asked, departs
from detect.bundle.container import SIGNATURE, manifest, unpacked
from detect.bundle.dates import about_questions, about_time
from detect.bundle.opening import opened_release, questions_digest
from detect.bundle.pictures import check_pictures, wrong
from detect.bundle.write import COMMITMENT, OPENING, STORE, VERDICT
from detect.trial.result import tally
from detect.trial.score import score_slot
from detect.trial.transcript import Transcript
from detect.trial.transcript_files import read_transcript
from detect.trial.verdict import Outcome
from protect.errors import InputError
from protect.evidence import overall_p_value, running_evidence
from protect.keys.signature import signature_from
from protect.keys.store import Store
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
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise wrong(f"a file in it is damaged ({error})") from None


def _verified(files: Mapping[str, bytes], certificates: Sequence[Certificate], signer: str) -> Checked:
    said = _json(files, VERDICT)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        bound = opened_release(_file(files, OPENING), Store(Path(folder) / STORE))
        transcript = read_transcript(Path(folder))
        _check_slots(bound, transcript)
        check_pictures(bound, transcript, said, files)
        peak, p_value = _scored(bound, transcript, said)
        alone = _peak_alone(bound, transcript)
    _check_commitment(bound, files)
    _check_names(bound, transcript, said)
    threshold = _check_level(bound, transcript, said)
    outcome = _check_outcome(said, peak, threshold, 1 / bound.release.plan.alpha)
    if outcome == "evidence" and tally(transcript).reference_refused:
        raise wrong("it says evidence, and answers of the reference are missing")
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
            *about_time(bound, files, certificates),
            *about_questions(bound, files, certificates),
            *_about(bound, said, transcript, alone, public_key),
        ),
    )


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        return files[name]
    except KeyError:
        raise wrong(f"{name} is missing") from None


def _json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(_file(files, name), parse_constant=_no_number))
    except (ValueError, TypeError):
        raise wrong(f"{name} is damaged") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_slots(bound: BoundRelease, transcript: Transcript) -> None:
    """Refuse answers of classifiers, other slots than are revealed, and all that leaves room for a choice."""
    if transcript.kind != "pictures":
        raise wrong(
            "a classifier's answers cannot be checked: nothing in the commitment fixes the pictures it was shown"
        )
    if [part.slot for part in transcript.slots] != list(range(len(bound.slots))):
        raise wrong("the slots that were answered are not those that are revealed")
    check_asked(bound, transcript)


def _scored(bound: BoundRelease, transcript: Transcript, said: Mapping[str, Any]) -> tuple[float, float]:
    """Largest E and overall p, computed again and compared slot by slot."""
    evidence = [score_slot(bound, transcript, slot).evidence for slot in range(len(bound.slots))]
    running = running_evidence(evidence)
    rows = said["slots"]
    if len(rows) != len(evidence):
        raise wrong(f"the verdict tells of {len(rows)} slots, {len(evidence)} were answered")
    for row, own, so_far in zip(rows, evidence, running, strict=True):
        _same("p of a slot", row["p_value"], own.p_value)
        _same("E of a slot", row["running_e_value"], float(so_far))
    peak, p_value = float(running.max()), overall_p_value(running)
    _same("E", said["e_value"], peak)
    _same("p", said["p_value"], p_value)
    if said["transcript_sha256"] != transcript.digest:
        raise wrong("the verdict is about other answers")
    return peak, p_value


def _peak_alone(bound: BoundRelease, transcript: Transcript) -> float | None:
    """Largest E without the reference; None if there is none."""
    if transcript.reference is None:
        return None
    alone = replace(transcript, reference=None)
    return float(running_evidence([score_slot(bound, alone, slot.number).evidence for slot in bound.slots]).max())


def _check_names(bound: BoundRelease, transcript: Transcript, said: Mapping[str, Any]) -> None:
    """Whom and what the verdict is about."""
    told = (said["release"]["id"], said["release"]["commitment"], said["suspect"]["name"])
    if told != (bound.release.id, bound.release.commitment, transcript.suspect):
        raise wrong("the verdict is about another release or suspect")
    if any(said["suspect"].get(name) != value for name, value in transcript.identity.items()):
        raise wrong("the verdict tells of another suspect's weights or settings")


def _same(what: str, said: float, found: float) -> None:
    if not math.isclose(said, found, rel_tol=_EQUAL):
        raise wrong(f"the verdict says {what} = {said:.6g}, its answers give {found:.6g}")


def _check_commitment(bound: BoundRelease, files: Mapping[str, bytes]) -> None:
    public, own = _json(files, COMMITMENT), bound.release.public()
    own["questions"] = questions_digest(files[OPENING])
    if public != own:
        fields = ", ".join(name for name in own if public.get(name) != own[name]) or "a field that is none"
        raise wrong(f"the published commitment and what is revealed differ in {fields}")


def _check_level(bound: BoundRelease, transcript: Transcript, said: Mapping[str, Any]) -> float:
    """What E had to reach; never less than the committed level asks for, and twice that if the plan was left."""
    threshold, alpha = float(said["threshold"]), bound.release.plan.alpha
    here = [look["further"] for look in said["looks"] if look["this"] is True]
    if len(here) != 1 or type(here[0]) is not int or not 0 <= here[0] <= len(said["looks"]):
        raise wrong("it does not say which look at the suspect it is")
    further = here[0]
    if further == 0 and departs(bound, transcript):
        raise wrong("the committed plan was left, and the verdict does not count it as a further one")
    if not threshold >= 2**further / alpha * (1 - _EQUAL):
        raise wrong(f"E had to reach {2**further / alpha:,.0f} at least, the verdict says {threshold:,.0f}")
    return threshold


def _check_outcome(said: Mapping[str, Any], peak: float, threshold: float, unlucky: float) -> str:
    """The outcome, which must follow from E; a control's evidence can only take it away."""
    outcome, control = str(said["verdict"]), said["control_e_value"]
    if outcome not in get_args(Outcome):
        raise wrong(f"it says {outcome[:40]!r}, which is no verdict")
    if outcome == "evidence" and (peak < threshold or (control is not None and not control < unlucky)):
        raise wrong(f"it says evidence, and its answers give E = {peak:,.4g} of {threshold:,.0f} required")
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


def _about_reference(transcript: Transcript, alone: float | None) -> str:
    if transcript.reference is None or alone is None:
        return "No reference's answers were taken off."
    return (
        f"The answers of “{transcript.reference.suspect}” to the same questions were taken off; without that E = "
        f"{alone:,.4g}. That this model gave them, and knew nothing of the release, is the owner's word."
    )


def _about(
    bound: BoundRelease, said: Mapping[str, Any], transcript: Transcript, alone: float | None, signer: str
) -> list[str]:
    """What a reader must take on trust, or look up."""
    control = said["control_e_value"]
    lines = [
        "Keys, marks, decoys, scores, E and p were computed again from the commitment and the answers.",
        _about_reference(transcript, alone),
        *about_asked(bound, transcript),
        "The page inside is its owner's: only what is printed here was checked.",
        f"That “{transcript.suspect}” gave these answers is the owner's word, unless you ask it yourself: the "
        "transcript names every question, seed and setting.",
        f"Its owner says: suspects tested with this release {said['suspects_tested_with_this_release']}, looks at this "
        f"suspect {len(said['looks'])}, commitments before this one {said['commitments_before']}.",
        "No control was asked."
        if control is None
        else f"The control showed E = {control:,.4g}; its answers are not in the bundle.",
    ]
    if ordinary := len(said["ordinary_answers"]):
        lines.append(f"{ordinary} answers are to captions without a trigger, drawn beforehand: they count for nothing.")
    return [*lines, f"Signed by {signer}." if signer else "It is not signed."]
