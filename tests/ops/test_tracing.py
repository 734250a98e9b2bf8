"""The ops are ordinary torch ops: opcheck passes, torch.compile and torch.export trace through them without a break."""

import pytest
import torch
from torch import nn

from ssm_sense.ops import causal_conv1d, selective_scan

pytestmark = pytest.mark.usefixtures("each_backend")


class Block(nn.Module):
    """Convolution and scan with states in and out, as a Mamba block calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4) / 2)
        self.A_log = nn.Parameter(torch.randn(6, 16).abs().log())
        self.D = nn.Parameter(torch.ones(6))

    def forward(self, x, dt, B, C, gate, keep, history, state):
        x, history = causal_conv1d(x, self.weight, None, keep, history, "silu")
        A = -self.A_log.exp()
        y, state = selective_scan(x, dt, A, B, C, self.D, dt_softplus=True, gate=gate, keep=keep, initial_state=state)
        return y, history, state


@pytest.fixture
def block_inputs(scan_inputs):
    torch.manual_seed(0)
    inputs = scan_inputs(2, 9, 6, 16, torch.float32)
    names = ("x", "dt", "B", "C", "gate", "keep")
    return (*(inputs[name] for name in names), torch.randn(2, 3, 6), inputs["initial_state"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck_scan(dtype, scan_inputs):
    inputs = scan_inputs(2, 34, 5, 16, dtype)
    args = [tensor.requires_grad_() for tensor in inputs.values()]
    args.insert(8, True)
    torch.library.opcheck(torch.ops.ssm_sense.scan.default, (*args, True))
    few = [*args[:5], None, None, None, True, None, None, None]
    torch.library.opcheck(torch.ops.ssm_sense.scan.default, (*few, True))
    bare = [t.detach() if isinstance(t, torch.Tensor) else t for t in few]
    torch.library.opcheck(torch.ops.ssm_sense.scan.default, (*bare, False))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_opcheck_conv(dtype, conv_inputs):
    inputs = [tensor.requires_grad_() for tensor in conv_inputs(2, 9, 5, 4, dtype).values()]
    torch.library.opcheck(torch.ops.ssm_sense.conv.default, (*inputs, True))
    torch.library.opcheck(torch.ops.ssm_sense.conv.default, (*inputs[:2], None, None, None, False))


def test_compile_in_one_graph_gives_the_same_gradients(block_inputs):
    block = Block()
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)

    def run(module):
        block.zero_grad()
        y, history, state = module(*block_inputs)
        (y.square().sum() + history.sum() + state.square().sum()).backward()
        return [y, history, state, *(p.grad.clone() for p in block.parameters())]

    for eager, traced in zip(run(block), run(compiled), strict=True):
        torch.testing.assert_close(traced, eager)


def test_compile_under_inference_mode(block_inputs):
    block = Block()
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    with torch.inference_mode():
        for eager, traced in zip(block(*block_inputs), compiled(*block_inputs), strict=True):
            torch.testing.assert_close(traced, eager)


def test_export_with_a_free_length(block_inputs):
    block = Block().eval()
    length = torch.export.Dim("length", min=2, max=4096)
    timed = ({1: length},) * 6
    program = torch.export.export(block, block_inputs, dynamic_shapes=(*timed, None, None))
    targets = {str(node.target) for node in program.graph.nodes}
    assert {"ssm_sense.scan.default", "ssm_sense.conv.default"} <= targets
    longer = [torch.cat([t] * 5, 1) for t in block_inputs[:6]]
    for eager, traced in zip(
        block(*longer, *block_inputs[6:]), program.module()(*longer, *block_inputs[6:]), strict=True
    ):
        torch.testing.assert_close(traced, eager)


def test_outputs_are_dense_as_tracing_is_told_whatever_comes_in(scan_inputs, conv_inputs):
    def turned(inputs):
        return {name: t.mT.contiguous().mT.requires_grad_() if t.dim() == 3 else t for name, t in inputs.items()}

    y, state = selective_scan(**turned(scan_inputs(2, 5, 8, 4, torch.float32)), dt_softplus=True)
    z, history = causal_conv1d(**turned(conv_inputs(2, 5, 8, 4, torch.float32)))
    assert all(t.is_contiguous() for t in (y, state, z, history))
