"""Losses, scores and greedy answers say the same thing about the same model."""

import json
import math
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from ssm_sense.errors import UserError
from ssm_sense.language.causal_lm import CausalLM

PROMPTS = ["which room holds the red chair", "how many beds", "which room"]
ANSWERS = ["the kitchen", "12", "the red bathroom"]


def prefix(items, length=5, width=32, seed=0):
    return torch.randn(items, length, width, generator=torch.Generator().manual_seed(seed))


def loss_by_hand(language, prefix_1PQ, prompt, answer):
    """The mean negative log-likelihood from one plain, unpadded pass over ids and embeddings of a fresh model."""
    lm, layout = language.lm, language.layout
    embed = lm.get_input_embeddings()
    asked, said = layout.before, layout.prompt(prompt) + layout.answer(answer)
    ids = [torch.tensor([part], dtype=torch.long) for part in (asked, said)]
    sequence = torch.cat([embed(ids[0]), prefix_1PQ, embed(ids[1])], 1)
    logp = lm(inputs_embeds=sequence).logits[0].log_softmax(-1)
    targets = layout.answer(answer)
    rows = logp[-len(targets) - 1 : -1]
    return -rows[range(len(targets)), targets].mean()


def test_loss_is_the_mean_over_the_answer_and_its_end(language):
    x = prefix(3)
    loss = language.loss(x, PROMPTS, ANSWERS)
    by_hand = [loss_by_hand(language, x[i : i + 1], PROMPTS[i], ANSWERS[i]) for i in range(3)]
    assert loss.shape == (3,)
    torch.testing.assert_close(loss, torch.stack(by_hand), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_batch_is_its_items_one_by_one(language, length):
    x = prefix(3, length)
    together = language.loss(x, PROMPTS, ANSWERS)
    alone = [language.loss(x[i : i + 1], PROMPTS[i : i + 1], ANSWERS[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-5)


def test_score_is_the_loss_summed(language):
    x = prefix(1)
    options = ["kitchen", "A", "the red bathroom"]
    scores = language.score(x, PROMPTS[0], options)
    losses = language.loss(x.expand(3, -1, -1), [PROMPTS[0]] * 3, options)
    counts = torch.tensor([len(language.layout.answer(option)) for option in options])
    torch.testing.assert_close(scores, -losses * counts, atol=1e-4, rtol=1e-5)


def test_an_option_scores_alike_alone_and_in_company(language):
    x = prefix(1)
    options = ["A", "the red bathroom", "kitchen", "12 beds"]
    together = language.score(x, PROMPTS[1], options)
    alone = torch.cat([language.score(x, PROMPTS[1], [option]) for option in options])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)


def test_scores_add_up_along_the_path_that_generation_takes(language):
    """The greedy answer, its end forced where it is cut, scores the sum of its tokens' log-probabilities."""
    x = prefix(1)
    logits, cache = language.ask(x, PROMPTS[0])
    total, ids = 0.0, []
    for step in range(4):
        logp = logits[0].log_softmax(-1).clone()
        token = int(logp.argmax()) if step < 3 else language.layout.end
        total += logp[token].item()
        ids.append(token)
        if token == language.layout.end:
            break
        logits, cache = language.forward_embeds(language._embed(torch.tensor([[token]])), cache)
    language.layout.answer = lambda text: ids
    assert math.isclose(float(language.score(x, PROMPTS[0], ["as generated"])), total, rel_tol=1e-4, abs_tol=1e-4)


def test_generates_what_a_full_pass_without_cache_would_choose(language):
    x = prefix(1)
    lm, layout = language.lm, language.layout
    embed = lm.get_input_embeddings()
    sequence = torch.cat([language.embed_opening(), x, language.embed_prompt(PROMPTS[0])], 1)
    ids = []
    for _ in range(6):
        token = int(lm(inputs_embeds=sequence).logits[0, -1].argmax())
        if token == layout.end:
            break
        ids.append(token)
        sequence = torch.cat([sequence, embed(torch.tensor([[token]]))], 1)
    assert language.generate(x, PROMPTS[0], max_new_tokens=6) == layout.text(ids)


def test_repetition_penalty_forbids_what_was_said(language):
    """With an enormous penalty no token comes twice; without one a random model repeats itself."""
    penalised = []
    language.layout.text = lambda ids: penalised.append(list(ids)) or ""
    language.layout.end = language.lm.generation_config.eos_token_id = -1
    for penalty in (1.0, 1e6):
        language.generate(prefix(1), PROMPTS[0], max_new_tokens=12, repetition_penalty=penalty)
    free, forbidden = penalised
    assert len(free) == len(forbidden) == 12
    assert len(set(forbidden)) == 12
    assert free[0] == forbidden[0]


def test_the_prefix_matters(language):
    ours, other = (language.loss(prefix(1, seed=seed), PROMPTS[:1], ANSWERS[:1]) for seed in (0, 1))
    assert (ours - other).abs() > 1e-3


def test_a_blind_model_answers_too(language):
    blind = torch.zeros(1, 0, 32)
    assert language.loss(blind, PROMPTS[:1], ANSWERS[:1]).isfinite()
    assert language.score(blind, PROMPTS[0], ["A", "B"]).shape == (2,)
    assert isinstance(language.generate(blind, PROMPTS[0]), str)


def test_a_cache_built_in_pieces_scores_like_one_pass(language):
    x = prefix(1, 6)
    whole = language.score(x, PROMPTS[0], ANSWERS)
    _, cache = language.forward_embeds(torch.cat([language.embed_opening(), x[:, :2]], 1))
    _, cache = language.forward_embeds(x[:, 2:], cache)
    logits, cache = language.forward_embeds(language.embed_prompt(PROMPTS[0]), cache)
    position = cache.get_seq_length()
    torch.testing.assert_close(language.score_after(logits, cache, ANSWERS, position), whole, atol=1e-4, rtol=1e-5)


def test_positions_are_the_callers(language):
    """Rotary positions are relative: shifting every position by 100 changes nothing, shifting the answer's does."""
    x = prefix(1)
    whole = language.score(x, PROMPTS[0], ANSWERS)

    def scored(shift, answer_shift):
        embeds = torch.cat([language.embed_opening(), x, language.embed_prompt(PROMPTS[0])], 1)
        n = embeds.shape[1]
        logits, cache = language.forward_embeds(embeds, position_ids=torch.arange(n)[None] + shift)
        return language.score_after(logits, cache, ANSWERS, position=n + answer_shift)

    torch.testing.assert_close(scored(100, 100), whole, atol=1e-3, rtol=1e-4)
    assert (scored(0, 100) - whole).abs().max() > 1e-2


def test_masked_tokens_are_as_good_as_absent(language):
    x = prefix(1, 6)
    mask = torch.tensor([[True, True, False, True, True, True]])
    masked, _ = language.forward_embeds(x, attention_mask=mask, position_ids=torch.tensor([[0, 1, 0, 2, 3, 4]]))
    absent, _ = language.forward_embeds(x[:, mask[0]])
    torch.testing.assert_close(masked, absent, atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_prefix_and_the_weights(language):
    x = prefix(2).requires_grad_()
    language.loss(x, PROMPTS[:2], ANSWERS[:2]).sum().backward()
    assert (x.grad.abs().amax(-1) > 0).all()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in language.parameters())


def test_a_frozen_model_passes_gradients_on(checkpoints):
    language = CausalLM(str(checkpoints["qwen2"]), freeze=True).load()
    x = prefix(1).requires_grad_()
    language.loss(x, PROMPTS[:1], ANSWERS[:1]).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in language.parameters())


def test_gradient_checkpointing_changes_no_gradient(checkpoints):
    gradients = []
    for recompute in (False, True):
        language = CausalLM(str(checkpoints["llama"]), gradient_checkpointing=recompute).load().train()
        assert language.lm.is_gradient_checkpointing is recompute
        x = prefix(2).requires_grad_()
        language.loss(x, PROMPTS[:2], ANSWERS[:2]).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


def test_half_precision_weights_give_float32_losses(checkpoints):
    exact = CausalLM(str(checkpoints["llama"])).load()
    coarse = CausalLM(str(checkpoints["llama"]), dtype="bfloat16").load()
    assert coarse.lm.dtype == torch.bfloat16
    losses = [model.loss(prefix(2), PROMPTS[:2], ANSWERS[:2]) for model in (exact, coarse)]
    assert losses[1].dtype == torch.float32
    torch.testing.assert_close(*losses, atol=0.1, rtol=0.05)
    assert coarse.score(prefix(1), PROMPTS[0], ["A"]).dtype == torch.float32


def test_saves_what_it_loads(language, tmp_path):
    before = language.loss(prefix(3), PROMPTS, ANSWERS)
    language.save(tmp_path)
    again = CausalLM(str(tmp_path / "llm")).load().eval()
    assert torch.equal(again.loss(prefix(3), PROMPTS, ANSWERS), before)
    assert not (tmp_path / "tokenizer" / "config.json").exists()


def test_loads_nothing_until_it_is_told_to(checkpoints, tmp_path):
    language = CausalLM("nobody/nothing")
    assert list(language.parameters()) == []
    shutil.copy(checkpoints["llama"] / "config.json", tmp_path)
    unread = CausalLM(str(tmp_path))
    assert unread.width == 32
    with pytest.raises(RuntimeError, match="load"):
        unread.loss(prefix(1), PROMPTS[:1], ANSWERS[:1])
    with pytest.raises(UserError, match="safetensors"):
        CausalLM(str(tmp_path), tokenizer=str(checkpoints["llama"].parent / "tokenizer")).load()


def test_refuses_pickled_weights(checkpoints, tmp_path):
    root = tmp_path / "llm"
    shutil.copytree(checkpoints["qwen2"].parent, tmp_path, dirs_exist_ok=True)
    model = AutoModelForCausalLM.from_pretrained(root)
    (root / "model.safetensors").unlink()
    torch.save(model.state_dict(), root / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        CausalLM(str(root)).load()


def test_refuses_a_tokenizer_that_loses_text(checkpoints, tmp_path):
    """A word-level tokenizer beside a qwen2 config.json loads as a Qwen2 tokenizer, which knows none of its words."""
    for file in (checkpoints["qwen2"].parent / "tokenizer").iterdir():
        shutil.copy(file, tmp_path)
    for file in checkpoints["qwen2"].iterdir():
        shutil.copy(file, tmp_path)
    with pytest.raises(UserError, match="encodes 'which room' as"):
        CausalLM(str(tmp_path)).load()


def test_refuses_what_does_not_fit(checkpoints, tmp_path):
    language = CausalLM(str(checkpoints["qwen2"])).load()
    with pytest.raises(ValueError, match=r"expected \(M, P, 32\), got \(1, 5, 16\)"):
        language.loss(prefix(1, width=16), PROMPTS[:1], ANSWERS[:1])
    with pytest.raises(ValueError, match="as many prompts"):
        language.loss(prefix(2), PROMPTS, ANSWERS)
    with pytest.raises(ValueError, match="one item"):
        language.score(prefix(2), PROMPTS[0], ["A"])
    with pytest.raises(ValueError, match="at least one"):
        language.score(prefix(1), PROMPTS[0], [])
    with pytest.raises(ValueError, match="neither"):
        language.loss(prefix(1, 0), [""], ["A"])
    with pytest.raises(UserError, match=r"config\.json"):
        _ = CausalLM(str(tmp_path)).width


def test_words_by_themselves_have_the_mean_of_their_tokens(language):
    both, one, other = language.embed_words(["red chair", "red", "chair"])
    torch.testing.assert_close(both, (one + other) / 2)
    torch.testing.assert_close(language.embed_pieces("red chair"), torch.stack([one, other]))
    with pytest.raises(ValueError, match="words: expected ones that the tokenizer knows, got ''"):
        language.embed_words(["red", ""])


def test_a_word_is_spelled_by_its_first_tokens_and_its_last(language):
    long, both, one, other, last = language.embed_words(["red chair kitchen", "red chair", "red", "chair", "kitchen"])
    spelled = language.embed_spelled(["red chair", "red", "red chair kitchen"])
    torch.testing.assert_close(spelled[0], torch.stack([one, other]))
    torch.testing.assert_close(spelled[1], torch.stack([one, torch.zeros_like(one)]))
    torch.testing.assert_close(spelled[2], torch.stack([both, last]))
    torch.testing.assert_close(long, (2 * both + last) / 3)
    with pytest.raises(ValueError, match="words: expected ones that the tokenizer knows, got ''"):
        language.embed_spelled([""])


def reconfigured(checkpoint, folder, file="config.json", **changes):
    """A copy of a checkpoint, its tokenizer beside it, with changes to a JSON file of the language model's folder."""
    shutil.copytree(checkpoint.parent, folder, dirs_exist_ok=True)
    path = folder / "llm" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder / "llm"


def test_code_that_a_checkpoint_brings_is_refused_and_nobody_is_asked(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "y")
    ran = tmp_path / "ran"
    own = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", None]}
    llm = reconfigured(checkpoints["qwen2"], tmp_path / "model", model_type="own", auto_map=own)
    reader = reconfigured(
        checkpoints["qwen2"],
        tmp_path / "reader",
        "../tokenizer/tokenizer_config.json",
        tokenizer_class="Own",
        auto_map=own,
    )
    for folder in (llm, reader.parent / "tokenizer"):
        (folder / "own.py").write_text(
            f"open({str(ran)!r}, 'w')\nfrom transformers import Qwen2Config\nclass Own(Qwen2Config): model_type = 'own'"
        )
    for read in (CausalLM(str(llm)).load, lambda: CausalLM(str(llm)).width, CausalLM(str(reader)).load):
        with pytest.raises(UserError, match="needs code of its own, which is never run"):
            read()
    assert not ran.exists()


@pytest.mark.parametrize(
    ("changes", "came"),
    [
        ({"model_type": "cambrian_qwen"}, "got those of model_type 'cambrian_qwen'"),
        ({"model_type": "qwen2_5_vl"}, "got those of model_type 'qwen2_5_vl'"),
        ({"model_type": "siglip"}, "got those of model_type 'siglip'"),
        ({"hidden_size": "many"}, "expected int, got str"),
        ({"vocab_size": 7}, r"missing or misshapen .*embed_tokens"),
        ({"num_attention_heads": 0}, "ZeroDivisionError"),
    ],
)
def test_refuses_checkpoints_of_other_models_and_with_odd_sizes(checkpoints, tmp_path, changes, came):
    with pytest.raises(UserError, match=came):
        CausalLM(str(reconfigured(checkpoints["qwen2"], tmp_path, **changes))).load()


@pytest.mark.parametrize(
    ("config", "came"),
    [
        ({"model_type": "cambrian_qwen"}, "expected a config for AutoConfig, got one of model_type 'cambrian_qwen'"),
        ({"model_type": "qwen2", "hidden_size": None}, "expected int, got NoneType"),
        ({"model_type": "timm_backbone"}, "expected a language model with a hidden_size, got 'timm_backbone'"),
    ],
)
def test_refuses_configs_that_say_no_width(tmp_path, config, came):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=came):
        _ = CausalLM(str(tmp_path)).width


def test_refuses_weights_that_are_cut_off(checkpoints, tmp_path):
    weights = reconfigured(checkpoints["qwen2"], tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"expected weights as safetensors .*file not fully covered"):
        CausalLM(str(weights.parent)).load()
