"""The pictures of a bundle: every answer that it tells of is there, and no other.

Answers to ordinary captions score nothing. They must be to the captions that the release drew beforehand, or nobody
could tell them from a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detect.trial.questions import ordinary_queries
from detect.trial.transcript import Transcript
from detect.trial.transcript_files import PICTURES
from detect.trial.verdict import Verdict
from protect.errors import EvidenceError
from protect.pixels.measure import png_bytes
from protect.release.bound import BoundRelease


def ordinary_files(verdict: Verdict) -> dict[str, bytes]:
    """The verdict's answers to ordinary captions, by their name in the bundle."""
    if verdict.ordinary is None:
        return {}
    held = verdict.ordinary.pictures
    named = [answer.sha256 for _, answer in verdict.ordinary.exchanges if answer.size]
    return {f"{PICTURES}/{name}.png": png_bytes(held[name]) for name in named}


def check_pictures(
    bound: BoundRelease, transcript: Transcript, said: Mapping[str, Any], files: Mapping[str, bytes]
) -> None:
    """Refuse a bundle whose pictures are not those that it tells of.

    Args:
        bound: the release as far as it is revealed.
        transcript: reads pictures from the bundle, and checks each against its hash.
        said: the verdict.
        files: of the bundle.

    Raises:
        EvidenceError: if a picture is missing or too many, or captions were not drawn beforehand.
        InputError: if one is not what its hash says.
    """
    held = {Path(name).stem for name in files if name.startswith(f"{PICTURES}/")}
    ordinary = said["ordinary_answers"]
    shown = {row["sha256"] for row in ordinary if row["sha256"]}
    named = transcript.pictures_named | shown
    if held != named:
        raise wrong(f"{len(named - held)} of {len(named)} answers are missing, {len(held - named)} are too many")
    if not ordinary:
        return
    planned = [(q.prompt, q.seed) for q in ordinary_queries(bound, transcript.plan["queries_per_slot"])]
    if [(row["prompt"], row["seed"]) for row in ordinary] != planned:
        raise wrong("its ordinary captions are not those that were drawn beforehand")
    for name in shown:
        transcript.pictures[name]  # reading checks it


def wrong(why: str) -> EvidenceError:
    """What is raised for a bundle that does not hold."""
    return EvidenceError(f"the bundle's verdict does not hold: {why}", "Do not rely on it.")
