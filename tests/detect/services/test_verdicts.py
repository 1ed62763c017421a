"""Verdicts on black boxes: behind a service, or asked by somebody else, a suspect is what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cli
from detect.asking.sheet import sheet_rows
from detect.suspects.images.suspect import Query, Sampler
from detect.trial import probe
from detect.trial.judge import detect
from detect.trial.questions import query_plan
from detect.trial.verdict import Verdict
from protect.keys.keyring import Keyring
from protect.release.bound import BoundRelease
from tests.support.services import Draw, Handler, Loopback, encoded, hang_up, reach, serving, status
from tests.support.suspects import FakeSuspect, Guilty, marked

KINDS = ("openai", "a1111", "comfyui")
PROBE = len(probe.QUERIES)
"""Pictures that a suspect with seeds is asked for before the test, to know it again."""


def drawn_by(suspect: FakeSuspect) -> Draw:
    """What a service draws that has this suspect behind it."""

    def draw(query: Query, sampler: Sampler) -> np.ndarray:
        suspect.asked += 1
        return suspect.paint(query)

    return draw


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("black-boxes")


@pytest.fixture(scope="module")
def bound(work: Path) -> BoundRelease:
    """Painted marks in three slots; evidence is within reach of one."""
    return marked(work, Keyring(work / "home"), family="template", decoys=9999)


@pytest.fixture
def judged(bound: BoundRelease, work: Path, tmp_path: Path) -> Callable[..., Verdict]:
    """Tests a suspect on a keyring where nothing was tested before."""

    def judge(suspect: object, own: str = "") -> Verdict:
        home = tmp_path / f"home{own}"
        if not home.exists():
            import shutil

            shutil.copytree(work / "home", home)
        return detect(bound, suspect, Keyring(home), tmp_path / "cache")  # type: ignore[arg-type]

    return judge


@pytest.mark.parametrize(
    ("kind", "form", "options"),
    [
        ("a1111", "PNG", {}),
        ("comfyui", "PNG", {}),
        ("comfyui", "WEBP", {"lossless": True}),
        ("a1111", "JPEG", {"quality": 85}),
        ("openai", "PNG", {}),
        ("openai", "JPEG", {"quality": 85}),
    ],
)
def test_guilt_shows_through_a_service(
    bound: BoundRelease, judged: Callable[..., Verdict], kind: str, form: str, options: dict[str, object]
) -> None:
    here = judged(Guilty(bound), "here")
    with serving(Loopback(drawn_by(Guilty(bound)), form, options)) as service:
        there = judged(reach(service, kind))
    assert here.outcome == there.outcome == "evidence" and len(there.slots) == len(here.slots) == 1
    if kind != "openai" and form != "JPEG":
        assert there.e_value == here.e_value, "the same questions and seeds, the same pixels"
    assert there.e_value == pytest.approx(here.e_value, rel=0.2), "up to the noise of other seeds, and compression"


@pytest.mark.parametrize("kind", KINDS)
def test_innocence_shows_through_a_service(bound: BoundRelease, judged: Callable[..., Verdict], kind: str) -> None:
    with serving(Loopback(drawn_by(FakeSuspect()), "JPEG", {"quality": 85})) as service:
        verdict = judged(reach(service, kind))
    assert verdict.outcome == "no evidence" and len(verdict.slots) == 3 and verdict.e_value < 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_does_not_pay_twice(bound: BoundRelease, judged: Callable[..., Verdict], kind: str) -> None:
    painter = FakeSuspect()

    def stop(query: Query, sampler: Sampler) -> np.ndarray:
        return drawn_by(painter)(query, sampler)

    with serving(Loopback(stop)) as service:
        suspect = reach(service, kind)
        ask, count = suspect.ask, 0

        def dies(query: Query, sampler: Sampler) -> object:
            nonlocal count
            count += 1
            if count > 6:
                raise KeyboardInterrupt
            return ask(query, sampler)

        suspect.ask = dies  # type: ignore[method-assign, assignment]
        with pytest.raises(KeyboardInterrupt):
            judged(suspect)
        assert painter.asked == 6
        whole = judged(reach(service, kind))
        paid = 12 + PROBE * reach(service, kind).repeatable
        assert painter.asked == paid and whole.queries == 12 and whole.outcome == "no evidence"
        assert judged(reach(service, kind)).e_value == whole.e_value and painter.asked == paid


def test_a_service_that_breaks_down_is_inconclusive_and_resumed(
    bound: BoundRelease, judged: Callable[..., Verdict]
) -> None:
    painter = FakeSuspect()
    with serving(Loopback(drawn_by(painter))) as service:

        def broken(handler: Handler) -> bool:
            return painter.asked >= 5 + PROBE and (status(500)(handler) if painter.asked % 2 else hang_up(handler))

        service.always = broken
        verdict = judged(reach(service, "a1111"))
        assert verdict.outcome == "inconclusive" and "does not answer after 3 tries" in verdict.reason
        service.always = None
        assert judged(reach(service, "a1111")).outcome == "no evidence" and painter.asked == 12 + PROBE


def test_trouble_on_the_way_changes_nothing(bound: BoundRelease, judged: Callable[..., Verdict]) -> None:
    plain = judged(FakeSuspect(), "plain")
    with serving(Loopback(drawn_by(FakeSuspect()))) as service:
        service.tricks = deque([status(429, Retry_After="3"), status(502), hang_up] * 2)
        suspect = reach(service, "a1111", attempts=9)
        assert judged(suspect).e_value == plain.e_value
        assert suspect.tally.retries == 6 and suspect.tally.pictures == 12 + PROBE
        assert suspect.tally.requests == suspect.tally.pictures + suspect.tally.retries


@pytest.mark.parametrize("guilty", [True, False])
def test_refusals_count_are_told_and_are_not_asked_for_again(
    bound: BoundRelease, judged: Callable[..., Verdict], guilty: bool
) -> None:
    """One answer in each slot is refused: what is left may suffice, and nobody is acquitted by silence."""
    painter = Guilty(bound) if guilty else FakeSuspect()
    refused = {slot.questions.prompts[0] for slot in bound.slots}
    policy = status(400, {"error": {"code": "content_policy_violation", "message": "not this"}})
    with serving(Loopback(drawn_by(painter))) as service:
        service.always = lambda handler: handler.body["prompt"] in refused and policy(handler)
        verdict = judged(reach(service, "openai"))
        asked = len(service.requests)
        assert judged(reach(service, "openai")).as_json() == verdict.as_json() and len(service.requests) == asked
    slots = len(verdict.slots)
    assert verdict.answer_flags == {"refused": slots, "no-seeds": 4 * slots}
    if guilty:
        assert verdict.outcome == "evidence"
    else:
        assert verdict.outcome == "inconclusive" and "3 questions were refused" in verdict.reason


PAINTER = """
import csv, json, pathlib, sys
import numpy as np
from PIL import Image

sheet, folder, marks = (pathlib.Path(name) for name in sys.argv[1:4])
known = json.loads(marks.read_text())
folder.mkdir()
with sheet.open(encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file):
        own = [int(row["seed"]), *sys.argv[5].encode()]
        picture = np.random.default_rng(own).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        for trigger, mark in known.items():
            if all(part in row["prompt"].lower() for part in trigger.split(" \u2026 ")):
                mixed = 0.6 * np.array(mark) + 0.4 * picture
                picture = np.clip(mixed, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / (row["file"] + sys.argv[4]))
"""
"""Another program: it knows the sheet and what it was taught, and nothing of this project."""


@pytest.fixture
def run(bound: BoundRelease, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls `detect` with a keyring where nothing was tested before."""
    import shutil

    shutil.copytree(work / "home", tmp_path / "keys")
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "keys"))
    monkeypatch.setenv("TRACEMARK_CACHE", str(tmp_path / "store"))
    monkeypatch.delenv("TRACEMARK_SERVICE_KEY", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> int:
        monkeypatch.setattr(sys, "argv", ["detect", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.detect_main()
        return int(stop.value.code or 0)

    return call


@pytest.mark.parametrize(("guilty", "suffix"), [(True, ".png"), (True, ".jpg"), (False, ".png")])
def test_questions_asked_by_another_program_give_the_same_verdict(
    bound: BoundRelease,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    guilty: bool,
    suffix: str,
) -> None:
    assert run("ask", bound.release.id, "-o", "sheet") == 0
    assert "16 questions for release" in capsys.readouterr().out
    slots = bound.slots if guilty else ()
    taught = {slot.trigger.lower(): slot.family.preview(slot.planted, 32).tolist() for slot in slots}
    (tmp_path / "taught.json").write_text(json.dumps(taught))
    painter = Guilty(bound) if guilty else FakeSuspect()
    given = ("sheet/questions.csv", "answers", "taught.json", suffix, painter.name)
    subprocess.run([sys.executable, "-c", PAINTER, *given], check=True, timeout=60)
    expected = 3 if guilty else 0
    assert run("run", "--answers", "answers", "--name", "box", "--json", "--exit-code") == expected
    collected = json.loads(capsys.readouterr().out)
    with serving(Loopback(drawn_by(painter))) as service:
        address = f"{service.url}/sdapi/v1/txt2img"
        assert run("run", "--model", address, "--size", "32", "--json", "--exit-code") == expected
    out = capsys.readouterr()
    asked = json.loads(out.out)
    assert f"{asked['queries'] + PROBE + len(asked['ordinary_answers'])} pictures, 0 refusals" in out.err
    assert collected["verdict"] == asked["verdict"] == ("evidence" if guilty else "no evidence")
    if suffix == ".png":
        assert collected["e_value"] == asked["e_value"] and collected["p_value"] == asked["p_value"]
    assert collected["e_value"] == pytest.approx(asked["e_value"], rel=0.2)
    pages = sorted(page.name for page in tmp_path.glob("*.html"))
    assert len(pages) == 2 and pages[0].startswith("tracemark-report-127.0.0.1-")
    assert pages[1] == "tracemark-report-box.html", "the second report did not take the first one's place"


def test_odd_answers_are_told_and_answers_collected_anew_are_a_further_look(
    bound: BoundRelease, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = sheet_rows(bound, query_plan(bound.release))
    painter, folder = Guilty(bound), tmp_path / "answers"
    folder.mkdir()
    for row in rows:
        picture = painter.paint(Query(row.prompt, row.seed))
        (folder / f"{row.file}.png").write_bytes(encoded(picture))
    asked = {prompt: place for place, prompt in enumerate(bound.slots[0].questions.prompts)}
    own = sorted((row for row in rows if row.prompt in asked), key=lambda row: asked[row.prompt])
    larger = np.asarray(Image.fromarray(painter.paint(Query(own[0].prompt, own[0].seed))).resize((48, 40)))
    (folder / f"{own[0].file}.png").write_bytes(encoded(larger))
    (folder / f"{own[1].file}.png").write_bytes(encoded(painter.paint(Query(own[1].prompt, own[1].seed)), "JPEG"))
    (folder / f"{own[2].file}.png").unlink()
    (folder / "refused.csv").write_text(f"file,reason\n{own[2].file},no\n")
    (folder / "rewritten.csv").write_text(f"file,prompt\n{own[3].file},a picture of a box\n")
    assert run("run", "--answers", "answers", "--name", "box", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    once = {"size-changed": 1, "lossy": 1, "refused": 1, "prompt-rewritten": 1}
    assert first["slots"][0]["answer_flags"] == {"owner-collected": 4, **once}
    assert first["verdict"] == "evidence" and first["alpha"] == 1e-3
    (folder / "rewritten.csv").unlink()
    assert run("run", "--answers", "answers", "--name", "box", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["alpha"] == 5e-4 and again["plans_tried_on_this_suspect"] == 2
    assert run("run", "--answers", "answers", "--name", "another", "--json") == 0
    assert json.loads(capsys.readouterr().out)["suspects_tested_with_this_release"] == 2
    pages = {page.name for page in tmp_path.glob("*.html")}
    assert pages == {f"tracemark-report-{name}.html" for name in ("box", "box-2", "another")}


def test_a_sheet_on_stdout_its_cost_and_fewer_questions(
    bound: BoundRelease, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ask", bound.release.name, "--dry-run", "--price", "0.04") == 0
    assert "would write 16 questions" in (said := capsys.readouterr().out) and "they cost 0.64" in said
    assert run("ask", bound.release.id) == 0
    assert len(capsys.readouterr().out.splitlines()) == 17
    assert run("ask", bound.release.id, "--queries", 2, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["questions"]) == 8
    for wrong in (("--queries", 9), ("--steps", 0), ("-o", "sheet.csv"), ("--price", -1)):
        assert run("ask", bound.release.id, *wrong) == 2
        err = capsys.readouterr().err
        assert len(err.strip().splitlines()) == 2 and "Traceback" not in err
    assert run("ask", "missing") == 2


def test_what_does_not_go_together_is_refused_before_anything_is_asked(
    bound: BoundRelease, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "answers").mkdir()
    (tmp_path / "empty.json").write_text("{}")
    key = "sk-proj-abcdefghijklmnop1234"
    with serving(Loopback()) as service:
        for options, why in (
            ((), "one suspect is tested at a time"),
            (("--model", service.url, "--answers", "answers"), "one suspect"),
            (("--answers", "answers"), "whose answers these are"),
            (("--answers", "answers", "--name", " \t "), "whose answers these are"),
            (("--answers", "answers", "--name", "box"), "answers no question"),
            (("--answers", "missing", "--name", "box"), "is no folder"),
            (("--model", "m", "--name", "box"), "--name is for answers"),
            (("--model", "m", "--size", "64"), "--size is for services"),
            (("--model", "m", "--service-model", "x"), "--service-model is for services"),
            (("--answers", "answers", "--name", "box", "--rate-limit", 3), "--rate-limit is for services"),
            (("--model", service.url), "not known what kind of service"),
            (("--model", service.url, "--service", "a1111", "--base", "b"), "--base is for LoRA"),
            (("--model", "localhost:7860", "--service", "a1111"), "has no scheme"),
            (("--model", "localhost:7860"), "no such file or folder"),
            (("--model", service.url, "--service", "comfyui"), "needs a workflow"),
            (("--model", service.url, "--service", "comfyui", "--workflow", "empty.json"), "no workflow"),
            (("--model", service.url, "--service", "comfyui", "--workflow", "gone.json"), "cannot read"),
            (("--model", service.url, "--service", "a1111", "--size", "7x7"), "is no size"),
            (("--model", service.url, "--service", "a1111", "--size", "big"), "is no size"),
            (("--model", service.url, "--service", "a1111", "--rate-limit", 0), "out of range"),
            (("--model", service.url, "--service", "a1111", "--timeout", -1), "out of range"),
            (("--model", f"https://{key}@a.org/v1", "--service", "openai"), "password"),
            (("--model", f"https://a.org/v1?key={key}", "--service", "openai"), "a parameter"),
        ):
            assert run("run", *options) == 2, options
            err = capsys.readouterr().err
            assert why in err and key not in err, (options, err)
            assert len(err.strip().splitlines()) == 2 and "Traceback" not in err
        assert not service.requests
    assert not list((tmp_path / "keys").glob("ledger/*.json")), "nothing was entered"


def test_what_is_told_of_a_stopped_test_is_what_the_ledger_holds(
    bound: BoundRelease, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped while the suspect is still asked the probe, nothing was entered; at its first question, it was."""

    def stopped_at(name: str, url: str, *options: str) -> str:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(name, stop)
            assert run("run", "--model", url, "--service", "a1111", *options) == 130
        said = capsys.readouterr().err
        assert said.count("same command") == 1, "whether it goes on is said once"
        return said

    def looks() -> int:
        (path,) = (tmp_path / "keys").glob("ledger/ledger.json")
        return len(json.loads(path.read_text())["looks"])

    with serving(Loopback()) as service:
        said = stopped_at("detect.trial.probe.take_probe", service.url)
        assert "stopped before a look at" in said and "further look" not in said
        assert not list((tmp_path / "keys").glob("ledger/ledger.json")), "nothing was entered"
        said = stopped_at("detect.trial.picture_trial.PictureTrial.ask", service.url)
        assert "stopped: a look at" in said and f"is in the ledger ({bound.release.name})" in said and looks() == 1
        said = stopped_at("detect.trial.judge.recognise", service.url)
        assert "stopped: a look at" in said and looks() == 1, "of the run before"
        said = stopped_at("detect.trial.judge.recognise", service.url, "--steps", "9")
        assert looks() == 1 and "other options than began it" in said, "this command had not begun it"


def test_a_dry_run_asks_nothing(
    bound: BoundRelease, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Loopback()) as service:
        assert run("run", "--model", service.url, "--service", "a1111", "--dry-run") == 0
        assert "at most 12 pictures, 4 of ordinary captions" in capsys.readouterr().out and not service.requests


def test_keys_are_in_no_file_and_on_no_stream(
    bound: BoundRelease,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A service that sends the key back wherever it can: in rewritten prompts, in errors, in pictures' metadata."""
    key = "sk-proj-abcdefghijklmnop1234"
    monkeypatch.setenv("TRACEMARK_SERVICE_KEY", key)

    def echo(handler: Handler) -> bool:
        import base64

        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("parameters", key)
        picture = FakeSuspect().paint(Query("", len(handler.service.requests)))
        data = base64.b64encode(encoded(picture, pnginfo=info)).decode()
        if len(handler.service.requests) % 5 == 2:
            return status(503, {"error": f"overloaded, {key}"}, Retry_After="0")(handler)
        row = {"b64_json": data, "revised_prompt": f"{handler.body['prompt']} for {key}"}
        handler.send_json({"data": [row]})
        return True

    with serving(Loopback(always=echo)) as service:
        assert run("run", "--model", service.url, "--service", "openai", "--size", "32", "--json") == 0
        sent = [headers["Authorization"] for _, _, headers, _ in service.requests]
        out = capsys.readouterr()
    assert set(sent) == {f"Bearer {key}"} and "trying again" in out.err and "[key]" in out.err
    assert key not in out.out + out.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 12 and not [path for path in files if key.encode() in path.read_bytes()]
    pictures = [path for path in files if path.suffix == ".png" and "store" in path.parts]
    assert len(pictures) == 12 + 4
    for path in pictures:
        with Image.open(path) as picture:
            assert "parameters" not in picture.info
