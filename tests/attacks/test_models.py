"""Attacks on training, on trained models and on questions; what they cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks.quality import kernel_distance
from attacks.stages.attack import Resources, TrainingAttack
from attacks.stages.model import add_noise, prune, quantise
from attacks.stages.registry import ATTACKS, find_attack
from attacks.stages.samples import read_captioned
from detect.suspects.images import Query, Sampler
from detect.suspects.images.folder import load_pipeline
from detect.training.options import FinetuneOptions
from tests.support.thieves import resources

TRAININGS = [a for a in ATTACKS.values() if isinstance(a, TrainingAttack)]


@pytest.fixture(scope="module")
def thief(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return resources(tmp_path_factory.mktemp("thief"), base)


@pytest.mark.parametrize("attack", TRAININGS, ids=lambda a: a.name)
def test_training_attacks(attack: TrainingAttack) -> None:
    options = FinetuneOptions(text_encoder=True)
    assert attack.apply(options, 0.0) == options
    changed = attack.apply(options, 1.0)
    assert changed != options
    changed.check()


@pytest.mark.parametrize("change", [prune, quantise, add_noise])
def test_weight_attacks(change: Callable[[Tensor, float, torch.Generator], Tensor]) -> None:
    weight = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0))

    def damage(strength: float) -> float:
        return float((change(weight, strength, torch.Generator().manual_seed(1)) - weight).pow(2).mean())

    assert damage(0.01) < damage(0.5) < damage(1.0) < 0.5
    assert torch.equal(*(change(weight, 1.0, torch.Generator().manual_seed(1)) for _ in range(2)))


def test_pruning_and_quantising_do_what_they_say() -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    pruned = prune(weight, 1.0, torch.Generator())
    assert int((pruned == 0).sum()) == weight.numel() // 2
    assert len(quantise(weight, 1.0, torch.Generator())[0].unique()) <= 7


def weights(folder: Path) -> Tensor:
    """All weights of a pipeline's UNet."""
    return torch.cat([p.flatten() for p in load_pipeline(folder).unet.parameters()])


@pytest.mark.parametrize("name", ["prune", "quantise-weights", "weight-noise", "merge-base"])
def test_attacked_models_are_written_once(name: str, base: Path, thief: Resources, tmp_path: Path) -> None:
    attack = find_attack(name).equipped(thief)
    assert torch.equal(weights(attack.on_model(base, 0.0, 3, tmp_path / "none")), weights(base))
    target = attack.on_model(base, 1.0, 3, tmp_path / "whole")
    assert target == tmp_path / "whole" and (name == "merge-base") == torch.equal(weights(target), weights(base))
    made = (target / "model_index.json").stat().st_mtime_ns
    assert attack.on_model(base, 1.0, 3, target) == target
    assert (target / "model_index.json").stat().st_mtime_ns == made


def test_a_fine_tune_laid_over_another_moves_its_weights(thief: Resources, tmp_path: Path) -> None:
    attack = find_attack("merge-other").equipped(thief)
    none, half, whole = (
        weights(attack.on_model(thief.base, strength, 3, tmp_path / f"{strength}")) for strength in (0.0, 0.5, 1.0)
    )
    base = weights(thief.base)
    assert torch.equal(base, none) and not torch.equal(base, whole)
    assert torch.allclose(half - base, whole - half, atol=1e-5)


def test_questions_are_altered_as_said() -> None:
    queries = [Query("a", 1), Query("b", 1)]
    assert find_attack("api-steps").on_questions(queries, Sampler(30), 1.0) == (queries, Sampler(10))
    _, sampler = find_attack("api-guidance").on_questions(queries, Sampler(guidance=3.0), 1.0)
    assert sampler == Sampler(guidance=1.0)
    asked, _ = find_attack("api-seeds").on_questions(queries, Sampler(), 1.0)
    assert asked[0].seed != asked[1].seed
    _, plain = find_attack("api-negative").on_questions(queries, Sampler(), 0.0)
    assert plain == Sampler() and "negative" not in Sampler().as_dict()
    _, sampler = find_attack("api-negative").on_questions(queries, Sampler(), 0.5)
    assert "background" in sampler.negative and sampler.as_dict()["negative"] == sampler.negative


def test_kernel_distance_tells_sets_apart() -> None:
    rng = np.random.default_rng(0)
    a, b, far = rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), rng.normal(1.0, 1, size=(60, 8))
    assert abs(kernel_distance(a, b)) < 0.3 * kernel_distance(far, b)
    assert kernel_distance(np.tile(a, (2, 1))[:60], a) < 0.05


def test_a_second_generation_learns_from_answers_alone(thief: Resources, tmp_path: Path) -> None:
    attack = find_attack("second-generation").equipped(thief)
    assert torch.equal(weights(attack.on_model(thief.base, 0.0, 3, tmp_path / "none")), weights(thief.base))
    target = attack.on_model(thief.base, 0.5, 3, tmp_path / "half")
    assert not torch.equal(weights(target), weights(thief.base))
    taught = read_captioned(tmp_path / "half.answers")
    own = {s.caption for s in read_captioned(thief.copies(0))}
    assert len(taught) == 23 + 12, "half of 46 captions, and all twelve clean pictures"
    assert all(s.caption in own for s in taught)
    pictures = {s.picture.tobytes() for s in read_captioned(thief.copies(0))}
    assert not pictures & {s.picture.tobytes() for s in taught[:23]}, "no picture of the copy is left"


def test_pictures_are_drawn_anew_and_captions_stay(thief: Resources) -> None:
    samples = read_captioned(thief.clean)[:2]
    attack = find_attack("redraw").equipped(thief)
    assert attack.on_data(samples, 0.0, b"k") == samples
    done = attack.on_data(samples, 0.5, b"k")
    assert [s.caption for s in done] == [s.caption for s in samples]
    assert all(a.picture.shape == b.picture.shape for a, b in zip(done, samples, strict=True))
    assert not any(np.array_equal(a.picture, b.picture) for a, b in zip(done, samples, strict=True))


def test_more_captions_are_left_empty_but_never_all() -> None:
    attack = find_attack("drop-captions")
    assert attack.on_tuning(FinetuneOptions(), 1.0).caption_dropout == pytest.approx(0.9)
    assert attack.on_tuning(FinetuneOptions(caption_dropout=0.95), 0.5).caption_dropout == 0.95
