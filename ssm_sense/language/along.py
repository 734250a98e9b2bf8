"""Questions put along a stream, answered in the one forward pass that reads the stream."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ssm_sense.language.causal_lm import IGNORED, CausalLM
from ssm_sense.language.query import Query


def nll_along(
    language: CausalLM, seen_BnQ: Tensor, queries: Sequence[Query], visible_nn: Tensor, reach_Tn: Tensor
) -> Tensor:
    """What `read_along` finds, without the hidden states."""
    return read_along(language, seen_BnQ, queries, visible_nn, reach_Tn)[0]


def read_along(
    language: CausalLM, seen_BnQ: Tensor, queries: Sequence[Query], visible_nn: Tensor, reach_Tn: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean negative log-likelihood (K,) of each query's answer, its end included, as `CausalLM.loss` has it.

    Every query stands behind the stream's embeddings and sees those that its frame reaches and itself, at the
    positions it would have, had it been asked right after its frame; the stream never sees a query.

    Args:
        seen_BnQ: embeddings of each stream.
        visible_nn: bool, which of the stream's embeddings each of them sees; the order of time is in it.
        reach_Tn: bool, which of the stream's embeddings a query put after each frame sees.

    Returns:
        The likelihoods, and the last hidden state (B, moments, Q) at the newest embedding that is reached from each of
        the frames at which anything is asked, in order.
    """
    if language.lm is None or language.layout is None:
        raise RuntimeError("expected a loaded language model, call load() first")
    device, streams, n = seen_BnQ.device, *seen_BnQ.shape[:2]
    starts = reach_Tn.long().mul(torch.arange(1, n + 1, device=device)).amax(1).tolist()
    rows: list[list[tuple[int, int, int, int, int]]] = [[] for _ in range(streams)]
    for k, query in enumerate(queries):
        asked, said = language.layout.prompt(query.prompt), language.layout.answer(query.answer)
        labels = [*[IGNORED] * (len(asked) - 1), *said, IGNORED]
        rows[query.stream] += [
            (token, label, k, query.frame, starts[query.frame] + i)
            for i, (token, label) in enumerate(zip([*asked, *said], labels, strict=True))
        ]
    blank = [(language.layout.end, IGNORED, -1, 0, 0)]
    tails = pad_sequence([torch.tensor(row or blank) for row in rows], batch_first=True, padding_value=-1).to(device)
    tokens, labels_BL, owner, frame, position = tails.unbind(-1)
    padding = (tokens < 0) | (owner < 0)
    tokens, frame, position = (t.clamp_min(0) for t in (tokens, frame, position))
    order = torch.arange(tails.shape[1], device=device)
    own = (owner.unsqueeze(2) == owner.unsqueeze(1)) & (order[:, None] >= order)
    mask = seen_BnQ.new_zeros(streams, n + len(order), n + len(order), dtype=torch.bool)
    mask[:, :n, :n] = visible_nn
    mask[:, n:, :n] = reach_Tn[frame]
    mask[:, n:, n:] = own
    embeds = torch.cat([seen_BnQ, language.lm.get_input_embeddings()(tokens)], dim=1).to(language.lm.dtype)
    places = torch.arange(n, device=device).expand(streams, n)
    out = language.lm(
        inputs_embeds=embeds,
        attention_mask=torch.where(mask, 0.0, torch.finfo(embeds.dtype).min).to(embeds.dtype).unsqueeze(1),
        position_ids=torch.cat([places, position], dim=1),
        use_cache=False,
        logits_to_keep=len(order),
        output_hidden_states=True,
    )
    wanted = torch.where(padding, IGNORED, labels_BL)
    nll = F.cross_entropy(out.logits.float().mT, wanted, ignore_index=IGNORED, reduction="none")
    counted = wanted != IGNORED
    total = nll.new_zeros(len(queries)).index_add(0, owner[counted], nll[counted])
    newest = [starts[asked_at] - 1 for asked_at in sorted({query.frame for query in queries})]
    return total / torch.bincount(owner[counted], minlength=len(queries)), out.hidden_states[-1][:, newest].float()
