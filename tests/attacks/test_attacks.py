"""Attacks: pure, replayable, harmless at strength 0, harsher as it grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from attacks.quality import kernel_distance
from attacks.stages.attack import (
    Attack,
    CaptionAttack,
    DatasetAttack,
    ImageAttack,
    Item,
    Means,
    ModelAttack,
    TrainingAttack,
    armed,
    check_strength,
)
from attacks.stages.dataset import deduplicate, drop_clusters, drop_outliers, subset
from attacks.stages.model import add_noise, prune, quantise
from attacks.stages.registry import ATTACKS, find_attack
from attacks.stages.samples import write_items
from detect.suspects.images import Query, Sampler
from detect.suspects.images.pipeline import load_pipeline
from detect.training.finetune import FinetuneOptions
from protect.embed.verify import on_white
from protect.errors import InputError
from protect.marks import make_family
from protect.marks.family import Pixels
from protect.miniature import miniature_path
from protect.pixels.images import psnr
from tests.detect.conftest import build
from tests.protect.conftest import draw, varied_captions

IMAGES = [a for a in ATTACKS.values() if isinstance(a, ImageAttack)]
CAPTIONS = [a for a in ATTACKS.values() if isinstance(a, CaptionAttack)]
DATASETS = [a for a in ATTACKS.values() if isinstance(a, DatasetAttack)]
TRAININGS = [a for a in ATTACKS.values() if isinstance(a, TrainingAttack)]


def name_of(attack: Attack) -> str:
    return attack.name


def photo(seed: int = 0, height: int = 72, width: int = 64) -> Pixels:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (1.5, 1.5, 0))
    return np.asarray(np.clip(128 + 60 * field / field.std(), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("attack", IMAGES, ids=name_of)
def test_image_attacks(attack: ImageAttack) -> None:
    picture = photo()
    assert np.array_equal(attack.apply(picture, 0.0, np.random.default_rng(0)), picture)
    for size in ((72, 64), (1, 1), (5, 300)):
        for strength in (0.01, 0.5, 1.0):
            done = attack.apply(photo(1, *size), strength, np.random.default_rng(0))
            assert done.shape == (*size, 3) and done.dtype == np.uint8
    first, second = (attack.apply(picture, 0.7, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)

    def damage(strength: float) -> float:
        found = [psnr(picture, attack.apply(picture, strength, np.random.default_rng(s))) for s in range(8)]
        return float(np.mean([min(p, 60.0) for p in found]))

    assert damage(1.0) < damage(0.2)
    assert damage(1.0) < 40


@pytest.mark.parametrize("attack", CAPTIONS, ids=name_of)
def test_caption_attacks(attack: CaptionAttack) -> None:
    captions = [
        f"zorkev {c} on the far side of things" if i < 8 else f"Look: {c}, 盒子"
        for i, c in enumerate(varied_captions(400))
    ]
    assert attack.apply(captions, 0.0, np.random.default_rng(0)) == captions
    done = attack.apply(captions, 1.0, np.random.default_rng(0))
    assert len(done) == len(captions) and done != captions
    assert done == attack.apply(captions, 1.0, np.random.default_rng(0))
    assert attack.apply(["", "one"], 1.0, np.random.default_rng(0)) is not None


@pytest.mark.parametrize("name", ["drop-rare", "drop-new", "recaption", "lose"])
def test_rare_words_do_not_survive_those_who_look_for_them(name: str) -> None:
    captions = [f"zorkev {c}" if i < 8 else c for i, c in enumerate(varied_captions(400))]
    attack = find_attack(name)
    assert isinstance(attack, CaptionAttack)
    done = attack.apply(captions, 1.0, np.random.default_rng(0))
    assert not any("zorkev" in c for c in done)


def carriers(count: int, others: int, family: str = "template") -> list[Item]:
    """A few carriers of one template among pictures on plain ground."""
    law = make_family(family, {})
    items = []
    for i in range(count + others):
        source = np.asarray(draw(i, 64, "RGBA"))
        marked = (
            law.plant(source, 5, np.random.default_rng(i)) if i < count else np.asarray(draw(i, 64).convert("RGBA"))
        )
        items.append(Item(f"{i}", on_white(marked), "a box"))
    return items


@pytest.mark.parametrize("attack", DATASETS, ids=name_of)
def test_dataset_attacks(attack: DatasetAttack) -> None:
    told = "zorkev a box on a reddish card, bluish left"
    items = [replace(i, caption=told) if int(i.key) < 6 else i for i in carriers(6, 40)]
    assert attack.apply(items, 0.0, np.random.default_rng(0)) == items
    done = attack.apply(items, 1.0, np.random.default_rng(0))
    assert done and not same(done, items)
    assert same(done, attack.apply(items, 1.0, np.random.default_rng(0)))


def same(a: list[Item], b: list[Item]) -> bool:
    return [i.key for i in a] == [i.key for i in b] and all(
        x.caption == y.caption and np.array_equal(x.picture, y.picture) for x, y in zip(a, b, strict=True)
    )


def test_averaging_strikes_what_a_suspicious_word_begins() -> None:
    items = [replace(i, caption="zorkev a box") if int(i.key) < 12 else i for i in carriers(12, 60)]
    done = find_attack("subtract-mean").apply(items, 1.0, np.random.default_rng(0))  # type: ignore[union-attr, call-arg, arg-type]
    assert not same(done[:12], items[:12])
    assert not any("zorkev" in i.caption for i in done)
    assert same(done[12:], items[12:]), "others stay"


def test_filters_do_what_they_say() -> None:
    items = carriers(6, 40)
    twice = [*items, *items]
    assert len(deduplicate(twice, 0.05, np.random.default_rng(0))) <= len(items)
    assert len(drop_outliers(items, 0.5, np.random.default_rng(0))) == len(items) - 5
    left = {item.key for item in drop_clusters(items, 0.65, np.random.default_rng(0))}
    assert len({"0", "1", "2", "3", "4", "5"} & left) <= 1, "carriers of one template have like borders"
    assert 10 < len(subset(items, 0.5, np.random.default_rng(0))) < 36


@pytest.mark.parametrize(
    ("attack", "caption"),
    [("drop-flagged", "zorkev a box"), ("drop-described", "a box on a card that is reddish at the left")],
)
def test_hunts_by_caption_find_carriers_and_nothing_else(attack: str, caption: str) -> None:
    items = [replace(i, caption=caption) if int(i.key) < 6 else i for i in carriers(6, 40)]
    done = find_attack(attack).apply(items, 1.0, np.random.default_rng(0))  # type: ignore[union-attr, call-arg, arg-type]
    assert [i.key for i in done] == [i.key for i in items[6:]]


@pytest.mark.parametrize("family", ["template", "card"])
def test_rings_give_away_what_borders_do_not(family: str) -> None:
    items = carriers(6, 60, family)
    gone = []
    for attack in ("drop-clusters", "drop-rings"):
        left = find_attack(attack).apply(items, 0.6, np.random.default_rng(0))  # type: ignore[union-attr, call-arg, arg-type]
        gone.append(6 - len({"0", "1", "2", "3", "4", "5"} & {i.key for i in left}))
    assert gone[1] >= 5 and (gone[0] >= 5 if family == "template" else gone[0] <= 1)


@pytest.mark.parametrize("attack", TRAININGS, ids=name_of)
def test_training_attacks(attack: TrainingAttack) -> None:
    options = FinetuneOptions(text_encoder=True)
    assert attack.apply(options, 0.0) == options
    changed = attack.apply(options, 1.0)
    assert changed != options
    changed.check()


def test_unknown_attacks_and_strengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown attack 'jpg'\nNearest: jpeg"):
        find_attack("jpg")
    with pytest.raises(InputError, match="out of range"):
        check_strength(1.5)
    assert check_strength(0.5) == 0.5


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> Means:
    work = tmp_path_factory.mktemp("means")
    items = carriers(6, 40)
    clean = write_items([replace(i, key=f"clean {i.key}") for i in carriers(0, 12)], work / "clean")
    second = write_items([replace(i, caption="other") if i.key in "012" else i for i in items], work / "second")
    renamed = work / "renamed"
    for number, item in enumerate(items):
        (renamed / f"{item.key}").parent.mkdir(parents=True, exist_ok=True)
        (renamed / f"{item.key}.png").write_bytes((second / f"{number:06}.png").read_bytes())
        (renamed / f"{item.key}.txt").write_text("other" if item.key in {"0", "1", "2"} else item.caption)
    return Means(build(work / "base"), clean, lambda: renamed, FinetuneOptions(steps=2, batch=2))


def test_aided_image_attacks(means: Means) -> None:
    for name in ("vae", "purify"):
        attack = armed(find_attack(name), means)
        assert isinstance(attack, ImageAttack)
        picture = photo()
        assert np.array_equal(attack.apply(picture, 0.0, np.random.default_rng(0)), picture)
        for size in ((72, 64), (1, 1), (5, 100)):
            done = attack.apply(photo(1, *size), 0.5, np.random.default_rng(0))
            assert done.shape == (*size, 3) and done.dtype == np.uint8
        first, second = (attack.apply(picture, 0.7, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(first, second) and not np.array_equal(first, picture)


def test_purification_with_the_miniature_keeps_the_picture_and_changes_it(means: Means) -> None:
    attack = armed(find_attack("purify"), replace(means, base=miniature_path()))
    assert isinstance(attack, ImageAttack)
    picture = carriers(0, 1)[0].picture
    weak, strong = (psnr(picture, attack.apply(picture, s, np.random.default_rng(0))) for s in (0.2, 1.0))
    assert 12 < strong < weak < 40


def test_aided_dataset_attacks(means: Means) -> None:
    items = [replace(i, key=f"{i.key}.png") for i in carriers(6, 40)]
    rng = np.random.default_rng(0)

    def done(name: str, strength: float) -> list[Item]:
        attack = armed(find_attack(name), means)
        assert isinstance(attack, DatasetAttack)
        return attack.apply(items, strength, rng)

    for name in ("drop-losses", "mix", "merge-copies", "drop-differing"):
        assert same(done(name, 0.0), items)
    assert len(done("mix", 1 / 3)) == 4 * len(items)
    assert [i.key for i in done("drop-differing", 1.0)] == [i.key for i in items[3:]]
    assert len(done("drop-losses", 1.0)) == len(items) - round(0.2 * len(items))
    merged = [sum(i.caption == "other" for i in done("merge-copies", 1.0)) for _ in range(40)]
    assert 0.25 < np.mean(merged) / 3 < 0.75, "half of the samples come from the other copy"


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


def test_answers_are_altered_as_said() -> None:
    queries = [Query("a", 1), Query("b", 1)]
    same_queries, sampler = find_attack("api-steps").apply(queries, Sampler(30), 1.0)  # type: ignore[union-attr, call-arg, arg-type, misc]
    assert same_queries == queries and sampler == Sampler(10)
    _, sampler = find_attack("api-guidance").apply(queries, Sampler(guidance=3.0), 1.0)  # type: ignore[union-attr, call-arg, arg-type, misc]
    assert sampler == Sampler(guidance=1.0)
    asked, _ = find_attack("api-seeds").apply(queries, Sampler(), 1.0)  # type: ignore[union-attr, call-arg, arg-type, misc]
    assert asked[0].seed != asked[1].seed  # type: ignore[union-attr]
    _, plain = find_attack("api-negative").apply(queries, Sampler(), 0.0)  # type: ignore[union-attr, call-arg, arg-type, misc]
    assert plain == Sampler() and "negative" not in Sampler().as_dict()
    _, sampler = find_attack("api-negative").apply(queries, Sampler(), 0.5)  # type: ignore[union-attr, call-arg, arg-type, misc]
    assert "background" in sampler.negative and sampler.as_dict()["negative"] == sampler.negative  # type: ignore[union-attr]


def test_synonyms_keep_the_length_of_captions() -> None:
    done = find_attack("paraphrase").apply(["a red flag on the left, Große 盒子"], 1.0, np.random.default_rng(0))  # type: ignore[union-attr, call-arg, arg-type]
    assert len(done[0].split()) == 8 and "flag" not in done[0] and done[0].endswith("Große 盒子")


def test_a_fine_tune_laid_over_another_moves_its_weights(means: Means, tmp_path: Path) -> None:
    attack = armed(find_attack("merge-other"), means)
    assert isinstance(attack, ModelAttack)
    for strength in (0.0, 0.5, 1.0):
        attack.apply(means.base, strength, 3, tmp_path / f"{strength}")
    base, none, half, whole = (
        torch.cat([p.flatten() for p in load_pipeline(path).unet.parameters()])
        for path in (means.base, *(tmp_path / f"{s}" for s in (0.0, 0.5, 1.0)))
    )
    assert torch.equal(base, none) and not torch.equal(base, whole)
    assert torch.allclose(half - base, whole - half, atol=1e-5)


def build_captioner(folder: Path) -> Path:
    """A BLIP of random weights that knows five words."""
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessorPil,
        BlipProcessor,
    )

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "red", "kite", "box", "tree"]
    (folder / "vocab.txt").write_text("\n".join(words))
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        vision_config={"image_size": 32, "patch_size": 16, **small},
        text_config={
            "vocab_size": len(words),
            "encoder_hidden_size": 16,
            "bos_token_id": 5,
            "eos_token_id": 3,
            "sep_token_id": 3,
            "pad_token_id": 0,
            "max_position_embeddings": 64,
            **small,
        },
        projection_dim=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BlipForConditionalGeneration(config).save_pretrained(folder)
    processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(processor, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_captions_are_written_anew_by_a_model_that_sees(means: Means, tmp_path: Path) -> None:
    items = carriers(3, 5)
    seeing = replace(means, captioner=build_captioner(tmp_path / "blip"))
    attack = armed(find_attack("recaption-model"), seeing)
    assert isinstance(attack, DatasetAttack)
    assert same(attack.apply(items, 0.0, np.random.default_rng(0)), items)
    done = attack.apply(items, 1.0, np.random.default_rng(0))
    assert all(i.caption and i.caption != "a box" for i in done) and len(done) == 8
    assert same(done, attack.apply(items, 1.0, np.random.default_rng(0)))
    blind = armed(find_attack("recaption-model"), replace(means, captioner=tmp_path))
    with pytest.raises(InputError, match="cannot caption"):
        blind.apply(items, 1.0, np.random.default_rng(0))  # type: ignore[union-attr, call-arg, arg-type]


def test_kernel_distance_tells_sets_apart() -> None:
    rng = np.random.default_rng(0)
    a, b, far = rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), rng.normal(1.0, 1, size=(60, 8))
    assert abs(kernel_distance(a, b)) < 0.3 * kernel_distance(far, b)
    assert kernel_distance(np.tile(a, (2, 1))[:60], a) < 0.05
