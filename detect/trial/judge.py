"""`detect run`: ask slot by slot, score against fresh decoys, stop when the evidence suffices."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images.suspect import Suspect
from detect.trial.answers import cache_paths, cached_outputs, pixel_hashes
from detect.trial.ledger import register, register_control, setting_of, subject_of, withdraw
from detect.trial.questions import QueryPlan, query_plan, slot_queries
from detect.trial.verdict import Outcome, SlotResult, Verdict
from protect import __version__
from protect.alignments import slot_family
from protect.embed.write import Progress
from protect.errors import InputError, TracemarkError
from protect.evidence import overall_p_value, reachable, running_evidence, slot_evidence
from protect.release.record import Keyring, Release

_PACKAGES = ("torch", "diffusers", "transformers", "peft", "numpy")


@dataclass(frozen=True, slots=True)
class Departures:
    """Ways in which a run leaves the committed plan; each makes it a further plan."""

    queries: int | None = None
    steps: int | None = None
    guidance: float | None = None


@dataclass(slots=True)
class _Answers:
    """Slots asked so far, and why asking stopped."""

    slots: list[SlotResult] = field(default_factory=list)
    asked: int = 0
    trouble: str = ""

    @property
    def running(self) -> NDArray[np.float64]:
        return running_evidence([slot.evidence for slot in self.slots])


def detect(
    release: Release,
    suspect: Suspect,
    keyring: Keyring,
    *,
    releases: Sequence[Release] = (),
    control: Suspect | None = None,
    departures: Departures = Departures(),
    progress: Progress = lambda *_: None,
) -> Verdict:
    """Test one release against one suspect.

    Args:
        release: the secret record.
        suspect: the model under test.
        keyring: holds output cache and ledger.
        releases: all releases under test on this suspect now; with R of them each must reach R times more evidence,
            and twice that after an earlier call that tested others, and so on (`ledger.Standing.share`).
        control: a model that cannot have seen the release; evidence there voids evidence here.
        departures: changes to the committed plan.
        progress: told (stage, done, total).

    Returns:
        The verdict; a repeat of the same plan resumes from the cache and answers the same.
    """
    plan = query_plan(release, departures.queries, departures.steps, departures.guidance)
    name = plan.digest(release, setting_of(suspect))
    if control is not None and subject_of(control) == subject_of(suspect):
        raise InputError(
            f"the control {control.name} has the suspect's own weights",
            "Give a model that cannot have seen the release.",
        )
    standing = register(keyring, releases or [release], release, suspect, name)
    alpha = release.plan.alpha / 2**standing.further_plans
    threshold = standing.share / alpha
    answers = _ask(release, suspect, plan, threshold, keyring, release.plan.slots, progress)
    if answers.trouble and standing.new and not _any_picture(release, suspect, plan, keyring):
        withdraw(keyring, release, suspect, name)
    running = answers.running
    control_e = standing.control_e_value or None
    if control is not None and len(running) and running.max() >= threshold:
        tried = _ask(release, control, plan, threshold, keyring, len(answers.slots), progress)
        answers.asked += tried.asked
        answers.trouble = answers.trouble or tried.trouble
        shown = float(tried.running.max(initial=0.0))
        register_control(keyring, release, control, name, shown)
        control_e = max(standing.control_e_value, shown)
    outcome, reason = _judge(release, answers, threshold, control_e)
    return Verdict(
        outcome=outcome,
        reason=reason,
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        alpha=alpha,
        threshold=threshold,
        e_value=float(running.max(initial=0.0)) if len(running) else 1.0,
        p_value=overall_p_value(running),
        running=tuple(float(e) for e in running),
        queries=answers.asked,
        slots=tuple(answers.slots),
        control_e_value=control_e,
        flags=flags(release, standing.further_plans, control),
        suspects_tested=standing.suspects_tested,
        plans_tried=standing.plans_tried,
        plan={"queries_per_slot": plan.queries, **plan.sampler.as_dict()},
        versions=versions(),
    )


def _any_picture(release: Release, suspect: Suspect, plan: QueryPlan, keyring: Keyring) -> bool:
    """Whether the suspect ever answered a question of this plan."""
    try:
        queries = [q for slot in range(release.plan.slots) for q in slot_queries(release, slot, plan.queries)]
    except TracemarkError:  # a family or alignment that is not installed: no question could be put
        return False
    return any(path.exists() for path in cache_paths(suspect, queries, plan.sampler, keyring.folder("cache")))


def _ask(
    release: Release,
    suspect: Suspect,
    plan: QueryPlan,
    threshold: float,
    keyring: Keyring,
    slots: int,
    progress: Progress,
) -> _Answers:
    """Ask up to `slots` slots in order until the evidence suffices, or the suspect or the release fails."""
    answers = _Answers()
    try:
        check_version(release)
        for slot in range(slots):
            result = _ask_slot(release, suspect, plan, keyring, slot, progress)
            answers.asked += len(result.outputs) * (1 if result.twins is None else 2)
            answers.slots.append(result)
            if answers.running[-1] >= threshold:
                break
    except TracemarkError as error:  # one release's trouble must not end the tests of the others
        answers.trouble = error.what
    return answers


def check_version(release: Release) -> None:
    """Refuse a release whose family has changed since.

    Raises:
        InputError: naming the versions.
    """
    if slot_family(release, 0).version != release.plan.family_version:
        raise InputError(
            f"release {release.id} was committed to version {release.plan.family_version} of {release.plan.family}",
            "Use the program version that embedded it.",
        )


def _pictures(
    release: Release, suspect: Suspect, plan: QueryPlan, keyring: Keyring, slot: int, progress: Progress
) -> NDArray[np.uint8]:
    """A slot's outputs and then their twins, from the cache where they are there already."""
    queries = slot_queries(release, slot, plan.queries)
    ready = 0

    def told(count: int) -> None:
        nonlocal ready
        ready += count
        progress(f"{suspect.name}: slot {slot + 1} of {release.plan.slots}", ready, len(queries))

    return cached_outputs(suspect, queries, plan.sampler, keyring.folder("cache"), told)


def _ask_slot(
    release: Release, suspect: Suspect, plan: QueryPlan, keyring: Keyring, slot: int, progress: Progress
) -> SlotResult:
    pictures = _pictures(release, suspect, plan, keyring, slot, progress)
    hashes = pixel_hashes(pictures)
    outputs, twins = pictures[: plan.queries], pictures[plan.queries :] if len(pictures) > plan.queries else None
    planted = np.array([release.planted_id(slot)], dtype=np.uint64)
    scores = slot_family(release, slot).score(outputs, twins, np.concatenate([planted, release.decoy_ids(slot)]))
    return SlotResult(
        slot=slot,
        trigger=release.slots[slot].trigger,
        planted_score=float(scores[0]),
        decoy_scores=scores[1:],
        evidence=slot_evidence(float(scores[0]), scores[1:]),
        output_sha256=hashes,
        outputs=outputs,
        twins=twins,
        blank=int(np.count_nonzero(np.ptp(pictures.reshape(len(pictures), -1), axis=1) == 0)),
    )


def _judge(release: Release, answers: _Answers, threshold: float, control_e: float | None) -> tuple[Outcome, str]:
    running = answers.running
    if control_e is not None and control_e >= threshold:
        return "inconclusive", "unlucky key: the control, which cannot have seen the release, shows it too"
    if answers.trouble:
        return "inconclusive", answers.trouble
    if len(running) and running.max() >= threshold:
        return "evidence", ""
    blank = sum(slot.blank for slot in answers.slots)
    if blank:
        return "inconclusive", f"{blank} outputs are all black or of one colour; does the suspect run a safety checker?"
    if not reachable(release.plan.decoys, release.plan.slots, threshold, slot_family(release, 0).distinct):
        return "inconclusive", f"evidence of {threshold:g} is out of reach of this release's slots and decoys"
    if len(running) and running.max() >= 1 / release.plan.alpha:
        return "no evidence", "enough for one plan and one release, but further ones were tested and share the level"
    return "no evidence", ""


def flags(release: Release, further_plans: int, control: Suspect | None) -> tuple[str, ...]:
    """What a reader of a verdict must know."""
    found = ["no-public-coin"]
    if release.rehearsal:
        found.append("throw-away-key")
    if further_plans:
        found.append(f"further-plan-{further_plans}")
    if control is not None:
        found.append("control")
    return tuple(found)


def versions() -> dict[str, str]:
    """Versions of this program and of the libraries that outputs depend on."""
    return {"tracemark": __version__, **{name: importlib.metadata.version(name) for name in _PACKAGES}}


def detect_all(
    releases: Sequence[Release],
    suspect: Suspect,
    keyring: Keyring,
    *,
    control: Suspect | None = None,
    departures: Departures = Departures(),
    progress: Progress = lambda *_: None,
) -> list[Verdict]:
    """Test every release, each at its share of the level (Bonferroni: E must reach R/alpha)."""
    return [
        detect(
            release,
            suspect,
            keyring,
            releases=releases,
            control=control,
            departures=departures,
            progress=progress,
        )
        for release in releases
    ]
