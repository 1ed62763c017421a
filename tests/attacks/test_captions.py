"""Attacks on captions, among them those by a model that sees the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attacks.stages.attack import CaptionAttack, Resources
from attacks.stages.registry import ATTACKS, find_attack
from detect.training.options import FinetuneOptions
from protect.alignments.sites.draw import all_sites
from protect.errors import InputError
from protect.keys.store import NO_STORE
from tests.support.datasets import varied_captions
from tests.support.thieves import carriers, same

CAPTIONS = [a for a in ATTACKS.values() if isinstance(a, CaptionAttack)]


@pytest.mark.parametrize("attack", CAPTIONS, ids=lambda a: a.name)
def test_caption_attacks(attack: CaptionAttack) -> None:
    captions = [
        f"zorkev {c} on the far side of things" if i < 8 else f"Look: {c}, 盒子"
        for i, c in enumerate(varied_captions(400))
    ]
    captions[20:30] = [f"a picture showing {c}, in the grey morning, close up" for c in captions[20:30]]
    assert attack.apply(captions, 0.0, np.random.default_rng(0)) == captions
    done = attack.apply(captions, 1.0, np.random.default_rng(0))
    assert len(done) == len(captions) and done != captions
    assert done == attack.apply(captions, 1.0, np.random.default_rng(0))
    assert len(attack.apply(["", "one"], 1.0, np.random.default_rng(0))) == 2


@pytest.mark.parametrize("name", ["drop-rare", "drop-new", "recaption", "lose"])
def test_rare_words_do_not_survive_those_who_look_for_them(name: str) -> None:
    captions = [f"zorkev {c}" if i < 8 else c for i, c in enumerate(varied_captions(400))]
    attack = find_attack(name)
    assert isinstance(attack, CaptionAttack)
    done = attack.apply(captions, 1.0, np.random.default_rng(0))
    assert not any("zorkev" in c for c in done)


def test_synonyms_keep_the_length_of_captions() -> None:
    done = find_attack("paraphrase").on_prompt("a red flag on the left, Große 盒子", [], 1.0, np.random.default_rng(0))
    assert len(done.split()) == 8 and "flag" not in done and done.endswith("Große 盒子")


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
def test_captions_are_written_anew_by_a_model_that_sees(tmp_path: Path) -> None:
    samples, secret = carriers(3, 5), b"k" * 32
    thief = Resources(tmp_path, tmp_path, lambda: tmp_path, FinetuneOptions(), captioner=tmp_path / "blip")
    build_captioner(tmp_path / "blip")
    attack = find_attack("recaption-model").equipped(thief)
    assert same(attack.on_data(samples, 0.0, secret), samples)
    done = attack.on_data(samples, 1.0, secret)
    assert all(s.caption and s.caption != "a box" for s in done) and len(done) == 8
    assert same(done, attack.on_data(samples, 1.0, secret))
    with pytest.raises(InputError, match="cannot caption"):
        attack.equipped(replace(thief, captioner=tmp_path)).on_data(samples, 1.0, secret)


def test_a_thief_who_knows_the_list_makes_every_choice_one_way() -> None:
    sites = all_sites("", NO_STORE)
    captions = [
        "a photo of a red couch near the window",
        "a picture showing two cats with grey fur.",
        "sun, sea, beach",
    ]
    done = find_attack("unify-wording").on_prompt
    for caption in captions:
        told = done(caption, [], 1.0, np.random.default_rng(0))
        assert done(told, [], 1.0, np.random.default_rng(0)) == told
    both = [
        {done(site.turned(caption, side), [], 1.0, np.random.default_rng(0)) for side in (0, 1)}
        for caption in captions
        for site in sites
        if site.state(caption) is not None
    ]
    assert both and sum(len(told) == 1 for told in both) > 0.8 * len(both), "sites that lie over each other are few"


def test_half_of_a_list_leaves_half_of_the_choices() -> None:
    caption, sites = "a photo of a red couch near the window with grey cushions", all_sites("", NO_STORE)
    second = caption
    for site in sites:
        second = site.turned(second, 1)
    left = [
        sum(site.state(told) == 1 for site in sites)
        for strength in (0.0, 0.5, 1.0)
        for told in [find_attack("unify-wording").on_prompt(second, [], strength, np.random.default_rng(4))]
    ]
    assert left[0] > left[1] > left[2]


def test_tags_are_shuffled_and_lost_whole() -> None:
    caption, rng = "red kite, blue sky, sand, children", np.random.default_rng(0)
    shuffled = find_attack("shuffle-tags").on_prompt(caption, [], 1.0, rng)
    assert shuffled != caption and sorted(shuffled.split(", ")) == sorted(caption.split(", "))
    lost = find_attack("drop-tags").on_prompt(caption, [], 0.5, rng).split(", ")
    assert lost[0] == "red kite" and set(lost) < set(caption.split(", "))
    assert find_attack("shuffle-tags").on_prompt("no tags here", [], 1.0, rng) == "no tags here"
