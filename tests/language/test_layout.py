"""What stands where in the text that the language model reads."""

from transformers import AutoTokenizer

from ssm_sense.language.layout import Layout


def layout(checkpoint):
    return Layout(AutoTokenizer.from_pretrained(checkpoint.parent / "tokenizer"))


def test_plain_layout_is_prompt_then_answer(checkpoints):
    plain = layout(checkpoints["qwen2"])
    assert plain.before == []
    assert plain.text(plain.prompt("which room")) == "which room"
    assert plain.answer("kitchen")[-1] == plain.end
    assert plain.text(plain.answer("kitchen")) == "kitchen"


def test_a_beginning_of_sequence_token_comes_before_the_prefix(checkpoints):
    tokenizer = AutoTokenizer.from_pretrained(checkpoints["qwen2"].parent / "tokenizer")
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    with_start = Layout(tokenizer)
    assert with_start.before == [tokenizer.bos_token_id]
    assert with_start.prompt("which room") == layout(checkpoints["qwen2"]).prompt("which room")


def test_a_chat_template_surrounds_prefix_and_prompt_and_opens_the_answer(checkpoints):
    chat = layout(checkpoints["chat"])
    assert chat.text(chat.before) == "user :"
    assert chat.text(chat.prompt("which room")) == "which room! assistant :"
