"""What a SigLIP knows of pictures it was not trained on: by its texts, and by a linear probe of its patches.

`python -m ssm_sense.tiny.probe` prints how well the shipped one tells each thing, in houses of the validation split.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssm_sense.data.world.names import NEEDLES, ROOM_KINDS
from ssm_sense.tiny import folder
from ssm_sense.tiny.corpus import PER_ROOM, Pictures, read_corpus, render_corpus
from ssm_sense.tiny.statements import TEXTS, THINGS
from ssm_sense.vision import SiglipTextTower, SiglipTower

SEEN_PIXELS = 20
"""A thing is plainly seen in a picture of 128² from so many visible pixels on."""
FILLED_PIXELS = 24
"""And in a patch of 16² from so many on."""
FEWEST = 20
"""Things seen in fewer pictures, or patches, than this are left out of mean average precisions."""


def pixels_of_pictures(cells: Tensor) -> Tensor:
    """Pixels of each thing in the whole picture, int64 (n, K), of cells uint8 (n, S, K)."""
    return cells.sum(1, dtype=torch.int64)


def encode(tower: SiglipTextTower | SiglipTower, images: Sequence[np.ndarray]) -> Tensor:
    """Latents (n, S, V) of images uint8 (H, W, 3)."""
    return torch.cat(
        [tower.encode(torch.from_numpy(np.stack(images[i : i + 256]))) for i in range(0, len(images), 256)]
    )


def patch_scores(tower: SiglipTextTower, images: Sequence[np.ndarray]) -> Tensor:
    """Cosine similarity (n, S, K) of each patch, in the space of the pooled embeddings, to the text of each thing."""
    assert tower.model is not None
    texts = tower.embed_texts(TEXTS[: len(THINGS)])
    scores = []
    for i in range(0, len(images), 256):
        pixels = tower.preprocess(torch.from_numpy(np.stack(images[i : i + 256])))
        with torch.inference_mode():
            patches = tower.model.vision_model(pixels).last_hidden_state
        scores.append(F.normalize(patches.float(), dim=-1) @ texts.T)
    return torch.cat(scores)


def average_precision(scores: Tensor, truth: Tensor) -> float:
    """Area under the precision-recall curve of scores (n,) against bool truth (n,), as the mean precision at hits."""
    hits = truth[scores.argsort(descending=True, stable=True)].double()
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum())


def probe_texts(tower: SiglipTextTower, held_out: Pictures) -> dict[str, float]:
    """Zero-shot numbers, each beside its chance: kinds of rooms, things in pictures, things in patches."""
    scores = encode(tower, held_out.images)[:, 0] @ tower.embed_texts(TEXTS).T
    cells, room = torch.from_numpy(held_out.cells), torch.from_numpy(held_out.rooms)
    return {
        "room_accuracy": float((scores[:, len(THINGS) :].argmax(1) == room).double().mean()),
        "room_chance": float(room.bincount().max() / len(room)),
        **_mean_precision("", scores[:, : len(THINGS)], pixels_of_pictures(cells) >= SEEN_PIXELS),
        **_mean_precision(
            "dense_", patch_scores(tower, held_out.images).flatten(0, 1), cells.flatten(0, 1) >= FILLED_PIXELS
        ),
    }


def precision_of_things(tower: SiglipTextTower, held_out: Pictures) -> dict[str, float]:
    """Zero-shot average precision of each thing in pictures, best first; what is seen too rarely is left out."""
    scores = encode(tower, held_out.images)[:, 0] @ tower.embed_texts(TEXTS[: len(THINGS)]).T
    seen = pixels_of_pictures(torch.from_numpy(held_out.cells)) >= SEEN_PIXELS
    found = {
        name: average_precision(scores[:, i], seen[:, i]) for i, name in enumerate(THINGS) if seen[:, i].sum() >= FEWEST
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _mean_precision(title: str, scores: Tensor, truth: Tensor) -> dict[str, float]:
    """Of all things, and of needles among them; scores and truth (n, K)."""
    numbers = {}
    for group, names in (("thing", THINGS), ("needle", NEEDLES)):
        common = [i for i, name in enumerate(THINGS) if name in names and truth[:, i].sum() >= FEWEST]
        if common:
            precisions = [average_precision(scores[:, i], truth[:, i]) for i in common]
            numbers[f"{title}{group}_average_precision"] = float(np.mean(precisions))
            numbers[f"{title}{group}_chance"] = float(truth[:, common].double().mean())
    return numbers


def probe_patches(tower: SiglipTower, train: Pictures, held_out: Pictures) -> dict[str, float]:
    """A linear probe of the patches' mean, fitted on `train`: kinds of rooms and presence of things on `held_out`."""
    x, x_new = (encode(tower, pictures.images).mean(1) for pictures in (train, held_out))
    mean, scale = x.mean(0), x.std(0)
    x, x_new = (x - mean) / scale, (x_new - mean) / scale
    room, room_new = torch.from_numpy(train.rooms), torch.from_numpy(held_out.rooms)
    seen, seen_new = (pixels_of_pictures(torch.from_numpy(p.cells)) >= SEEN_PIXELS for p in (train, held_out))
    outputs = len(ROOM_KINDS) + len(THINGS)
    weight = torch.zeros(x.shape[1], outputs, requires_grad=True)
    bias = torch.zeros(outputs, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = x @ weight + bias
        value = F.cross_entropy(logits[:, : len(ROOM_KINDS)], room)
        value = value + F.binary_cross_entropy_with_logits(logits[:, len(ROOM_KINDS) :], seen.float()) * len(THINGS)
        value = value + 1e-3 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        logits = x_new @ weight + bias
    guessed = logits[:, : len(ROOM_KINDS)].argmax(1)
    return {
        "probe_room_accuracy": float((guessed == room_new).double().mean()),
        "probe_room_chance": float((room_new == room.bincount().argmax()).double().mean()),
        **_mean_precision("probe_", logits[:, len(ROOM_KINDS) :], seen_new),
    }


def main(argv: list[str] | None = None) -> int:
    """Print each thing's average precision."""
    parser = argparse.ArgumentParser(prog="python -m ssm_sense.tiny.probe", description=__doc__)
    parser.add_argument("--siglip", type=Path, default=folder() / "siglip", help="default: the one that ships")
    parser.add_argument("--houses", type=int, default=12, help="of 12 rooms each; default: %(default)s")
    parser.add_argument("--per-room", type=int, default=PER_ROOM, help="pictures of each room; default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as corpus:
        for _ in render_corpus(Path(corpus), "val", args.houses, args.per_room, 1):
            pass
        held_out = read_corpus(Path(corpus), "val", args.houses, args.per_room)
    for name, precision in precision_of_things(SiglipTextTower(str(args.siglip)).load(), held_out).items():
        print(f"{name:16} {precision:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
