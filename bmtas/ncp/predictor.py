"""The predictor: a small network, or an ensemble of them, from code to metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from bmtas.engine import results_of
from bmtas.registry import MODELS
from bmtas.sealed import load_state, save_state

from .cost import RECORD_COST

FEATURES = ('code', 'cost')


class _Linear(nn.Module):
    """One linear layer per member of the ensemble: (N, M, in) to (N, M, out)."""

    def __init__(self, members: int, c_in: int, c_out: int) -> None:
        super().__init__()
        layers = [nn.Linear(c_in, c_out) for _ in range(members)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        product = torch.bmm(x.transpose(0, 1), self.weight)
        return product.transpose(0, 1) + self.bias


class _Block(nn.Module):
    """Linear, batch norm, swish, dropout for each member: (N, M, in) to (N, M, out)."""

    def __init__(self, members: int, c_in: int, c_out: int, dropout: float) -> None:
        super().__init__()
        self.linear = _Linear(members, c_in, c_out)
        self.norm = nn.BatchNorm1d(members * c_out)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        x = F.silu(self.norm(x.flatten(1)).view_as(x))
        if self.training and self.dropout:
            # uniform numbers cost half of what F.dropout's Bernoulli draws cost on a CPU
            x = x * (torch.rand_like(x) >= self.dropout) / (1 - self.dropout)
        return x


@MODELS.register_module()
class CodePredictor(BaseModel):
    """Metrics and recorded costs of a network from its code.

    Each member: batch norm of the input, a common block of ``hidden`` units, then for each group
    of outputs a block of ``head_width`` units and a linear layer (Ding et al., ICLR 2022). Inputs
    and targets are standardised with the statistics of the training rows, which the training loop
    hands to ``fit_statistics``. The loss is the mean smooth L1 of the standardised outputs.

    Args:
        setting: Setting of the records it learns, kept with the weights.
        heads: Groups of outputs, each ``dict(names=[...], dropout=0.5)``; the first name of the
            first group is the main metric.
        members: Networks of the ensemble; they differ in initial weights and dropout.
        features: ``code``: the numbers alone; ``cost``: besides, their logarithms and the
            logarithms of exact multiply-adds and parameters (multi-resolution codes only).
        dimension: Length of a code, 27, or 30 for one-hot cells.
        hidden: Units of the common block.
        head_width: Units of a head's block.
        dropout: Dropout of the common block.

    Attributes:
        names: Outputs, in order.
        noise: (outputs,) root mean square error on the validation rows, which ``fit_noise`` sets;
            0 before. An ensemble's own deviation says nothing of what a code does not determine.
    """

    def __init__(
        self,
        setting: str,
        heads: Sequence[Mapping[str, Any]],
        members: int = 1,
        features: str = 'code',
        dimension: int = 27,
        hidden: int = 256,
        head_width: int = 128,
        dropout: float = 0.5,
        data_preprocessor: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if features not in FEATURES:
            raise ValueError(f'predictor: features {features!r}, choose from {list(FEATURES)}')
        if members < 1:
            raise ValueError(f'predictor: members must be positive, got {members}')
        self.setting = setting
        self.names = tuple(name for head in heads for name in head['names'])
        if len(set(self.names)) != len(self.names) or not self.names:
            raise ValueError(f'predictor: output names must be distinct, got {self.names}')
        self.members, self.features, self.dimension = members, features, dimension
        self.config = {
            'setting': setting,
            'heads': [
                {'names': list(head['names']), 'dropout': float(head.get('dropout', 0.5))}
                for head in heads
            ],
            'members': members,
            'features': features,
            'dimension': dimension,
            'hidden': hidden,
            'head_width': head_width,
            'dropout': dropout,
        }
        inputs = dimension if features == 'code' else 2 * dimension + 2
        self.norm = nn.BatchNorm1d(inputs)
        self.common = _Block(members, inputs, hidden, dropout)
        self.heads = nn.ModuleList(
            nn.Sequential(
                _Block(members, hidden, head_width, head.get('dropout', 0.5)),
                _Linear(members, head_width, len(head['names'])),
            )
            for head in heads
        )
        for kind, size in (('input', inputs), ('target', len(self.names))):
            self.register_buffer(f'{kind}_mean', torch.zeros(size))
            self.register_buffer(f'{kind}_std', torch.ones(size))
        self.register_buffer('noise', torch.zeros(len(self.names)))

    def encode(self, codes: Tensor) -> Tensor:
        """Codes (N, D) in their own units to features (N, inputs), not yet standardised."""
        if self.features == 'code':
            return codes.to(self.input_mean.dtype)
        madds, params = RECORD_COST.both(codes.double())
        costs = torch.stack([madds.log(), params.log()], dim=1).to(self.input_mean.dtype)
        codes = codes.to(self.input_mean.dtype)
        return torch.cat([codes, codes.log2(), costs], dim=1)

    @torch.no_grad()
    def fit_statistics(self, codes: Tensor, targets: Tensor) -> None:
        """Take mean and deviation of inputs (N, D) and targets (N, outputs)."""
        for kind, values in (('input', self.encode(codes)), ('target', targets)):
            values = values.double()
            getattr(self, f'{kind}_mean').copy_(values.mean(0))
            deviation = values.std(0, correction=0)
            getattr(self, f'{kind}_std').copy_(torch.where(deviation > 0, deviation, 1.0))

    @torch.no_grad()
    def fit_noise(self, codes: Tensor, targets: Tensor) -> None:
        """Take the error on codes (N, D) that were not trained on, targets (N, outputs)."""
        error = self(codes).mean(1) - targets
        self.noise.copy_(error.pow(2).mean(0).sqrt())

    def standardised(self, codes: Tensor) -> Tensor:
        """Codes (N, D) to standardised outputs of every member, (N, members, outputs)."""
        return self.from_features(self.encode(codes))

    def from_features(self, features: Tensor) -> Tensor:
        """As ``standardised``, from what ``encode`` made of the codes."""
        x = self.norm((features - self.input_mean) / self.input_std)
        x = self.common(x.unsqueeze(1).expand(-1, self.members, -1))
        return torch.cat([head(x) for head in self.heads], dim=-1)

    def forward(
        self, inputs: Tensor, targets: Tensor | None = None, mode: str = 'tensor'
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Tensor]]:
        """Run the predictor.

        Args:
            inputs: Codes, (N, D).
            targets: Columns in the order of ``names``, (N, outputs).
            mode: ``tensor``: outputs of every member in their own units, (N, members, outputs);
                ``loss``: dict with ``loss_smooth_l1``; ``predict``: one dict with ``mean``,
                ``std`` (of the members and of the noise) and ``target``, each (N, outputs).

        Raises:
            ValueError: Unknown mode.
        """
        if mode == 'loss':
            return self.loss(inputs, targets)
        outputs = self.standardised(inputs) * self.target_std + self.target_mean
        if mode == 'tensor':
            return outputs
        if mode != 'predict':
            raise ValueError(f'mode {mode!r}, choose from loss, predict, tensor')
        std = (outputs.var(1, correction=0) + self.noise**2).sqrt()
        return [{'mean': outputs.mean(1), 'std': std, 'target': targets}]

    def loss(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Mean smooth L1 of the standardised outputs over members and outputs."""
        wanted = ((targets - self.target_mean) / self.target_std).unsqueeze(1)
        outputs = self.standardised(inputs)
        return {'loss_smooth_l1': F.smooth_l1_loss(outputs, wanted.expand_as(outputs))}

    def export(self, path: str | Path) -> None:
        """Write configuration and weights as plain types, for ``load_predictor``."""
        save_state(path, {'predictor': self.config, 'state_dict': self.state_dict()})


def load_predictor(path: str | Path, device: str = 'cpu') -> CodePredictor:
    """Read a predictor that ``CodePredictor.export`` wrote, ready to evaluate.

    Raises:
        FileNotFoundError: No such file; the message says how to make one.
        ValueError: The file holds no predictor.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path}: no such predictor; train it with bmtas train configs/ncp/predictor_*.py'
        )
    try:
        content = load_state(path, device, 'predictor')
        model = CodePredictor(**content['predictor'])
        model.load_state_dict(content['state_dict'])
    except Exception as error:  # damaged files raise many kinds
        reason = str(error).strip().split('\n')[0][:200]
        raise ValueError(
            f'{path}: no exported predictor ({type(error).__name__}: {reason})'
        ) from error
    return model.to(device).eval().requires_grad_(False)


@results_of.register
def _(model: CodePredictor, metrics: Mapping[str, float], cfg: Any) -> dict[str, Any]:
    # the outputs stand for tasks
    by_name: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        name, score = key.rsplit('/', 1)
        by_name.setdefault(name, {})[score] = float(value)
    return dict(
        version=1,
        tasks=list(by_name),
        metrics=by_name,
        scores={name: scores['tau'] for name, scores in by_name.items()},
        score_names=dict.fromkeys(by_name, 'tau'),
        higher_is_better=dict.fromkeys(by_name, True),
        params=sum(p.numel() for p in model.parameters()),
    )
