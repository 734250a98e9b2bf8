"""How right sightings are where they are so sure, before and after `ssm-sense calibrate --only-sightings`.

python experiments/memory_comparison/reliability.py MODEL VIDEOS FEATURES
"""

import sys
from itertools import pairwise
from pathlib import Path

import torch

from ssm_sense.data.latents import LatentSource
from ssm_sense.data.world.names import NEEDLES
from ssm_sense.evaluate.sureness import logits_of
from ssm_sense.folder import load_model
from ssm_sense.lit.data import load_streams
from ssm_sense.model import SsmSense

_EDGES = (0.05, 0.2, 0.5, 0.8, 0.95, 1.0)


@torch.inference_mode()
def main(folder: Path, videos: Path, features: Path) -> None:
    """Print, of all frames and things, how many are found and truly there, in all and by how sure the model is."""
    model, vision = load_model(folder)
    if not isinstance(model, SsmSense) or model.sightings is None:
        raise SystemExit(f"{folder}: expected a model that seeks something")
    streams = load_streams(videos, LatentSource(features, vision.fingerprint))
    there_NX = torch.cat([logits_of(model, stream.latents) for stream in streams])
    true_NX = torch.cat([stream.beside for stream in streams])[:, [NEEDLES.index(name) for name in model.sought]]
    known, true_NX = true_NX >= 0, true_NX > 0
    print("| how sure | frames | mean | truly there |\n|---|---|---|---|")
    for name, moved in (("as learned", torch.zeros_like(model.sightings.moved)), ("calibrated", model.sightings.moved)):
        sure = torch.sigmoid(there_NX + moved)[known]
        true = true_NX[known].double()
        brier = (sure - true).square().mean()
        print(f"| {name}: {sure.sum():.0f} found, {true.sum():.0f} there; Brier score {brier:.5f} | | | |")
        for low, high in pairwise(_EDGES):
            these = (sure > low) & (sure <= high)
            print(f"| {low:g} to {high:g} | {these.sum()} | {sure[these].mean():.2f} | {true[these].mean():.2f} |")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
