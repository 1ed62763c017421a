"""The whole passive test: draw, train shadow and references, ask the suspect, say both verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect.provenance.panel import ASSUMPTION, PanelVerdict, check_references, contrast, panel, trouble
from detect.provenance.sets import SHADOW_PROMPT, VALIDATION_PROMPT, LabelledSet, drawn, prompts, read_set
from detect.provenance.training import Recipe, train_classifier
from detect.provenance.trainprove import BATCH, FLAWS, PaperVerdict, Variant, trainprove
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.suspects.images import Sampler, Suspect
from detect.trial.judge import versions
from protect.embed.write import Progress
from protect.errors import EvidenceError, InputError
from protect.release.plan import check_range
from protect.release.record import Keyring

_TRAIN_SEED, _TEST_SEED = 0, 2**30
"""First seeds of the pictures to train on, and of those to ask about: no picture is in both."""
REFERENCE_ARCHITECTURES = ("resnet-mini", "convnext-mini", "vit-mini")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner decides; the numbers of pictures are those of the paper's CIFAR-10 experiment."""

    train_per_class: int = 300
    test_per_class: int = 500
    shadow_prompt: str = SHADOW_PROMPT
    test_prompt: str = VALIDATION_PROMPT
    sampler: Sampler = field(default_factory=Sampler)
    shadow: Recipe = field(default_factory=Recipe)
    references: int = 19
    variant: Variant = "accuracy"
    batch: int = BATCH
    alpha: float = 0.05

    def check(self, controls: int, classes: int) -> None:
        """Refuse values that make no sense, and controls or references that cannot give a verdict.

        Raises:
            InputError: naming the value and the allowed range.
        """
        check_range("--train-per-class", self.train_per_class, 2, 100_000)
        check_range("--test-per-class", self.test_per_class, 2, 100_000)
        check_range("--references", self.references, 1, 10_000)
        check_range("--alpha", self.alpha, 1e-4, 0.5)
        check_range("--batch", self.batch, 2, 10_000)
        for template in (self.shadow_prompt, self.test_prompt):
            prompts(template, ["x"], 1, 0)
        self.shadow.check()
        if controls < 2:
            raise InputError(
                f"{controls} control(s)", "Give two or more --control: other generators, or class folders of pictures."
            )
        check_references(self.references, self.alpha)
        if self.test_per_class * classes < 3 * self.batch:
            raise InputError(
                f"{self.test_per_class * classes} pictures make fewer than three batches of {self.batch}",
                "Use more --test-per-class, or a smaller --batch (which widens the paper's margin).",
            )

    def cost(self, controls: int, classes: int) -> dict[str, int]:
        """Pictures to draw at most, and classifiers to train."""
        each = (self.train_per_class + self.test_per_class) * classes
        return {"pictures": each * (1 + controls), "classifiers": 1 + self.references}


@dataclass(frozen=True, slots=True)
class Source:
    """Something that pictures come from: a generator, or class folders."""

    name: str
    generator: Suspect | None = None
    folder: Path | None = None

    def train_set(
        self, classes: Sequence[str], settings: Settings, cache: Path, side: int | None, progress: Progress
    ) -> LabelledSet:
        """Pictures to train on; folders give their first ones."""
        if self.generator is not None:
            return self._drawn(
                self.generator,
                settings.shadow_prompt,
                settings.train_per_class,
                _TRAIN_SEED,
                classes,
                settings,
                cache,
                progress,
            )
        return self._read(classes, settings, side).part(0, settings.train_per_class * len(classes))

    def test_set(
        self, classes: Sequence[str], settings: Settings, cache: Path, side: int | None, progress: Progress
    ) -> LabelledSet:
        """Other pictures, to ask about; folders give those that follow."""
        if self.generator is not None:
            return self._drawn(
                self.generator,
                settings.test_prompt,
                settings.test_per_class,
                _TEST_SEED,
                classes,
                settings,
                cache,
                progress,
            )
        both = self._read(classes, settings, side)
        return both.part(settings.train_per_class * len(classes), len(both.truth))

    def _drawn(
        self,
        generator: Suspect,
        template: str,
        count: int,
        seed: int,
        classes: Sequence[str],
        settings: Settings,
        cache: Path,
        progress: Progress,
    ) -> LabelledSet:
        found = drawn(
            generator, template, classes, count, seed=seed, sampler=settings.sampler, cache=cache, progress=progress
        )
        return replace(found, name=self.name)

    def _read(self, classes: Sequence[str], settings: Settings, side: int | None) -> LabelledSet:
        assert self.folder is not None
        count = settings.train_per_class + settings.test_per_class
        return read_set(self.folder, classes, count, side or settings.shadow.side)


@dataclass(frozen=True, slots=True)
class Materials:
    """Everything that does not depend on the suspect."""

    classes: tuple[str, ...]
    own: LabelledSet
    """Pictures of the owner's generator to ask about."""
    controls: tuple[LabelledSet, ...]
    shadow: Answers
    references: tuple[float, ...]
    settings: Settings = field(repr=False)

    def everything(self) -> LabelledSet:
        """All pictures that a suspect is asked about, the owner's first."""
        sets = (self.own, *self.controls)
        return LabelledSet("all", np.concatenate([s.pictures for s in sets]), np.concatenate([s.truth for s in sets]))


@dataclass(frozen=True, slots=True)
class ProvenanceVerdict:
    """Both statements about one suspect."""

    suspect: str
    identity: dict[str, str]
    trouble: str
    """What could not be said, and why; empty otherwise."""
    paper: PaperVerdict | None
    panel: PanelVerdict | None
    alpha: float

    @property
    def outcome(self) -> str:
        """Ours: `panel evidence`, `no evidence` or `inconclusive`."""
        if self.panel is None:
            return "inconclusive"
        return "panel evidence" if self.panel.accused(self.alpha) else "no evidence"

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "verdict": self.outcome,
            "reason": self.trouble,
            "alpha": self.alpha,
            "assumption": ASSUMPTION,
            "panel_p": None if self.panel is None else self.panel.panel_p,
            "contrast": None if self.panel is None else self.panel.contrast,
            "accuracy": None if self.panel is None else self.panel.accuracy,
            "control_accuracy": None if self.panel is None else list(self.panel.control_accuracy),
            "reference_contrasts": None if self.panel is None else list(self.panel.references),
            "trainprove": None
            if self.paper is None
            else {
                **asdict(self.paper),
                "verdict": "guilty" if self.paper.accused else "innocent",
                "flaws": list(FLAWS),
            },
            "suspect": {"name": self.suspect, **self.identity},
            "versions": versions(),
        }


def prepare(
    generator: Source,
    controls: Sequence[Source],
    classes: tuple[str, ...],
    settings: Settings,
    keyring: Keyring,
    *,
    device: str = "cpu",
    progress: Progress = lambda *_: None,
) -> Materials:
    """Draw pictures and train the shadow and the references; all cached, so a killed run resumes.

    A reference learns from one control; its contrast leaves this control out, as a suspect's own source is unknown.

    Args:
        generator: the owner's.
        controls: two or more others.
        classes: names.
        settings: the owner's decisions.
        keyring: holds the caches.
        device: where to train.
        progress: told (stage, done, total).

    Raises:
        InputError: on bad settings or sets.
        SuspectError: if a generator draws nothing usable.
    """
    settings.check(len(controls), len(classes))
    cache, trained = keyring.folder("cache"), keyring.folder("classifiers")
    for control in controls:  # what can be refused at once must not wait for hours of drawing
        if control.folder is not None:
            control.test_set(classes, settings, cache, settings.shadow.side, progress)
    own_test = generator.test_set(classes, settings, cache, None, progress)
    own_train = generator.train_set(classes, settings, cache, None, progress)
    side = own_test.pictures.shape[1]
    sets = [
        (c.train_set(classes, settings, cache, side, progress), c.test_set(classes, settings, cache, side, progress))
        for c in controls
    ]
    shadow = train_classifier(own_train, classes, settings.shadow, trained, device=device, progress=progress)
    contrasts = []
    for r in range(settings.references):
        place = r % len(sets)
        recipe = replace(
            settings.shadow,
            architecture=REFERENCE_ARCHITECTURES[r // len(sets) % len(REFERENCE_ARCHITECTURES)],
            seed=r + 1,
        )
        progress("references", r, settings.references)
        reference = train_classifier(sets[place][0], classes, recipe, trained, device=device)
        others = [test for i, (_, test) in enumerate(sets) if i != place]
        contrasts.append(contrast(_right(reference, own_test), [_right(reference, test) for test in others]))
    progress("references", settings.references, settings.references)
    tests = tuple(test for _, test in sets)
    return Materials(classes, own_test, tests, shadow.answer(own_test.pictures), tuple(contrasts), settings)


def _right(classifier: Classifier, pictures: LabelledSet) -> NDArray[np.bool_]:
    return np.asarray(classifier.answer(pictures.pictures).labels == pictures.truth)


def judge(materials: Materials, suspect: Classifier) -> ProvenanceVerdict:
    """Both verdicts on a suspect, from one round of questions.

    Args:
        materials: from `prepare`.
        suspect: answers in the order of `materials.classes`.

    Raises:
        SuspectError: if it does not answer.
        InputError: if the variant needs scores that it does not give.
    """
    settings, asked = materials.settings, materials.everything()
    said = suspect.answer(asked.pictures)
    reason = trouble(said, asked.truth, len(materials.classes))
    if reason:
        return ProvenanceVerdict(suspect.name, dict(suspect.identity), reason, None, None, settings.alpha)
    right = said.labels == asked.truth
    cuts = np.cumsum([len(materials.own.truth), *(len(c.truth) for c in materials.controls)])
    own, *controls = np.split(right, cuts[:-1])
    count = len(materials.own.truth)
    first = Answers(said.labels[:count], None if said.scores is None else said.scores[:count])
    ours = panel(own, controls, materials.references, settings.alpha)
    paper, missing = None, ""
    try:
        paper = trainprove(materials.shadow, first, materials.own.truth, variant=settings.variant, batch=settings.batch)
    except (EvidenceError, InputError) as error:  # a shadow without spread, a suspect without scores
        missing = error.what
    return ProvenanceVerdict(suspect.name, dict(suspect.identity), missing, paper, ours, settings.alpha)
