"""The trial of a text-to-image model: prompts with seeds, answered by pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detect.suspects.images.suspect import Answer, Query, Suspect
from detect.trial.answers import cache_paths, cached_answers, digest, kept_answers
from detect.trial.ledger import setting_of, subject_of
from detect.trial.questions import QueryPlan, all_queries, count_truncated, query_plan, slot_queries
from detect.trial.transcript import Exchange, Question, Transcript, recorded_picture
from detect.trial.trial import Trial
from protect.marks.family import Pixels
from protect.progress import Progress
from protect.release.bound import BoundRelease


@dataclass(frozen=True)
class PictureTrial(Trial[Suspect]):
    """One release, and how a text-to-image model is asked about it."""

    bound: BoundRelease
    queries: QueryPlan
    reference: Suspect | None = None

    @property
    def departs(self) -> bool:
        """Whether the plan leaves what was committed to."""
        return self.queries != query_plan(self.bound.release)

    @property
    def asked(self) -> list[Query]:
        """All questions, slot after slot."""
        return all_queries(self.bound, self.queries.queries)

    @property
    def plan(self) -> Mapping[str, Any]:
        """Questions per slot and sampler."""
        return self.queries.as_dict()

    def name(self, suspect: Suspect) -> str:
        """Name of the plan (see `Trial.name`)."""
        setting = setting_of(suspect)
        if self.reference is not None:
            setting = setting | {"reference": digest(self.reference.identity)}
        return self.queries.digest(self.bound.release, setting)

    def opened(self, suspect: Suspect) -> Transcript:
        """A transcript without any question, nor any to the reference."""
        reference = self._empty(self.reference) if self.reference is not None else None
        return replace(self._empty(suspect), reference=reference)

    def _empty(self, suspect: Suspect) -> Transcript:
        return Transcript(self.bound.release.id, "pictures", suspect.name, dict(suspect.identity), self.plan)

    def ask(self, suspect: Suspect, transcript: Transcript, slot: int, cache: Path, progress: Progress) -> Transcript:
        """Put a slot's questions to the suspect, and to the reference where the family uses it (see `Trial.ask`)."""
        truncated = count_truncated(self.bound.slots[slot], self.queries.queries, suspect)
        found = self._with_answers(suspect, transcript, slot, cache, progress, truncated)
        if self._compares(slot) and self.reference is not None and transcript.reference is not None:
            compared = self._with_answers(self.reference, transcript.reference, slot, cache, progress, None)
            found = replace(found, reference=compared)
        return found

    def kept(self, suspect: Suspect, transcript: Transcript, slot: int, cache: Path) -> bool:
        """Whether all answers are in the cache or in the transcript (see `Trial.kept`)."""
        asked: list[tuple[Suspect, Transcript | None]] = [(suspect, transcript)]
        if self._compares(slot) and self.reference is not None:
            asked.append((self.reference, transcript.reference))
        queries, sampler = slot_queries(self.bound.slots[slot], self.queries.queries), self.queries.sampler
        return all(
            (held is not None and held_exchanges(held, queries) is not None)
            or kept_answers(model, queries, sampler, cache) is not None
            for model, held in asked
        )

    def any_answer(self, suspect: Suspect, cache: Path) -> bool:
        """Whether the suspect ever answered a question of this plan."""
        paths = cache_paths(suspect, self.asked, self.queries.sampler, cache)
        return any(path.exists() or path.with_suffix(".json").exists() for path in paths)

    def for_control(self, control: Suspect) -> PictureTrial:
        """Without the reference if it is the control: taken off itself, nothing would be left to see."""
        same = self.reference is not None and subject_of(self.reference) == subject_of(control)
        return replace(self, reference=None) if same else self

    def _compares(self, slot: int) -> bool:
        return self.bound.slots[slot].family.uses_reference

    def _with_answers(
        self,
        model: Suspect,
        transcript: Transcript,
        slot: int,
        cache: Path,
        progress: Progress,
        truncated: int | None,
    ) -> Transcript:
        """A model's transcript with its answers to a slot's questions, first those with the trigger."""
        own = self.bound.slots[slot]
        queries = slot_queries(own, self.queries.queries)
        asked = len(own.questions.prompts[: self.queries.queries])
        exchanges, pictures = held_exchanges(transcript, queries), dict[str, Pixels]()
        if exchanges is None:
            slots = len(self.bound.slots)
            serve_all = bool(self.bound.slots[slot].questions.design) and slots > 1
            about = "questions for several slots" if serve_all else f"slot {slot + 1} of {slots}"
            stage = f"{model.name}, release {self.bound.release.name}: {about}"
            ready = 0

            def count(more: int) -> None:
                nonlocal ready
                ready += more
                progress(stage, ready, len(queries))

            answers = cached_answers(model, queries, self.queries.sampler, cache, count)
            exchanges, pictures = recorded(queries, answers)
        return transcript.with_slot(slot, exchanges[:asked], exchanges[asked:], pictures, truncated)


def recorded(queries: Sequence[Query], answers: Sequence[Answer]) -> tuple[list[Exchange], dict[str, Pixels]]:
    """Questions with their answers, and the pictures among these by hash."""
    exchanges, pictures = list[Exchange](), dict[str, Pixels]()
    for query, answer in zip(queries, answers, strict=True):
        recorded = recorded_picture(answer)
        exchanges.append((Question(query.prompt, query.seed), recorded))
        if answer.picture is not None:
            pictures[recorded.sha256] = answer.picture
    return exchanges, pictures


def held_exchanges(transcript: Transcript, queries: Sequence[Query]) -> list[Exchange] | None:
    """The transcript's own answers, where it has all of them with their pictures: one set may serve several slots."""
    questions = [Question(query.prompt, query.seed) for query in queries]
    answers = [transcript.answered.get(question) for question in questions]
    found = [answer for answer in answers if answer and (not answer.size or answer.sha256 in transcript.pictures)]
    return list(zip(questions, found, strict=True)) if len(found) == len(questions) else None
