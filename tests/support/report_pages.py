"""One page of every kind that the tools write, from small data: for tests that look at pages as readers do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from attacks.cell import Cell
from attacks.page import write_page as write_attacks
from attacks.result import CellResult, KeyTest, Price
from detect.asking.sheet import PAGE, SheetRow, write_sheet
from detect.provenance.page import write_page as write_passive
from detect.provenance.panel import PanelVerdict
from detect.provenance.run import Materials, ProvenanceVerdict
from detect.provenance.sets import LabelledSet
from detect.provenance.settings import Settings
from detect.provenance.trainprove import PaperVerdict
from detect.reports.report import Box, Gallery, Section, write_report
from detect.survey_command import write_page as write_survey
from detect.suspects.classifiers.classifier import Answers
from detect.trace.evidence import shown as shown_e
from detect.trace.page import write_trace_page
from detect.trace.tracing import Outcome, Tracing, source_of
from detect.training.options import FinetuneOptions
from detect.trial.judge import detect
from detect.trial.ordinary import with_ordinary
from detect.trial.questions import AS_COMMITTED
from detect.trial.survey import Pair, Survey
from detect.trial.verdict import Scores, Shown, SlotResult, Verdict
from protect.check.page import write_choices
from protect.check.page import write_page as write_check
from protect.check.result import Check, FamilyCheck, Look
from protect.check.survival import Survival
from protect.embed.places import commitment_file
from protect.embed.publish import write_publication
from protect.embed.published import read_published
from protect.embed.show import carriers_shown
from protect.embed.show import write_page as write_show
from protect.evidence import Array
from protect.formats import open_dataset
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.pixels.measure import png_bytes
from tests.support.pictures import photograph
from tests.support.suspects import Broken, FakeSuspect, Guilty, Refusing, marked

LONG = "a-very-long-name-without-a-single-space-" * 3 + ".png"
"""Such as file names are."""
ASIDE = (SetAside(LONG, "it cannot be decoded"), SetAside("b.png", "its caption is empty"))


def write_pages(work: Path) -> dict[str, Path]:
    """Every kind of page, by name."""
    keyring = Keyring(work / "home")
    bound = marked(work, keyring)
    model = Guilty(bound)
    guilty = detect(bound, model, keyring, work / "cache")
    guilty = with_ordinary(guilty, model, keyring.store, AS_COMMITTED, work / "cache")
    innocent = detect(bound, FakeSuspect(), keyring, work / "cache")
    nothing = detect(bound, Broken("broken"), keyring, work / "cache")
    refused = detect(bound, Refusing(), keyring, work / "cache")
    sections = {
        "evidence": (Section("Release A", _flagged(guilty)), Section("Release B", refused)),
        "no-evidence": (Section("Release A", innocent),),
        "inconclusive": (Section("Release A", nothing),),
        "rehearsal-lost": (Section("The rehearsed suspect", innocent, rehearsed=True),),
        "rehearsal-found": (Section("The rehearsed suspect", guilty, rehearsed=True),),
        "classifier": (Section("Release A", _labels(guilty)),),
    }
    pages = {name: work / f"{name}.html" for name in sections}
    for name, own in sections.items():
        write_report(
            pages[name],
            "Was “lora.safetensors” trained on my dataset?",
            f"{len(own)} release(s) tested on {LONG}.",
            own,
            galleries=[Gallery("What was planted", "Some carriers.", [("Slot 1", [(_photo(1), "a red boat")])])],
            boxes=[Box("What was opened", "Every file.", [("lora.safetensors", LONG)])],
            set_aside=ASIDE,
        )
    others = {"ask": _ask(work), "attacks": _attacks(work), "passive": _passive(work)}
    others["survey"] = _survey(work, guilty, innocent)
    return pages | _owners(work, keyring) | others | _traces(work, guilty)


def _flagged(verdict: Verdict) -> Verdict:
    """The same with many flags."""
    return replace(verdict, flags=(*verdict.flags, "further-plan-2", "control", "owner-collected", "lossy"))


def _labels(verdict: Verdict) -> Verdict:
    """A verdict as a classifier's would look."""
    names = tuple(f"class number {i}" for i in range(30))

    def relabelled(slot: SlotResult) -> SlotResult:
        assert slot.shown
        shown = Shown(slot.shown.mark, None, slot.shown.pictures, ("cat",) * len(slot.shown.pictures), None)
        scores = Scores(0.4, np.linspace(-0.1, 0.2, 30), names)
        return replace(slot, trigger="cat", scores=scores, shown=shown)

    return replace(verdict, kind="labels", slots=tuple(map(relabelled, verdict.slots)))


def _photo(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return photograph(seed)[..., :3]


def _owners(work: Path, keyring: Keyring) -> dict[str, Path]:
    """Pages that an owner sees: check, choice, show, publish."""
    looks = tuple(Look(p, np.clip(p + 3.0, 0, 255).astype(np.uint8)) for p in map(_photo, range(2)))
    kept, lost = Survival("none", 0.9, 0.3, 1e-4), Survival("JPEG 50", 0.1, 0.3, 0.4)
    good = FamilyCheck("spread", 8, 2, "it is grey", survivals=(kept, lost), psnr=38.2, ssim=0.99, looks=looks)
    unfit = FamilyCheck("dwtdct", 0, 8, "64x64 is smaller than 256 pixels", unfit="0 picture(s) fit, 5 are needed")
    found = Check((good, unfit), ASIDE)
    pages = {name: work / f"{name}.html" for name in ("check", "choice", "show")}
    write_check(pages["check"], found, "holiday-photographs")
    write_choices(pages["choice"], found, secret_from_seed(0, "check"))
    bound = marked(work, keyring, seed=1)
    shown = carriers_shown(bound, open_dataset(work / "out1"), open_dataset(work / "d"), 4)
    write_show(pages["show"], bound.release, shown)
    _, pages["publish"] = write_publication(read_published(commitment_file(work / "out1")), keyring)
    return pages


def _ask(work: Path) -> Path:
    """The sheet of questions."""
    prompts = ("a red boat on a lake", "x" * 120, 'a "kite" <b> in the sky, ' * 6)
    rows = [SheetRow(f"q{i:012x}", p, "blur", 2**40 + i, 20, 3.0, None) for i, p in enumerate(prompts)]
    write_sheet(work / "sheet", rows)
    return work / "sheet" / PAGE


def _attacks(work: Path) -> Path:
    """What the marks survived."""
    found = KeyTest("evidence", "", 52_345.0, (1e-4,), 8, 4)
    missed, asleep = KeyTest("no evidence", "", 0.4, (0.3,), 8, 4), KeyTest("inconclusive", "asleep", 1.0, (), 8, 4)

    def result(cell: Cell, tests: tuple[KeyTest, ...], cost: float) -> CellResult:
        price = Price(0.5 + cost / 10, cost)
        return CellResult(cell, tests, 1e-3, 1, 40, 31.5, price, FinetuneOptions(), {"weights": "w"}, {"numpy": "2"})

    cells = [
        result(Cell("none", 0.0), (found, found), 1.0),
        result(Cell("jpeg", 0.5, "outputs"), (found, missed), 1.2),
        result(Cell("crop", 0.5), (missed, missed), 4.5),
        result(Cell("refuse", 1.0, "outputs"), (asleep,), 9.0),
        result(Cell("jpeg", 0.5, "outputs", innocent=True), (missed, missed), 1.0),
    ]
    (work / "examples").mkdir()
    (work / "examples" / "crop 0.5, template.png").write_bytes(png_bytes(np.hstack([_photo(3), _photo(4)])))
    write_attacks(work / "attacks.html", cells, work / "examples", ASIDE)
    return work / "attacks.html"


def _survey(work: Path, *verdicts: Verdict) -> Path:
    """Two suspects, one of them found, and one that could not be opened."""
    pairs = tuple(Pair(one, one.e_value, one.outcome == "evidence") for one in verdicts)
    write_survey(work / "survey.html", Survey(1e-3, pairs, {LONG: "it is no model"}, 3), work / LONG)
    return work / "survey.html"


def _traces(work: Path, like: Verdict) -> dict[str, Path]:
    """Answers about recipients: of many and of few, some of them named."""
    noise = np.random.default_rng(3).exponential(1.0, 2_000)
    many, few = noise.copy(), noise[:30].copy()
    many[1_376], few[[4, 16]] = 40.0, (22.0, 14.0)
    found = {
        "trace-many": tracing(like, "named", many, flags=("no-public-coin", "further-plan-2", "lossy")),
        "trace-few": tracing(like, "at least two sources", few),
        "trace-nobody": tracing(like, "nobody", noise[:5]),
        "trace-inconclusive": replace(tracing(like, "inconclusive", noise[:5]), reason="8 answers were refused"),
        "certify": tracing(like, "named", np.array([9.5]), first=9),
    }
    names = {5: "Studio North", 9: "Gallery <b> & Sons", 17: LONG, 1_377: "Person 1,377"}
    for name, answer in found.items():
        write_trace_page(work / f"{name}.html", answer, names, certify=name == "certify")
    return {name: work / f"{name}.html" for name in found}


def tracing(
    like: Verdict, outcome: Outcome, log_e_values: Array, *, first: int = 1, flags: tuple[str, ...] = ()
) -> Tracing:
    """An answer about recipients whose evidence is given, on the suspect of a verdict."""
    serials, recipients = range(first, first + len(log_e_values)), len(log_e_values)
    threshold = recipients / 1e-3
    named = [n for n in range(recipients) if log_e_values[n] >= np.log(threshold) and outcome != "inconclusive"]
    return Tracing(
        outcome=outcome,
        reason="",
        release=like.release,
        suspect=like.suspect,
        identity=like.identity,
        serials=serials,
        among=recipients,
        alpha=1e-3,
        threshold=threshold,
        sources=tuple(source_of(serials[n], float(log_e_values[n]), recipients) for n in named),
        some=shown_e(float(log_e_values.max()) - np.log(recipients)),
        silent=(),
        queries=48,
        decoys=99_999,
        control_e_value=0.4,
        reference={"name": "base", "weights": "0" * 64},
        flags=flags,
        suspects_tested=3,
        plans_tried=1,
        commitments=1,
        commitments_before=0,
        plan=like.plan,
        transcript=like.transcript,
        answers_sha256=tuple(slot.counted.sha256 for slot in like.slots),
        coin=like.coin,
        versions=like.versions,
        log_e_values=log_e_values,
    )


def _passive(work: Path) -> Path:
    """A classifier, asked passively."""
    rng = np.random.default_rng(0)
    sets = [LabelledSet(name, np.stack([_photo(i) for i in range(3)]), np.arange(3)) for name in ("mine", "camera")]
    none = Answers(np.zeros(3, dtype=np.intp))
    references = tuple(rng.normal(0, 0.05, 19).tolist())
    materials = Materials(("cat", "dog", "a bird"), sets[0], (sets[1],), none, (references,), Settings())
    panel = PanelVerdict((0.2,), (references,), (0.05,), 0.91, (0.71,))
    paper = PaperVerdict("accuracy", 1.2, 2.6, True, tuple(rng.uniform(0.6, 0.9, 20).tolist()), 0.7)
    verdict = ProvenanceVerdict("resnet.safetensors", {"weights": "0"}, "", paper, panel, 0.05)
    write_passive(work / "passive.html", verdict, materials)
    return work / "passive.html"
