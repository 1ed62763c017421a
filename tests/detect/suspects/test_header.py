"""What adapter files say of themselves."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from detect.suspects.images.header import Header, parse_header


def test_sd_scripts() -> None:
    header = parse_header(
        {
            "ss_sd_model_name": "v1-5-pruned.safetensors",
            "ss_new_sd_model_hash": "e1441589a6f3c5a53f5f54d0975a18a7feb7cdf0b0dee276dfc3331ae376a053",
            "ss_base_model_version": "sd_v1",
            "ss_network_module": "lycoris.kohya",
            "ss_network_dim": "16",
            "ss_steps": "1200",
            "ss_num_train_images": "240",
            "ss_training_started_at": "1700000000.5",
            "ss_output_name": "style",
            "ss_dataset_dirs": json.dumps({"10_style": {"n_repeats": 10, "img_count": 24}}),
            "ss_tag_frequency": json.dumps({"10_style": {"a photo of sks cat": 24, "grass": 3}, "reg": {"grass": 2}}),
            "ss_training_comment": "None",
        }
    )
    assert dict(header.rows()) == {
        "title": "style",
        "trained by": "sd-scripts (lycoris.kohya)",
        "base": "v1-5-pruned.safetensors [e1441589a6f3c5a5]",
        "architecture": "sd_v1",
        "made": "2023-11-14",
        "rank": "16",
        "steps": "1200",
        "pictures": "240",
        "folders": "10_style (24 pictures × 10)",
        "words of its captions": "a photo of sks cat (24), grass (5)",
    }
    assert header.count("SKS") == 24 and header.count("grass") == 5 and header.count("dog") == 0


def test_one_trainer_ai_toolkit_modelspec_and_peft() -> None:
    config = {
        "base_model_name": "black-forest-labs/FLUX.1-dev",
        "model_type": "FLUX_DEV_1",
        "lora_rank": 32,
        "concepts": [{"name": "", "path": "/home/me/pictures/secret"}, {"name": "cats"}, 7],
    }
    header = parse_header({"ot_config": json.dumps(config), "ot_revision": "0123456789abcdef"})
    assert header.trainer == "OneTrainer 0123456789ab" and header.base_in_words() == "black-forest-labs/FLUX.1-dev"
    assert header.folders == ("secret", "cats") and header.rank == "32"
    toolkit = {"software": json.dumps({"name": "ai-toolkit", "version": "0.7"}), "training_info": '{"step": 2000}'}
    header = parse_header(toolkit | {"name": "my_style", "ss_base_model_version": "flux.1"})
    assert (header.trainer, header.steps, header.title, header.family) == (
        "ai-toolkit 0.7",
        "2000",
        "my_style",
        "flux.1",
    )
    spec = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "modelspec.trigger_phrase": "sks"}
    assert parse_header(spec).base_in_words() == "stable-diffusion-xl-v1-base/lora"
    header = parse_header({}, {"peft_type": "LORA", "base_model_name_or_path": "acme/base", "r": 8})
    assert (header.trainer, header.base, header.rank) == ("PEFT", "acme/base", "8")


def test_nothing_said() -> None:
    assert not parse_header({}) and parse_header({}).rows() == [] and Header() == parse_header({"format": "pt"})


def test_texts_are_made_fit_to_be_shown() -> None:
    header = parse_header({"ss_output_name": "a\x1b[31m\nb\u202e", "ss_training_comment": "x" * 5000})
    assert header.title == "a [31m b" and len(header.comment) == 200


_VALUES = st.one_of(
    st.text(), st.sampled_from(['{"a": {"b": 1}}', '{"a": 3}', "[1]", "{", "null", "1e400", "-1", '{"a":' * 50])
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "ss_tag_frequency",
                "ss_dataset_dirs",
                "ot_config",
                "software",
                "training_info",
                "ss_training_started_at",
                "name",
            ]
        ),
        _VALUES,
    )
)
def test_rubbish_is_survived(metadata: dict[str, str]) -> None:
    for name, value in parse_header(metadata).rows():
        assert name and "\n" not in value
