"""How the weights of a file fit a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Fit:
    """How the weights of a file fit a model: names of tensors.

    Args:
        loaded: Those that were copied.
        missing: Of the model, not in the file.
        misshapen: In both, with different shapes.
        unused: Of the file, not in the model.
    """

    loaded: list[str]
    missing: list[str]
    misshapen: list[str]
    unused: list[str]

    def describe(self) -> str:
        """One line; the first of each list as an example."""
        total = len(self.loaded) + len(self.missing) + len(self.misshapen)
        parts = [f'{len(self.loaded)} of {total} tensors loaded']
        for text, names in (
            ('not in the file', self.missing),
            ('of another shape', self.misshapen),
            ('of the file unused', self.unused),
        ):
            if names:
                parts.append(f'{len(names)} {text}, e.g. {names[0]}')
        return '; '.join(parts) + self._prefix()

    def _prefix(self) -> str:
        """What stands before all names on one side only, if that is why they do not fit."""
        for longer, shorter, text in (
            (self.unused, self.missing, "the file's names begin with {}, the model's do not"),
            (self.missing, self.unused, "the model's names begin with {}, the file's do not"),
        ):
            fitting = [s for s in shorter if longer and longer[0].endswith(f'.{s}')]
            prefix = longer[0].removesuffix(fitting[0]) if fitting else ''
            if prefix and {f'{prefix}{name}' for name in shorter} & set(longer[1:]):
                return '; ' + text.format(repr(prefix))
        return ''

    @property
    def is_complete(self) -> bool:
        """Whether file and model hold the same tensors."""
        return not (self.missing or self.misshapen or self.unused)


def load_fitting(model: nn.Module, state: Mapping[str, Any], partly: bool) -> Fit:
    """Copy the tensors of a state dict into a model.

    Args:
        model: The model.
        state: Tensors by name; a leading ``module.`` of a distributed run is dropped.
        partly: Copy those that fit; else copy all or none.
    """
    state = {str(key).removeprefix('module.'): value for key, value in state.items()}
    own = model.state_dict()
    both = [key for key in own if key in state]
    shapes = {key: tuple(getattr(state[key], 'shape', ())) for key in both}
    fits = [key for key in both if shapes[key] == tuple(own[key].shape)]
    wrong = [f'{k}: {shapes[k]} there, {tuple(own[k].shape)} here' for k in both if k not in fits]
    fit = Fit(fits, [k for k in own if k not in state], wrong, [k for k in state if k not in own])
    if partly or fit.is_complete:
        model.load_state_dict({key: state[key] for key in fits}, strict=False)
    return fit
