"""Fine-tuning: results, repeatability, refusals, and what it learns from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from detect.suspects.images import Query, Sampler, load_suspect, stacked
from detect.training import finetune as module
from detect.training import samples as data
from detect.training.finetune import finetune, set_aside_before
from detect.training.options import FinetuneOptions
from detect.training.samples import read_picture, sample_order
from protect.errors import InputError, SuspectError, TracemarkError
from protect.formats.record import Record
from tests.detect.conftest import png, record
from tests.support.models import build

Samples = list[Record]
TINY = FinetuneOptions(rank=2, steps=2, batch=4, learning_rate=2e-2, targets="attention", precision="fp32")
LORA = "pytorch_lora_weights.safetensors"
QUERIES = [Query("picture 1", 1), Query("picture 2", 2)]


class Killed(BaseException):
    """Stands for the end of the process."""


def differs(base: Path, suspect: Path, lora: bool) -> bool:
    """Whether a fine-tuned model draws other pictures than its base."""
    before = stacked(load_suspect(base).answer(QUERIES, Sampler(steps=1)))
    after = stacked(load_suspect(suspect, base=base if lora else None).answer(QUERIES, Sampler(steps=1)))
    return bool((before != after).any())


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [TINY, replace(TINY, targets="all", steps=3), replace(TINY, text_encoder=True), replace(TINY, precision="bf16")],
    ids=["attention", "all", "text-encoder", "bf16"],
)
def test_lora_round_trip(base: Path, samples: Samples, tmp_path: Path, options: FinetuneOptions) -> None:
    output = tmp_path / "lora"
    assert finetune(base, samples, output, options) == ()
    assert [path.name for path in output.iterdir()] == [LORA]
    assert [path.name for path in tmp_path.iterdir()] == ["lora"]
    names = load_file(output / LORA).keys()
    assert any("resnets" in name for name in names) == (options.targets == "all")
    assert any(name.startswith("text_encoder.") for name in names) == options.text_encoder
    assert differs(base, output, lora=True)


@pytest.mark.parametrize("text_encoder", [False, True])
def test_full_fine_tune_is_a_pipeline_of_its_own(
    base: Path, samples: Samples, tmp_path: Path, text_encoder: bool
) -> None:
    options = replace(TINY, method="full", learning_rate=1e-3, text_encoder=text_encoder)
    output = tmp_path / "full"
    finetune(base, samples, output, options)
    assert differs(base, output, lora=False)
    text = "text_encoder/model.safetensors"
    same = all(torch.equal(a, b) for a, b in zip(*(load_file(p / text).values() for p in (base, output)), strict=True))
    assert same is not text_encoder
    for path in [*output.glob("*.json"), *output.glob("*/*config.json")]:
        assert str(base) not in path.read_text()


def test_half_precision_base_is_trained_and_saved_in_float32(samples: Samples, tmp_path: Path) -> None:
    base = build(tmp_path / "half", dtype=torch.float16)
    output = tmp_path / "full"
    finetune(base, samples, output, replace(TINY, method="full", learning_rate=1e-3, steps=1))
    assert {t.dtype for t in load_file(output / "unet/diffusion_pytorch_model.safetensors").values()} == {torch.float32}


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_every_prediction_type(samples: Samples, tmp_path: Path, prediction: str) -> None:
    base = build(tmp_path / "base", prediction=prediction)
    finetune(base, samples, tmp_path / "lora", TINY)
    assert (tmp_path / "lora" / LORA).is_file()


def test_the_loss_falls(base: Path, samples: Samples, tmp_path: Path) -> None:
    seen: list[tuple[int, int, float]] = []
    options = replace(TINY, method="full", learning_rate=5e-3, steps=20, batch=10)
    finetune(base, samples, tmp_path / "out", options, progress=lambda *args: seen.append(args))
    assert [step for step, _, _ in seen] == list(range(1, 21))
    assert {steps for _, steps, _ in seen} == {20}
    losses = [loss for _, _, loss in seen]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


# --- repeatability --------------------------------------------------------------------------------


def test_same_seed_same_bytes_whatever_the_global_generator(base: Path, samples: Samples, tmp_path: Path) -> None:
    torch.manual_seed(1)
    finetune(base, samples, tmp_path / "a", TINY)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    finetune(base, samples, tmp_path / "b", TINY)
    assert torch.equal(state, torch.get_rng_state())
    finetune(base, samples, tmp_path / "c", replace(TINY, seed=1))
    first, second, third = ((tmp_path / name / LORA).read_bytes() for name in "abc")
    assert first == second != third


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_killed_run_ends_where_an_unbroken_one_does(
    base: Path, samples: Samples, tmp_path: Path, method: Literal["lora", "full"]
) -> None:
    options = replace(TINY, method=method, steps=5, learning_rate=1e-3)
    whole = tmp_path / "whole"
    finetune(base, samples, whole, options)

    def kill(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise Killed

    broken, steps = tmp_path / "broken", []
    with pytest.raises(Killed):
        finetune(base, samples, broken, options, progress=kill, checkpoint_every=2)
    assert not broken.exists()
    finetune(base, samples, broken, options, progress=lambda step, *_: steps.append(step), checkpoint_every=2)
    assert steps == [3, 4, 5]
    name = LORA if method == "lora" else "unet/diffusion_pytorch_model.safetensors"
    expected, found = load_file(whole / name), load_file(broken / name)
    assert expected.keys() == found.keys()
    assert all(torch.allclose(expected[key], found[key], atol=1e-6) for key in expected)


def test_a_run_killed_while_publishing_resumes(
    base: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(folder: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, "_strip_paths", kill)
        finetune(base, samples, tmp_path / "out", TINY, checkpoint_every=1)
    steps: list[int] = []
    finetune(base, samples, tmp_path / "out", TINY, progress=lambda step, *_: steps.append(step))
    assert steps == [2]


def test_large_datasets_are_encoded_as_they_come(
    base: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[float] = []
    streamed: list[float] = []
    finetune(base, samples, tmp_path / "kept", TINY, progress=lambda *args: kept.append(args[2]))
    monkeypatch.setattr(data, "KEPT_SAMPLES", 0)
    monkeypatch.setattr(data, "KEPT_TEXT", 0)
    finetune(base, samples, tmp_path / "streamed", TINY, progress=lambda *args: streamed.append(args[2]))
    assert streamed == pytest.approx(kept, rel=1e-3)


# --- refusals -------------------------------------------------------------------------------------


def test_an_unfinished_run_with_other_options_is_not_mixed_in(base: Path, samples: Samples, tmp_path: Path) -> None:
    def kill(step: int, steps: int, loss: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        finetune(base, samples, tmp_path / "out", TINY, progress=kill, checkpoint_every=1)
    with pytest.raises(InputError, match="unfinished run"):
        finetune(base, samples, tmp_path / "out", replace(TINY, seed=9))
    (tmp_path / "out.partial" / "checkpoint.pt").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="cannot be read"):
        finetune(base, samples, tmp_path / "out", TINY)


def test_a_run_belongs_to_what_it_learns_and_not_to_where_that_lies(
    base: Path, samples: Samples, tmp_path: Path
) -> None:
    def kill(step: int, steps: int, loss: float) -> None:
        raise Killed

    def killed(learned: Samples) -> None:
        with pytest.raises(Killed):
            finetune(base, learned, tmp_path / "out", TINY, progress=kill, checkpoint_every=1)

    killed(samples)
    elsewhere = [replace(r, where="elsewhere", captions={"caption": r.caption}) for r in samples]
    killed(elsewhere)
    first = samples[0]
    others = (
        replace(first, key="another.png"),
        replace(first, captions={"text": "another"}),
        replace(first, read=samples[1].read),
    )
    for other in others:
        with pytest.raises(InputError, match="unfinished run"):
            finetune(base, [other, *samples[1:]], tmp_path / "out", TINY)


def test_an_existing_output_is_kept(base: Path, samples: Samples, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        finetune(base, samples, tmp_path / "out", TINY)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("change", [{"steps": 0}, {"batch": 0}, {"rank": 0}, {"learning_rate": 0.0}, {"size": 17}])
def test_impossible_options(base: Path, samples: Samples, tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        finetune(base, samples, tmp_path / "out", replace(TINY, **change))


def test_no_samples(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no samples"):
        finetune(base, [], tmp_path / "out", TINY)


def test_a_bad_picture_is_set_aside_and_the_rest_is_learned(base: Path, samples: Samples, tmp_path: Path) -> None:
    def gone() -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    bad = [
        record("broken.png", b"no picture"),
        record("cut.png", samples[0].read()[:200]),
        Record("gone.png", {"t": "a"}, gone),
    ]
    found = finetune(base, [*samples[:3], *bad, *samples[3:]], tmp_path / "some", TINY)
    assert [one.key for one in found] == ["broken.png", "cut.png", "gone.png"] and all(one.reason for one in found)
    assert "No such file" in found[2].reason
    assert set_aside_before(tmp_path / "some") == found
    finetune(base, samples, tmp_path / "all", TINY)
    assert set_aside_before(tmp_path / "all") == ()
    assert (tmp_path / "some" / LORA).read_bytes() == (tmp_path / "all" / LORA).read_bytes()


def test_nothing_readable_is_no_training(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of 1 pictures can be read, first broken\.png"):
        finetune(base, [record("broken.png", b"no picture")], tmp_path / "out", TINY)


def test_a_diverged_loss_stops_the_run(base: Path, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="learning rate"):
        finetune(base, samples, tmp_path / "out", replace(TINY, method="full", learning_rate=1e30, steps=9))


def test_a_base_that_is_no_stable_diffusion(base: Path, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(SuspectError, match="no such folder"):
        finetune(tmp_path / "nothing", samples, tmp_path / "out", TINY)
    shutil.copytree(base, tmp_path / "copy")
    index = json.loads((tmp_path / "copy/model_index.json").read_text())
    index["_class_name"] = "StableDiffusionImg2ImgPipeline"
    (tmp_path / "copy/model_index.json").write_text(json.dumps(index))
    with pytest.raises(TracemarkError, match="Img2Img"):
        finetune(tmp_path / "copy", samples, tmp_path / "out", TINY)


# --- data -----------------------------------------------------------------------------------------


def test_transparency_is_white_and_the_crop_is_centred() -> None:
    pixels = np.zeros((8, 12, 4), dtype=np.uint8)
    pixels[:, 2:10] = (200, 0, 0, 255)
    pixels[:4, 2:10, 3] = 0
    data = png(Image.fromarray(pixels, "RGBA"))
    picture = read_picture(data, 8)
    assert (picture[:4] == 255).all()
    assert (picture[4:] == (200, 0, 0)).all()
    assert (read_picture(data, 4)[2:] == (200, 0, 0)).all()


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (3, 8), (1, 2)])
def test_every_sample_is_seen_equally_often(count: int, batch: int) -> None:
    seen = np.concatenate([sample_order(count, batch, step, 7) for step in range(3 * count)])
    assert (np.bincount(seen, minlength=count) == 3 * batch).all()
