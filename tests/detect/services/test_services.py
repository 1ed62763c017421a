"""Each kind of service: what it is sent, how its answers are read, and what is made of odd ones."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from detect.suspects.address import KEY_VARIABLE
from detect.suspects.images.services import Limits, ServiceSuspect, Settings, load_service
from detect.suspects.images.services.a1111 import literal
from detect.suspects.images.services.workflow import Workflow
from detect.suspects.images.suspect import Answer, Query, Sampler
from protect.errors import InputError, SuspectError
from tests.support.services import (
    WORKFLOW,
    Handler,
    Loopback,
    Trick,
    bomb,
    encoded,
    hang_up,
    noise,
    rubbish,
    says,
    serving,
    status,
)

SAMPLER = Sampler(steps=7, guidance=2.5)
QUERY = Query('a "red" kite (at sea), 2:1', 2**40 + 3)
GRAPH = json.dumps(WORKFLOW)
KEY = "sk-proj-abcdefghijklmnop1234"
KINDS = ("openai", "a1111", "comfyui")
Open = Callable[..., ServiceSuspect]


@pytest.fixture
def service() -> Iterator[Loopback]:
    with serving(Loopback()) as running:
        yield running


@pytest.fixture
def reach(service: Loopback) -> Open:
    """Opens the service as a suspect that waits for nothing."""

    def opened(kind: str, **settings: Any) -> ServiceSuspect:
        workflow = {"workflow": GRAPH} if kind == "comfyui" and "workflow" not in settings else {}
        limits = Limits(timeout=30, attempts=3)
        return load_service(service.url, kind, Settings(**settings, **workflow), limits, sleep=lambda pause: None)

    return opened


def one(suspect: ServiceSuspect, query: Query = QUERY, sampler: Sampler = SAMPLER) -> Answer:
    (answer,) = suspect.answer([query], sampler)
    return answer


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PICTURE = noise(QUERY, SAMPLER)


@pytest.mark.parametrize("kind", ["a1111", "comfyui"])
def test_services_with_seeds_draw_what_was_asked(service: Loopback, reach: Open, kind: str) -> None:
    suspect = reach(kind, **({"size": (32, 32)} if kind == "a1111" else {}))
    queries = [QUERY, Query("a blue boat", 5)]
    answers = suspect.answer(queries, SAMPLER)
    for query, answer in zip(queries, answers, strict=True):
        assert answer.picture is not None and (answer.picture == noise(query, SAMPLER)).all()
        assert answer.flags == () and answer.note == ""
    assert suspect.repeatable and suspect.at_once == 1
    assert suspect.tally.pictures == 2 and suspect.tally.refusals == 0


def test_what_a1111_is_sent(service: Loopback, reach: Open) -> None:
    one(reach("a1111", model="suspect.safetensors [0123]", size=(640, 512)), sampler=Sampler(7, 2.5, None, "blur"))
    assert service.bodies()[0] == {
        "prompt": 'a "red" kite \\(at sea\\), 2:1',
        "negative_prompt": "blur",
        "seed": 2**40 + 3,
        "steps": 7,
        "cfg_scale": 2.5,
        "width": 640,
        "height": 512,
        "batch_size": 1,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
        "override_settings": {"sd_model_checkpoint": "suspect.safetensors [0123]"},
    }
    assert service.paths() == ["/sdapi/v1/txt2img"]
    assert literal("[a|b] \\(c\\)") == "\\[a|b\\] \\\\\\(c\\\\\\)"


def test_what_openai_is_sent(service: Loopback, reach: Open) -> None:
    suspect = reach("openai", model="gpt-image-2")
    answer = one(suspect)
    assert service.bodies() == [{"n": 1, "size": "1024x1024", "model": "gpt-image-2", "prompt": QUERY.prompt}]
    assert service.paths() == ["/v1/images/generations"]
    assert answer.flags == ("no-seeds", "size-changed") and not suspect.repeatable
    again = one(suspect)
    assert again.picture is not None and answer.picture is not None and (again.picture != answer.picture).any()
    with pytest.raises(SuspectError, match="no negative prompt"):
        one(suspect, sampler=Sampler(negative="blur"))


def test_what_comfyui_is_sent(service: Loopback, reach: Open) -> None:
    service.slow = 3
    one(reach("comfyui"))
    nodes = service.bodies()[0]["prompt"]
    assert nodes["2"]["inputs"] == {"text": QUERY.prompt, "clip": ["1", 1]} and nodes["3"]["inputs"]["text"] == ""
    assert nodes["4"]["inputs"] == {"seed": 2**40 + 3, "steps": 7, "cfg": 2.5, "positive": ["2", 0]}
    assert service.paths() == ["/prompt", *["/history/work-0"] * 4, "/view"]


@pytest.mark.parametrize("by_url", [False, True])
def test_openai_pictures_come_in_the_answer_or_lie_elsewhere(service: Loopback, reach: Open, by_url: bool) -> None:
    service.by_url = by_url
    picture = one(reach("openai")).picture
    assert picture is not None and (picture == noise(Query(QUERY.prompt, 1_000_001), SAMPLER)).all()
    assert len(service.requests) == 1 + by_url


def test_openai_pictures_as_data_addresses(service: Loopback, reach: Open) -> None:
    service.always = says({"data": [{"url": "data:image/png;base64," + b64(encoded(PICTURE))}]})
    picture = one(reach("openai")).picture
    assert picture is not None and (picture == PICTURE).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("form", "options", "lossy"),
    [
        ("PNG", {}, False),
        ("JPEG", {"quality": 90}, True),
        ("WEBP", {"quality": 80}, True),
        ("WEBP", {"lossless": True}, False),
        ("AVIF", {"quality": 80}, True),
    ],
)
def test_formats_that_lose_detail_are_flagged(
    service: Loopback, reach: Open, kind: str, form: str, options: dict[str, Any], lossy: bool
) -> None:
    service.form, service.form_options = form, options
    service.draw = lambda query, sampler: np.full((48, 32, 3), (200, 40, 90), dtype=np.uint8)
    answer = one(reach(kind))
    assert answer.picture is not None and answer.picture.shape == (48, 32, 3)
    assert np.abs(answer.picture.astype(int) - (200, 40, 90)).max() < 12
    assert ("lossy" in answer.flags) == lossy


@pytest.mark.parametrize("kind", ["openai", "a1111"])
def test_another_size_than_asked_is_flagged_and_left(service: Loopback, reach: Open, kind: str) -> None:
    service.draw = lambda query, sampler: np.zeros((48, 64, 3), dtype=np.uint8)
    other, same = one(reach(kind, size=(32, 32))), one(reach(kind, size=(64, 48)))
    assert "size-changed" in other.flags and "size-changed" not in same.flags
    assert other.picture is not None and other.picture.shape == (48, 64, 3)


def test_a_rewritten_prompt_is_flagged_with_its_words(service: Loopback, reach: Open) -> None:
    row = {"b64_json": b64(encoded(PICTURE)), "revised_prompt": "A vivid photograph\nof a kite\x1b[31m"}
    service.always = says({"data": [row]})
    answer = one(reach("openai"))
    assert "prompt-rewritten" in answer.flags and answer.note == "A vivid photograph of a kite[31m"
    service.always = says({"data": [row | {"revised_prompt": QUERY.prompt + "\n"}]})
    assert "prompt-rewritten" not in (answer := one(reach("openai"))).flags and answer.note == ""
    info = json.dumps({"all_prompts": [literal(QUERY.prompt) + ", masterpiece"]})
    service.always = says({"images": [b64(encoded(PICTURE))], "info": info})
    answer = one(reach("a1111"))
    assert "prompt-rewritten" in answer.flags and answer.note.endswith(", masterpiece")


@pytest.mark.parametrize(
    "error",
    [
        {"code": "content_policy_violation", "message": "Your request was rejected by our safety system."},
        {"code": "moderation_blocked", "message": "blocked", "type": "image_generation_user_error"},
        {"code": None, "message": "This prompt violates our content policy."},
        {"code": "contentFilter", "message": ""},
    ],
)
def test_a_breach_of_policy_is_a_refusal(service: Loopback, reach: Open, error: dict[str, Any]) -> None:
    service.tricks = deque([status(400, {"error": error})])
    suspect = reach("openai")
    refused, drawn = suspect.answer([QUERY, QUERY], SAMPLER)
    assert refused == Answer(None, ("refused", "no-seeds"), error["message"] or "contentFilter")
    assert drawn.picture is not None
    assert suspect.tally.refusals == 1 and suspect.tally.pictures == 1 and suspect.tally.retries == 0


@pytest.mark.parametrize(
    "answer", [status(400, {"error": {"code": "invalid_value", "message": "size"}}), status(422, {"detail": [1]})]
)
def test_another_mistake_is_an_error_and_no_refusal(service: Loopback, reach: Open, answer: Trick) -> None:
    service.always = answer
    for kind in KINDS:
        with pytest.raises(SuspectError, match=r"answers with status 4"):
            one(reach(kind))


WHOLE = encoded(PICTURE)
CUT = b64(WHOLE[: len(WHOLE) // 2])
HALVES: dict[str, list[object]] = {
    "openai": [
        {"data": []},
        {"data": [{}]},
        {"data": 3},
        {"data": [{"b64_json": b64(WHOLE)[:-7]}]},
        {"data": [{"b64_json": CUT}]},
        {"data": [{"url": "https://a:b/c.png"}]},
    ],
    "a1111": [
        {},
        {"images": []},
        {"images": ["no"]},
        {"images": [CUT]},
        {"images": [None]},
        {"images": [b64(b"<html>busy</html>")]},
    ],
    "comfyui": [{}, {"prompt_id": 7}, {"prompt_id": "../../etc"}],
}


@pytest.mark.parametrize(("kind", "answer"), [(kind, answer) for kind, rows in HALVES.items() for answer in rows])
def test_half_an_answer_is_asked_for_again(service: Loopback, reach: Open, kind: str, answer: object) -> None:
    service.tricks = deque([says(answer), rubbish])
    suspect = reach(kind)
    assert one(suspect).picture is not None and suspect.tally.retries == 2
    service.always = says(answer)
    with pytest.raises(SuspectError, match="does not answer after 3 tries"):
        one(suspect)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_too_many_pixels_is_not_decoded(service: Loopback, reach: Open, kind: str) -> None:
    service.fixed = bomb(6001)
    with pytest.raises(SuspectError, match=r"36,012,001 pixels, more than 33,554,432\n.*--size"):
        one(reach(kind))


def test_a_workflow_that_fails_says_why(service: Loopback, reach: Open) -> None:
    def failed(handler: Handler) -> bool:
        if "/history/" not in handler.path:
            return False
        messages = [["execution_error", {"exception_message": "Allocation on device"}]]
        handler.send_json({"work-0": {"outputs": {}, "status": {"status_str": "error", "messages": messages}}})
        return True

    service.always = failed
    with pytest.raises(SuspectError, match=r"could not run the workflow: .*Allocation on device"):
        one(reach("comfyui"))


@pytest.mark.parametrize(("kinds", "count"), [(["output", "output"], 2), ([], 0), (["temp", "temp"], 2)])
def test_a_workflow_must_give_one_picture(service: Loopback, reach: Open, kinds: list[str], count: int) -> None:
    rows = [{"filename": f"{n}.png", "subfolder": "", "type": kind} for n, kind in enumerate(kinds)]
    history = says({"work-0": {"outputs": {"5": {"images": rows}}}})
    service.always = lambda handler: "/history/" in handler.path and history(handler)
    with pytest.raises(SuspectError, match=f"gives {count} pictures for a question"):
        one(reach("comfyui"))


def test_a_preview_beside_the_saved_picture_is_passed_over(service: Loopback, reach: Open) -> None:
    images = [{"filename": f"{kind}.png", "subfolder": "", "type": kind} for kind in ("temp", "output")]
    service.files["output.png"] = encoded(PICTURE)
    history = says({"work-0": {"outputs": {"5": {"images": images}}}})
    service.always = lambda handler: "/history/" in handler.path and history(handler)
    picture = one(reach("comfyui")).picture
    assert picture is not None and (picture == PICTURE).all()


def test_a_workflow_that_is_never_done(service: Loopback) -> None:
    from detect.suspects.client import Client
    from detect.suspects.images.services.comfyui import ComfyUISuspect

    service.slow = 10**6
    waits: list[float] = []
    suspect = ComfyUISuspect(Client(service.url), Settings(workflow=GRAPH), sleep=waits.append, longest_wait=30)
    with pytest.raises(SuspectError, match="has not drawn a picture after 30 s"):
        one(suspect)
    assert waits[:3] == [0.1, 0.2, 0.4] and max(waits) == 2 and 30 < sum(waits) < 33


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "is no JSON"),
        ("3", "no workflow"),
        ("{}", "no workflow"),
        ("[" * 100_000, "is no JSON"),
        (json.dumps({"nodes": [], "links": []}), "in the editor's format"),
        (json.dumps({"nodes": {"class_type": "x"}, "links": []}), "in the editor's format"),
        (GRAPH.replace("{prompt}", "a cat"), r"has no \{prompt\}"),
    ],
)
def test_workflows_that_cannot_be_used(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Workflow(text, "w.json")


def test_what_a_prompt_says_is_not_taken_for_a_placeholder() -> None:
    graph = {"1": {"class_type": "T", "inputs": {"text": "photo: {prompt}, {seed}; {other}", "n": "{seed}"}}}
    filled = Workflow(json.dumps(graph), "w.json").filled({"prompt": "{seed} {prompt}", "seed": 5})
    assert filled["1"]["inputs"] == {"text": "photo: {seed} {prompt}, 5; {other}", "n": 5}


def test_what_a_workflow_lacks_is_said(service: Loopback, reach: Open) -> None:
    seedless = GRAPH.replace('"{seed}"', "7").replace("{negative}", "")
    suspect = reach("comfyui", workflow=seedless)
    assert one(suspect).flags == ("no-seeds",) and not suspect.repeatable
    with pytest.raises(SuspectError, match=r"no \{negative\}"):
        one(suspect, sampler=Sampler(negative="blur"))
    with pytest.raises(InputError, match=r"no \{width\}"):
        reach("comfyui", size=(64, 64))
    sized = GRAPH.replace('"ckpt_name": "suspect.safetensors"', '"w": "{width}", "h": "{height}"')
    with pytest.raises(InputError, match="places for a size"):
        reach("comfyui", workflow=sized)
    one(reach("comfyui", workflow=sized, size=(64, 48)))
    assert service.bodies()[-1]["prompt"]["1"]["inputs"] == {"w": 64, "h": 48}
    with pytest.raises(InputError, match="names its own model"):
        reach("comfyui", model="other")
    with pytest.raises(InputError, match="needs a workflow"):
        load_service(service.url, "comfyui")


def test_a_suspect_is_known_by_address_and_model(service: Loopback, reach: Open) -> None:
    plain, other = reach("a1111"), reach("a1111", model="b")
    assert plain.identity["weights"] != other.identity["weights"] != reach("openai", model="c").identity["weights"]
    larger = reach("a1111", size=(64, 64))
    assert larger.identity["weights"] == plain.identity["weights"] and larger.identity != plain.identity
    one_graph, two = reach("comfyui"), reach("comfyui", workflow=GRAPH.replace("KSampler", "Other"))
    assert one_graph.identity["weights"] == two.identity["weights"] and one_graph.identity != two.identity
    assert not service.requests, "nothing is asked before the test begins"


@pytest.mark.parametrize(
    ("kind", "key", "header"),
    [
        ("openai", KEY, f"Bearer {KEY}"),
        ("openai", "id:secret99", "Bearer id:secret99"),
        ("a1111", "owner:secret99", "Basic " + b64(b"owner:secret99")),
        ("a1111", KEY, f"Bearer {KEY}"),
        ("comfyui", "owner:secret99", "Basic " + b64(b"owner:secret99")),
    ],
)
def test_keys_come_from_the_environment_and_stay_out_of_everything(
    service: Loopback, reach: Open, monkeypatch: pytest.MonkeyPatch, kind: str, key: str, header: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    suspect = reach(kind)
    echo = {"data": [{"b64_json": b64(encoded(PICTURE)), "revised_prompt": f"{QUERY.prompt} {key} and {header}"}]}
    if kind == "openai":
        service.always = says(echo)
    answer = one(suspect)
    assert all(headers["Authorization"] == header for _, _, headers, _ in service.requests)
    service.always = status(400, {"error": {"code": "content_policy_violation", "message": f"{key} may not"}})
    shown = f"{suspect.identity} {suspect.name} {answer.flags} {answer.note} {vars(suspect)}"
    if kind == "openai":
        assert "[key]" in answer.note
        shown += one(suspect).note
    else:
        with pytest.raises(SuspectError) as refusal:
            one(suspect)
        shown += str(refusal.value)
    assert key not in shown and header not in shown and "secret99" not in shown


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_goes_away_is_an_error(service: Loopback, reach: Open, kind: str) -> None:
    service.always = hang_up
    suspect = reach(kind)
    with pytest.raises(SuspectError, match="does not answer after 3 tries"):
        one(suspect)
    assert suspect.tally.pictures == suspect.tally.refusals == 0 and suspect.tally.requests == 3
