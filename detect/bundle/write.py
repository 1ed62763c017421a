"""Writing an evidence bundle: what a verdict rests on, and of the release no more than the slots that were asked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from detect.bundle.container import MANIFEST, SIGNATURE, manifest, packed
from detect.bundle.opening import opening_of
from detect.bundle.pictures import ordinary_files
from detect.trial.transcript import Transcript
from detect.trial.transcript_files import FILE, PICTURES, write_transcript
from detect.trial.verdict import Verdict
from protect.errors import InputError
from protect.files import canonical_json, write_atomic
from protect.keys.keyring import Keyring
from protect.keys.signature import sign
from protect.keys.stamps import stamp_files
from protect.keys.store import KINDS, Store
from protect.marks.family import FamilyOptions
from protect.release.record import Release

COMMITMENT, OPENING, VERDICT, PAGE = "commitment.json", "opening.json", "verdict.json", "report.html"
STORE, STAMPS = "store", "timestamps"


def write_bundle(path: Path, verdict: Verdict, keyring: Keyring, page: str, *, signed: bool = True) -> None:
    """Write the bundle of one verdict; the same verdict gives the same bytes.

    Args:
        path: of the file; it appears only when whole.
        verdict: with its transcript, pictures at hand.
        keyring: holds the release's arrays, timestamps and the owner's signing key.
        page: the report, a self-contained HTML page.
        signed: whether the owner signs it.

    Raises:
        InputError: if nothing was asked, or answers are not at hand any more.
    """
    release, transcript = verdict.release, verdict.held
    if transcript is None or not verdict.slots:
        raise InputError("nothing was asked: there is nothing to bundle", "Test a suspect first.")
    if transcript.kind != "pictures":
        raise InputError(
            "no bundle holds a classifier's answers: nothing in the commitment fixes the pictures it saw",
            "Show the verdict's page and let the other side ask the classifier.",
        )
    files = {
        COMMITMENT: canonical_json(release.public()),
        OPENING: opening_of(release, [slot.slot for slot in verdict.slots]),
        VERDICT: canonical_json(verdict.as_json()),
        PAGE: page.encode(),
        **_stored(release, keyring.store, len(verdict.slots)),
        **{f"{STAMPS}/{name}": data for name, data in stamp_files(keyring, release.id).items()},
        **ordinary_files(verdict),
        **_exchanged(transcript),
    }
    if signed:
        files[SIGNATURE] = sign(keyring, "bundle", manifest(files)).to_json()
    assert MANIFEST not in files
    write_atomic(path, packed(files), mode=0o600)


def _stored(release: Release, store: Store, asked: int) -> dict[str, bytes]:
    """The arrays that the families and alignments of the slots asked need, by their name in the bundle."""
    found = {}
    for part in release.plan.part_of_slot[:asked]:
        options: FamilyOptions = {**part.family_options, **part.alignment_options}
        for kind, folder in KINDS.items():
            if name := options.get(kind):
                found[f"{STORE}/{folder}/{name}.npz"] = store.data(kind, str(name))
    return found


def _exchanged(transcript: Transcript) -> dict[str, bytes]:
    """The transcript and its pictures, the reference's among them."""
    with tempfile.TemporaryDirectory() as folder:
        write_transcript(transcript, Path(folder))
        pictures = {f"{PICTURES}/{path.name}": path.read_bytes() for path in (Path(folder) / PICTURES).iterdir()}
        return {FILE: (Path(folder) / FILE).read_bytes(), **pictures}
