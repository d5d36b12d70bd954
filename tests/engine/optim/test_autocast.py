import torch
from torch import nn

from bmtas.engine import optim  # noqa: F401  (registers)
from bmtas.engine.optim import AutocastOptimWrapper


def test_autocast_runs_the_forward_pass_in_bfloat16_and_steps_in_float32():
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    wrapper = AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 2))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    torch.testing.assert_close(model.weight.detach(), before - 0.1)
