"""Words in, words out: numbers, punctuation, case, and after a reload as any tokenizer is loaded."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from ssm_sense.pretrained import load_tokenizer
from ssm_sense.tiny.tokenizer import build_tokenizer, tokens_of, words_of

VOCABULARY = [
    "living room",
    "chair",
    "Chair",
    "how many",
    "different",
    "s",
    "in",
    "the",
    "video",
    "A",
    "B",
    "trash can",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(folder, VOCABULARY)
    return folder


@pytest.fixture(scope="module")
def tokenizer(home):
    return AutoTokenizer.from_pretrained(home)


def test_text_encodes_after_reload_one_token_a_word(tokenizer):
    text = "How many different chair(s) in the video?"
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    assert tokens == ["how", "many", "different", "chair", "(", "s", ")", "in", "the", "video", "?"]


@pytest.mark.parametrize("number", ["0", "7", "12", "305", "99999", "007"])
def test_numbers_are_digits_and_come_back_whole(tokenizer, number):
    ids = tokenizer(number).input_ids
    assert len(ids) == len(number)
    assert tokenizer.decode(ids) == number


def test_neighbouring_numbers_stay_apart(tokenizer):
    assert tokenizer.decode(tokenizer("12 3, 45").input_ids) == "12 3, 45"


def test_option_letters_come_back_in_lower_case(tokenizer):
    assert tokenizer.decode(tokenizer("A").input_ids) == "a"


def test_an_unknown_word_is_one_token_and_never_pieces_of_known_ones(tokenizer):
    for word in ("zebra", "chairs", "inthe", "bi"):
        assert tokenizer(word).input_ids == [tokenizer.unk_token_id]


def test_ids_depend_on_the_words_alone(tmp_path, home):
    build_tokenizer(tmp_path, reversed(VOCABULARY))
    assert (tmp_path / "tokenizer.json").read_bytes() == (home / "tokenizer.json").read_bytes()


def test_pads_on_the_right(tokenizer):
    batch = tokenizer(["chair", "the living room"], padding=True)
    assert batch.input_ids[0] == [tokenizer("chair").input_ids[0], tokenizer.pad_token_id, tokenizer.pad_token_id]
    assert batch.attention_mask[0] == [1, 0, 0]


def test_a_folder_with_a_models_config_is_refused(tmp_path, home):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    with pytest.raises(ValueError, match=r"without a config\.json"):
        build_tokenizer(tmp_path, VOCABULARY)
    assert not (home / "config.json").exists()
    assert load_tokenizer(home).eos_token == "<eos>"


def test_words_and_tokens():
    assert words_of("Trash can, Bed-side room12!") == ["trash", "can", ",", "bed", "-", "side", "room", "12", "!"]
    assert tokens_of(["Living room", "room"])[-2:] == ["living", "room"]
    with pytest.raises(ValueError, match="€"):
        tokens_of(["12 €"])
