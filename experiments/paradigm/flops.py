"""Floating-point operations of a training of 800 steps, by system and kind of streams, from every second step.

python experiments/paradigm/flops.py

Counted by torch's counter, forward and backward; it does not count the recurrences' scans and triangular systems.
"""

import logging

from torch.utils.flop_counter import FlopCounterMode

from ssm_sense.commands.latent_fit import LatentCLI
from ssm_sense.lit.latent import LatentBatches, LatentData, LatentModule

SYSTEMS = ("delta", "gated_delta", "uniform_frames", "surprising_frames", "all_frames")
STREAMS = {"matched 100%": (150, 128, 32), "short": (12, 8, 82)}
"""Most events and facts, and streams a step, as latent/sweep.yaml has them."""
STEPS, EVERY = 800, 2


def main() -> None:
    """Print a line for each system and kind of streams."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for kind, (events, facts, batch) in STREAMS.items():
        for system in SYSTEMS:
            arguments = [f"--config=configs/latent/{system}.yaml"]
            module = LatentCLI(LatentModule, LatentData, args=arguments, run=False, seed_everything_default=0).model
            batches = LatentBatches(module.world, batch, events, facts, 16, 500, 200, 0)
            counted = 0
            for step in range(EVERY // 2, STEPS, EVERY):
                drawn = batches.batch(step)
                with FlopCounterMode(display=False) as counter:
                    module._losses(drawn)[0]["loss"].backward()
                counted += counter.get_total_flops()
            print(f"{kind}, {system}: {counted * EVERY / 1e9:.0f} GFLOP", flush=True)


if __name__ == "__main__":
    main()
