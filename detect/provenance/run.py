"""The whole passive test: draw, train shadow and references, ask the suspect, say both verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect.provenance.panel import ASSUMPTION, PanelVerdict, contrasts_without, panel, trouble
from detect.provenance.sets import LabelledSet
from detect.provenance.settings import Settings
from detect.provenance.source import Source
from detect.provenance.training import train_classifier
from detect.provenance.trainprove import FLAWS, PaperVerdict, trainprove
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.judge import versions
from protect.errors import EvidenceError, InputError
from protect.formats.record import SetAside
from protect.progress import Progress, no_progress

REFERENCE_ARCHITECTURES = ("resnet-mini", "convnext-mini", "vit-mini")


@dataclass(frozen=True, slots=True)
class Materials:
    """Everything that does not depend on the suspect."""

    classes: tuple[str, ...]
    own: LabelledSet
    """Pictures of the owner's generator to ask about."""
    controls: tuple[LabelledSet, ...]
    shadow: Answers
    references: tuple[tuple[float, ...], ...]
    """Contrasts, by the control that a reference learned from, which is left out."""
    settings: Settings = field(repr=False)

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Samples of class folders whose pictures cannot be read."""
        return tuple(one for pictures in self.controls for one in pictures.set_aside)

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

    def in_words(self) -> list[str]:
        """Both statements, one a line."""
        if self.panel is None:
            return [f"inconclusive: {self.trouble}"]
        paper, ours = self.paper, self.panel
        return [
            f"TrainProVe's rule: cannot be applied ({self.trouble})"
            if paper is None
            else f"TrainProVe's rule: {'guilty' if paper.accused else 'innocent'} "
            f"(G = {paper.statistic:.2f}, critical {paper.critical:.2f}; not rejecting is its word for guilty)",
            f"panel: {self.outcome}: panel_p = {ours.panel_p:.3g}, alpha {self.alpha:g} "
            f"(contrast {ours.contrasts[ours.group]:+.3f} among {len(ours.references[ours.group])} references of the "
            "group that it is likest to; not exact)",
            ASSUMPTION,
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "verdict": self.outcome,
            "reason": self.trouble,
            "alpha": self.alpha,
            "assumption": ASSUMPTION,
            "panel_p": None if self.panel is None else self.panel.panel_p,
            "contrasts": None if self.panel is None else list(self.panel.contrasts),
            "group_p": None if self.panel is None else list(self.panel.p_values),
            "accuracy": None if self.panel is None else self.panel.accuracy,
            "control_accuracy": None if self.panel is None else list(self.panel.control_accuracy),
            "reference_contrasts": None if self.panel is None else [list(group) for group in self.panel.references],
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
    cache: Path,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Materials:
    """Draw pictures and train the shadow and the references; all cached, so a killed run resumes.

    Each control has references that learned from it; their contrasts leave this control out, and so does the suspect's
    beside them.

    Args:
        generator: the owner's.
        controls: two or more others.
        classes: names.
        settings: the owner's decisions.
        cache: folder for drawn pictures and trained classifiers.
        device: where to train.
        progress: called with (stage, done, total).

    Raises:
        InputError: on bad settings or sets.
        SuspectError: if a generator draws nothing usable.
    """
    settings.check(len(controls), len(classes))
    trained = cache / "classifiers"
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
    tests, groups = tuple(test for _, test in sets), list[tuple[float, ...]]()
    total = settings.references * len(sets)
    for place, (lesson, _) in enumerate(sets):
        group = []
        for r in range(settings.references):
            progress("references", place * settings.references + r, total)
            architecture = REFERENCE_ARCHITECTURES[r % len(REFERENCE_ARCHITECTURES)]
            recipe = replace(settings.shadow, architecture=architecture, seed=r * len(sets) + place + 1)
            reference = train_classifier(lesson, classes, recipe, trained, device=device)
            right = [_right(reference, test) for test in tests]
            group.append(contrasts_without(_right(reference, own_test), right)[place])
        groups.append(tuple(group))
    progress("references", total, total)
    return Materials(classes, own_test, tests, shadow.answer(own_test.pictures), tuple(groups), settings)


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
