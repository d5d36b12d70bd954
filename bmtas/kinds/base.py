"""What a label is: the interface of every kind, and what a user writes to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bmtas.files import nearest
from bmtas.registry import KINDS
from bmtas.typed import check_value, hints_of

Draw = Mapping[str, Any]
"""Options of a task's pictures: ``names`` of the classes, ``palette``."""


@dataclass(frozen=True)
class Kind(ABC):
    """One kind of label: how it is read, moved, learnt, measured, drawn and written.

    A kind is a frozen dataclass whose fields are its options: those of the task (number of
    classes) and those of its files (marks for "no label", scale). Labels are arrays in the
    transforms (H, W[, C]), tensors behind ``PackSample`` (maps with channels (C, H, W)). Kinds of
    maps derive from ``MapKind``, kinds with one value for the whole image from ``ImageKind``.

    Class attributes:
        name: The word for it in configs and messages.
        dense: Whether the label is a map of the image's size.
        loss, metric, head: Configs that a task takes where its entry names none; ``head`` changes
            the model's head.
    """

    name: ClassVar[str] = ''
    dense: ClassVar[bool] = True
    loss: ClassVar[Mapping[str, Any]] = {}
    metric: ClassVar[Mapping[str, Any]] = {}
    head: ClassVar[Mapping[str, Any]] = {}

    def __str__(self) -> str:
        return self.name or type(self).__name__

    def config(self) -> dict[str, Any]:
        """What ``build_kind`` makes this kind from: its type and the options that are set."""
        changed = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.default is MISSING or getattr(self, f.name) != f.default
        }
        return dict(type=str(self), **changed)

    # ---- labels: from a file to a tensor

    @property
    @abstractmethod
    def channels(self) -> int:
        """Output channels of a head."""

    @abstractmethod
    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """The label from the values of a file.

        Raises:
            ValueError: Values that cannot be right; one line that names the file.
        """

    @abstractmethod
    def to_tensor(self, array: np.ndarray) -> Tensor:
        """The label as a tensor."""

    @abstractmethod
    def labelled(self, label: Tensor | np.ndarray) -> Any:
        """Where there is a label: bool, the shape of the label without its channels."""

    @abstractmethod
    def blank(self, size: Sequence[int]) -> Tensor:
        """The label of an image (H, W) without any."""

    def check(self, label: Tensor, where: str) -> None:  # noqa: B027
        """Raise a ValueError that starts with ``where`` if a label holds impossible values."""

    # ---- labels in transforms

    @abstractmethod
    def mirror(self, array: np.ndarray) -> np.ndarray:
        """Mirrored left to right."""

    @abstractmethod
    def crop(self, array: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        """The part inside a window (rows, columns)."""

    @abstractmethod
    def pad(self, array: np.ndarray, pad: Sequence[int]) -> np.ndarray:
        """With (top, bottom, left, right) unlabelled pixels around."""

    @abstractmethod
    def resize(self, array: np.ndarray, size: tuple[int, int], zoom: float = 1.0) -> np.ndarray:
        """At the size (H, W); ``zoom`` tells how much nearer the scene has come."""

    @abstractmethod
    def rotate(
        self, array: np.ndarray, matrix: np.ndarray, angle: float, zoom: float
    ) -> np.ndarray:
        """Moved by an affine matrix (2, 3) that turns by degrees counter-clockwise and zooms."""

    # ---- predictions

    @abstractmethod
    def resize_logits(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Logits of a head at the size (H, W) of the labels."""

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Predictions (N, ...) from the logits of a head."""

    @abstractmethod
    def unpad(self, values: Tensor, pad: Sequence[int] | None) -> Tensor:
        """A label or prediction without the padding (top, bottom, left, right)."""

    def prediction_shape(self, label: Tensor) -> tuple[int, ...]:
        """Shape of the prediction that belongs to a label."""
        return tuple(label.shape)

    @abstractmethod
    def error(self, prediction: Tensor, label: Tensor) -> float:
        """Error of one image's prediction, higher is worse; NaN without label."""

    # ---- the best constant prediction

    @abstractmethod
    def label_sums(self, label: Tensor) -> Tensor:
        """Sums (float64) from which the best constant follows; zeros without label."""

    @abstractmethod
    def constants(self, sums: Tensor) -> list[Tensor]:
        """Constants that may be the best, the likeliest first; the metric chooses."""

    def expand(self, constant: Tensor, label: Tensor) -> Tensor:
        """The constant as a prediction for an image with this label."""
        return constant.expand(self.prediction_shape(label))

    # ---- pictures and files

    def summary(self, array: np.ndarray) -> tuple[float, float, float]:
        """(lowest, highest, share) of the labelled values of an array."""
        valid = np.asarray(self.labelled(array))
        if not valid.any():
            return np.nan, np.nan, 0.0
        values = self.compared(array)[valid]
        return float(values.min()), float(values.max()), float(valid.mean())

    def compared(self, array: np.ndarray) -> np.ndarray:
        """The values of an array that ``summary`` looks at."""
        return np.asarray(array)

    def suspicion(self, low: float, high: float, split: bool) -> str:
        """What looks wrong with the labels of one image, or of a whole split; '' if nothing.

        Args:
            low, high: Lowest and highest labelled value.
            split: Whether they are those of a whole split.
        """
        return ''

    def limits(self, maps: Sequence[Any]) -> tuple[float, float] | None:
        """Range of one colour scale for several maps; None where colours need none."""
        return None

    def legend(self, draw: Draw) -> list[tuple[np.ndarray, str]]:
        """Colours (3,) and names to explain a picture; empty where it explains itself."""
        return []


def build_kind(
    cfg: Kind | str | Mapping[str, Any],
    where: str = 'kind',
    beside: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Kind:
    """A kind from its name, or from ``dict(type=name, **options)``.

    Args:
        cfg: What to build; a kind is returned as it is.
        where: Start of the error messages.
        beside: Other keys that may stand beside the options, for messages.
        options: Further options.

    Raises:
        ValueError: Unknown kind or option, a missing option, or one out of range.
    """
    options = options or {}
    if isinstance(cfg, Kind):
        for key in options:
            raise ValueError(f'{where}: no key {key!r} beside a built kind; {nearest(key, beside)}')
        return cfg
    if not isinstance(cfg, (str, Mapping)):
        raise ValueError(f'{where}: {cfg!r} is no kind; give a name or dict(type=name, **options)')
    options = {**(dict(type=cfg) if isinstance(cfg, str) else cfg), **options}
    name = options.pop('type', None)
    known_kinds = kind_names()  # a registry would take the name for that of a module, too
    target = KINDS.module_dict.get(name) if isinstance(name, str) else name
    if target is None:
        raise ValueError(f'{where}: unknown kind {name!r}; {nearest(str(name), known_kinds)}')
    known = {f.name: f for f in fields(target)}
    for key in options:
        if key not in known:
            hint = nearest(key, {*known, *beside})
            raise ValueError(f'{where}: kind {name!r} has no option {key!r}; {hint}')
    for key, field in known.items():
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and key not in options:
            raise ValueError(f'{where}: kind {name!r} needs {key}')
    hints = hints_of(target)
    for key, value in options.items():
        check_value(value, hints.get(key, Any), f'{where}: {key}')
    try:
        return target(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: {error}') from error


def check_suits(owner: Any, kind: Kind, where: str = '') -> None:
    """Raise a ValueError if a loss or metric is not meant for a kind (its attribute ``suits``)."""
    if not isinstance(kind, owner.suits):
        name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        meant = owner.suits.name or owner.suits.__name__
        raise ValueError(f'{where}{name} is meant for kind {meant}, not for {kind}')


def kind_names() -> list[str]:
    """Names of all kinds that are registered."""
    KINDS.import_from_location()
    return sorted(KINDS.module_dict)


def to_array(values: Any) -> np.ndarray:
    """A tensor or array as an array on the CPU, floats in single precision."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().float() if values.is_floating_point() else values.cpu()
    return np.asarray(values)


def as_float(array: np.ndarray) -> Tensor:
    """A contiguous float32 tensor of an array."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
