"""All attacks by name. A new one costs its function, its line here and its test.

Listing them imports none of the functions: some need torch.
"""

from __future__ import annotations

import difflib

from attacks.stages.attack import (
    Attack,
    CaptionAttack,
    DatasetAttack,
    ImageAttack,
    ModelAttack,
    QuestionAttack,
    Refusal,
    TrainingAttack,
)
from protect.errors import InputError

NOTHING = Attack("none", "nothing is altered")
"""The cells beside which others are read."""

_IMAGES = "stages.images"
_PICTURES: tuple[Attack, ...] = (
    ImageAttack("jpeg", "JPEG, quality 95 to 15", f"{_IMAGES}:jpeg"),
    ImageAttack("webp", "lossy WebP, quality 95 to 10", f"{_IMAGES}:webp"),
    ImageAttack("resize", "down to a quarter of the side, and back", f"{_IMAGES}:resize"),
    ImageAttack("crop", "a window of at least half the side, scaled back", f"{_IMAGES}:crop"),
    ImageAttack("rotate", "up to 30 degrees either way", f"{_IMAGES}:rotate"),
    ImageAttack("flip", "mirrored with that probability", f"{_IMAGES}:flip"),
    ImageAttack("blur", "Gaussian, up to a 32nd of the side", f"{_IMAGES}:blur"),
    ImageAttack("median", "median filter, up to a 16th of the side", f"{_IMAGES}:median"),
    ImageAttack("noise", "Gaussian, up to 50 levels", f"{_IMAGES}:noise"),
    ImageAttack("colour", "brightness, contrast, saturation and hue at random", f"{_IMAGES}:colour"),
    ImageAttack("grey", "colours fade to grey", f"{_IMAGES}:grey"),
    ImageAttack("erase", "a grey rectangle, up to half the side", f"{_IMAGES}:erase"),
    ImageAttack("quantise", "8 down to 2 bits a channel", f"{_IMAGES}:quantise"),
    ImageAttack("restore", "degraded, then restored by a filter", f"{_IMAGES}:restore"),
    ImageAttack("combined", "crop, colour, noise and JPEG together", f"{_IMAGES}:combined"),
    ImageAttack("vae", "through the base's VAE and back, up to four times", "stages.diffusion:round_trips", aided=True),
    ImageAttack(
        "purify",
        "noised up to 60 % of the way and denoised by the base, without a prompt",
        "stages.diffusion:purify",
        aided=True,
    ),
)

_CAPTIONS: tuple[Attack, ...] = (
    CaptionAttack("drop-rare", "words in few captions are removed, up to 2 % of them", "stages.captions:drop_rare"),
    CaptionAttack("drop-new", "first words that never stand elsewhere are removed", "stages.captions:drop_new"),
    CaptionAttack(
        "drop-repeats", "runs of five words that several captions share are removed", "stages.captions:drop_repeats"
    ),
    CaptionAttack(
        "unify-wording",
        "of the program's own choices of words, that share is known and made one way",
        "stages.wordings:unify",
    ),
    CaptionAttack("shuffle-tags", "parts between commas in another order", "stages.captions:shuffle_tags"),
    CaptionAttack("drop-tags", "parts between commas are lost", "stages.captions:drop_tags"),
    CaptionAttack("normalise", "lower case, no punctuation", "stages.captions:normalise"),
    CaptionAttack("shuffle", "words in another order", "stages.captions:shuffle"),
    CaptionAttack("shorten", "words are lost", "stages.captions:shorten"),
    CaptionAttack("lose", "captions are lost, and become one stock word", "stages.captions:lose"),
    CaptionAttack("paraphrase", "words replaced by synonyms", "stages.captions:paraphrase"),
    CaptionAttack(
        "recaption", "written anew by template, without words that only begin captions", "stages.captions:recaption"
    ),
    DatasetAttack(
        "recaption-model",
        "captions written anew by --captioner, which sees pictures",
        "stages.captioner:recaption",
        aided=True,
        needs="captioner",
    ),
)

_SAMPLES: tuple[Attack, ...] = (
    DatasetAttack("subset", "samples are left out at random", "stages.dataset:subset"),
    DatasetAttack(
        "deduplicate",
        "of near-duplicates by perceptual hash one stays; up to 20 of 64 bits",
        "stages.dataset:deduplicate",
    ),
    DatasetAttack("drop-outliers", "the oddest pictures are left out, up to a fifth", "stages.dataset:drop_outliers"),
    DatasetAttack(
        "drop-clusters", "pictures with like borders are left out, up to a fifth", "stages.dataset:drop_clusters"
    ),
    DatasetAttack(
        "drop-residuals", "pictures of odd noise residuals are left out, up to a fifth", "stages.dataset:drop_residuals"
    ),
    DatasetAttack(
        "subtract-mean", "what pictures of a suspicious first word share is taken off", "stages.dataset:subtract_mean"
    ),
    DatasetAttack("augment", "mirrored, cropped, coloured versions are added, up to four", "stages.dataset:augment"),
    DatasetAttack(
        "drop-losses",
        "samples that the base denoises worst are left out, up to a fifth",
        "stages.dataset:drop_losses",
        aided=True,
    ),
    DatasetAttack("mix", "clean pictures are added, up to 9 : 1", "stages.dataset:mix", aided=True),
    DatasetAttack(
        "merge-copies",
        "up to half of the samples come from another recipient's copy",
        "stages.copies:merge_copies",
        aided=True,
    ),
    DatasetAttack(
        "drop-differing",
        "samples that differ from another recipient's copy are left out",
        "stages.copies:drop_differing",
        aided=True,
    ),
    DatasetAttack(
        "average-copies",
        "pictures are mixed with another recipient's, up to half and half",
        "stages.copies:average_copies",
        aided=True,
    ),
    DatasetAttack(
        "vote-copies",
        "of three recipients' copies, what two agree on",
        "stages.copies:vote_of_copies",
        aided=True,
    ),
    DatasetAttack(
        "redraw",
        "pictures drawn anew from themselves and their captions by the base, from up to 80 % noise",
        "stages.diffusion:redraw",
        aided=True,
    ),
    DatasetAttack(
        "drop-flagged",
        "samples whose captions begin with a suspicious word are left out",
        "hunts.carriers:drop_flagged",
    ),
    DatasetAttack(
        "drop-described", "samples whose captions describe a mark are left out", "hunts.carriers:drop_described"
    ),
    DatasetAttack(
        "drop-found",
        "pictures that a finder, trained on marks of other keys, is surest of are left out, up to a fifth",
        "hunts.finder:drop_found",
        aided=True,
    ),
    DatasetAttack(
        "drop-rings", "pictures with a ring like others' are left out, up to a fifth", "hunts.carriers:drop_rings"
    ),
)

_TRAINING: tuple[Attack, ...] = (
    TrainingAttack("fewer-steps", "stopped early, down to a tenth of the steps", "stages.training:fewer_steps"),
    TrainingAttack("lower-rate", "learning rate down to a tenth", "stages.training:lower_rate"),
    TrainingAttack("lower-rank", "LoRA rank down to 1", "stages.training:lower_rank", needs="lora"),
    TrainingAttack("drop-captions", "up to nine in ten captions left empty", "stages.training:drop_captions"),
    TrainingAttack("frozen-text", "text encoder frozen from half strength on", "stages.training:frozen_text"),
)

_MODEL: tuple[Attack, ...] = (
    ModelAttack(
        "merge-base",
        "mixed with the base (or a smaller LoRA scale), down to a tenth",
        "stages.model:merge_base",
        aided=True,
    ),
    ModelAttack(
        "merge-other",
        "another fine-tune, on clean pictures, laid over it",
        "stages.model:merge_other",
        aided=True,
        trains=True,
    ),
    ModelAttack(
        "continue",
        "trained on with clean pictures, for up to as many steps again",
        "stages.model:train_on",
        aided=True,
        trains=True,
    ),
    ModelAttack(
        "second-generation",
        "the base tuned anew on the model's answers, with clean pictures for the rest",
        "stages.generation:second_generation",
        aided=True,
        trains=True,
    ),
    ModelAttack("prune", "the smallest weights are set to 0, up to half", "stages.model:prune_model"),
    ModelAttack("quantise-weights", "weights of 8 down to 3 bits", "stages.model:quantise_model"),
    ModelAttack("weight-noise", "noise of up to a fifth of the weights' deviation", "stages.model:add_noise_to_model"),
)

_ANSWERS: tuple[Attack, ...] = (
    QuestionAttack("api-steps", "fewer sampling steps than asked, down to a third", "stages.answers:fewer_steps"),
    QuestionAttack("api-guidance", "less guidance than asked, down to none", "stages.answers:other_guidance"),
    QuestionAttack("api-seeds", "the seed asked for is ignored, with that probability", "stages.answers:other_seeds"),
    QuestionAttack(
        "api-negative",
        "a negative prompt against coloured grounds, up to eight words",
        "stages.answers:negative_prompt",
    ),
    Refusal("refuse", "a grey picture in place of an answer, with that probability", "stages.answers:refuse"),
)

ATTACKS: dict[str, Attack] = {
    attack.name: attack for stage in (_PICTURES, _CAPTIONS, _SAMPLES, _TRAINING, _MODEL, _ANSWERS) for attack in stage
}


def find_attack(name: str) -> Attack:
    """The attack of that name, or `NOTHING` for "none".

    Raises:
        InputError: if there is none; names the nearest.
    """
    if name == NOTHING.name:
        return NOTHING
    if name not in ATTACKS:
        close = difflib.get_close_matches(name, ATTACKS, 3, 0.0)
        raise InputError(f"unknown attack {name!r}", f"Nearest: {', '.join(close)}. All: attacks ls")
    return ATTACKS[name]
