"""A Mamba block with its state outside: Gu & Dao 2023 (arXiv 2312.00752), algorithm 2 and figure 3."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssm_sense.ops import causal_conv1d, selective_scan
from ssm_sense.state import State


class Mamba(nn.Module):
    """Selective state-space mixing over time. Parameters carry mamba-ssm's names, so weights load both ways.

    Args:
        width: D, features in and out.
        state_size: N, numbers kept per inner channel.
        conv_width: W, taps of the causal convolution; 0 leaves it out (an episode's blocks, whose history must
            not shift while the gate holds them).
        expand: E / D.
        dt_rank: rank of the step size's projection; by default ⌈D / 16⌉.
        dt_min, dt_max: range of the step size at initialisation.
        decays: range of −A at initialisation, over which N rates are spaced evenly in the logarithm; None takes 1 … N.
        aligned: B and C begin equal and of a size that makes what is read back as large as what is passed on, so that
            from the start a step finds what was written by steps like itself (after the mimetic initialisation of
            Trockman et al. 2024, arXiv 2410.11135).
    """

    def __init__(
        self,
        width: int,
        state_size: int = 16,
        conv_width: int = 4,
        expand: int = 2,
        dt_rank: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        decays: tuple[float, float] | None = None,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.inner = expand * width
        self.state_size = state_size
        self.conv_width = conv_width
        self.dt_rank = dt_rank if dt_rank is not None else math.ceil(width / 16)
        self.in_proj = nn.Linear(width, 2 * self.inner, bias=False)
        if conv_width:
            self.conv1d = nn.Conv1d(self.inner, self.inner, conv_width, groups=self.inner)
        self.x_proj = nn.Linear(self.inner, self.dt_rank + 2 * state_size, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.inner)
        rates = torch.arange(1, state_size + 1).float().log()
        if decays is not None:
            rates = torch.linspace(math.log(decays[0]), math.log(decays[1]), state_size)
        self.A_log = nn.Parameter(rates.repeat(self.inner, 1))
        self.D = nn.Parameter(torch.ones(self.inner))
        self.out_proj = nn.Linear(self.inner, width, bias=False)
        self._initialise_dt(dt_min, dt_max)
        if aligned:
            self._align()

    def _initialise_dt(self, dt_min: float, dt_max: float) -> None:
        """Step sizes log-uniform in [dt_min, dt_max], through the inverse of softplus."""
        spread = self.dt_rank**-0.5
        nn.init.uniform_(self.dt_proj.weight, -spread, spread)
        low, high = math.log(dt_min), math.log(dt_max)
        dt = torch.exp(torch.rand(self.inner) * (high - low) + low)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def _align(self) -> None:
        """Equal rows for B and C, whose elements are about .5 for inputs as they leave the activation, about .35."""
        rows = torch.randn(self.state_size, self.inner) * 0.5 / (0.35 * self.inner**0.5)
        with torch.no_grad():
            self.x_proj.weight[self.dt_rank :].copy_(torch.cat([rows, rows]))

    def initial_state(self, batch: int) -> State:
        """Zeros: ``ssm`` (batch, E, N) and, with a convolution, ``conv`` (batch, W−1, E), on the weights' device."""
        tensors = {"ssm": self.A_log.new_zeros(batch, self.inner, self.state_size, dtype=torch.float32)}
        if self.conv_width:
            history = (batch, self.conv_width - 1, self.inner)
            tensors["conv"] = self.A_log.new_zeros(history, dtype=torch.float32)
        return State(tensors)

    def forward(
        self, x: Tensor, state: State, gate: Tensor | None = None, keep: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """One pass over any number of steps, one included.

        Args:
            x: (batch, length, D).
            state: what `initial_state` or an earlier call gave.
            gate: (batch, length) in [0, 1], how much of each step is written; None writes all.
            keep: (batch, length) in [0, 1], what survives of the past before each step; None keeps all.

        Returns:
            y (batch, length, D) and the state after the last step.
        """
        u, z = self.in_proj(x).chunk(2, dim=-1)
        after: dict[str, Tensor] = {}
        if self.conv_width:
            weight = self.conv1d.weight.squeeze(1)
            u, after["conv"] = causal_conv1d(u, weight, self.conv1d.bias, keep, state["conv"], "silu")
        else:
            u = F.silu(u)
        sizes = [self.dt_rank, self.state_size, self.state_size]
        dt, b, c = self.x_proj(u).split(sizes, dim=-1)
        dt = F.linear(dt, self.dt_proj.weight)
        y, after["ssm"] = selective_scan(
            u,
            dt,
            -torch.exp(self.A_log.float()),
            b,
            c,
            self.D.float(),
            z,
            self.dt_proj.bias.float(),
            dt_softplus=True,
            gate=gate,
            keep=keep,
            initial_state=state["ssm"],
        )
        return self.out_proj(y), State(after)
