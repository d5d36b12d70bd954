"""The one interface of every encoder, and what a search asks of one beyond it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bmtas.branching import BranchingTree
from bmtas.files import nearest
from bmtas.registry import MODELS
from bmtas.resources import STEM, Part

__all__ = ['STEM', 'Encoder', 'Features', 'Part', 'SearchableEncoder', 'encoder_class']

Features = dict[str, tuple[Tensor, Tensor]]
"""For each task name: the deep feature and the low-level feature, both (N, C, H, W)."""
Work = tuple[tuple[str, Hashable], ...]
"""Names and values of arguments."""


class Encoder(nn.Module, ABC):
    """Images in, for each requested task a deep and a low-level feature out.

    Heads and losses do not know which encoder fed them; a new way of sharing is a new subclass
    in the registry MODELS, which is built with the keyword ``tasks``. Only ``forward`` and
    ``parts`` must be written.

    Args:
        tasks: Distinct task names, in order.
        deep_channels, low_channels: Channels of the two features.
        layer_names: Names of the L layers that tasks may share; empty where there is no choice.

    Attributes:
        tasks, deep_channels, low_channels, layer_names: As given.
        tree: The branching tree that the encoder is built from, None if there is none.
        searchable: Whether it is a ``SearchableEncoder``.
        takes_tree: Whether its config is completed by a tree, see ``config_of_tree``.

    Raises:
        ValueError: No task, or a name given twice.
    """

    searchable: ClassVar[bool] = False
    takes_tree: ClassVar[bool] = False
    tree: BranchingTree | None = None

    def __init__(
        self,
        tasks: Sequence[str],
        deep_channels: int,
        low_channels: int,
        layer_names: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f'encoder: tasks must be distinct and not empty, got {self.tasks}')
        self.deep_channels, self.low_channels = deep_channels, low_channels
        self.layer_names = tuple(layer_names)

    @property
    def num_layers(self) -> int:
        """L, the context module included."""
        return len(self.layer_names)

    def task_indices(self, tasks: Sequence[str]) -> list[int]:
        """Positions of task names.

        Raises:
            ValueError: A name that the encoder does not know.
        """
        unknown = [task for task in tasks if task not in self.tasks]
        if unknown:
            hint = nearest(unknown[0], self.tasks)
            raise ValueError(f'encoder: unknown task {unknown[0]!r}; {hint}')
        return [self.tasks.index(task) for task in tasks]

    @abstractmethod
    def forward(self, images: Tensor, tasks: Sequence[str], **routing: Any) -> Features:
        """Encode images (N, 3, H, W) for the named tasks, in their order."""

    def work(self, tasks: Sequence[str], **routing: Any) -> Work | None:
        """Arguments of ``forward`` that, with the tasks, settle which operations a pass runs.

        Passes of equal work can be replayed (``model.cuda_graphs``); None if this one cannot.
        """
        return None

    @abstractmethod
    def parts(self) -> list[Part]:
        """The pieces, disjoint, which hold all parameters (architecture logits excepted)."""

    def part(self, name: str, layer: int | None, tasks: Sequence[str] = ()) -> Part:
        """The piece of this name, for ``parts``."""
        return Part(name, self.get_submodule(name), layer, tuple(tasks))

    def checkpoint_state(self) -> dict[str, Any]:
        """Arguments of the encoder without which a checkpoint's weights fit no network.

        Plain values and dicts; they are kept in checkpoints and replace those of
        ``model.encoder`` in the config when a checkpoint is tested, used or exported.
        """
        return {}

    def init_heads(self, heads: nn.ModuleDict) -> None:
        """Start the heads (by task) from what the encoder starts from; called by the model."""

    def extra_losses(self) -> dict[str, Tensor]:
        """Scalars of the last forward pass that training adds to the losses, by name.

        The model logs them as ``loss_<name>``.
        """
        return {}

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """Logits that choose what runs; their values are needed even to count the network."""
        return iter(())

    def for_export(self, tasks: Sequence[str]) -> Encoder:
        """The encoder that an export of these tasks holds; itself unless there is a simpler one.

        Raises:
            ValueError: It has no form that could be exported for them.
        """
        self.task_indices(tasks)
        return self

    def costs(
        self, heads: nn.ModuleDict, input_size: Sequence[int], convention: str
    ) -> dict[str, Any]:
        """What there is to say of the cost of one image beyond a run of all tasks.

        Args:
            heads: The heads by task.
            input_size: (H, W) in pixels.
            convention: How multiply-adds are counted.

        Returns:
            Integers, or integers by task, that join or replace ``madds`` and ``params`` of
            ``count_model``, results.json and reports.
        """
        return {}

    @classmethod
    def config_of_tree(cls, cfg: Mapping[str, Any], routes: Any) -> dict[str, Any]:
        """Config of the encoder that a tree stands for.

        Args:
            cfg: Config of an encoder of this class.
            routes: What ``resolve_routes`` takes: a tree, an (L, T) table, 'shared', 'separate'.

        Raises:
            ValueError: The class takes no tree.
        """
        raise ValueError(f'model.encoder.type: {cls.__name__} takes no branching tree')


class SearchableEncoder(Encoder):
    """An encoder with K candidates for every layer, which a search by gradients chooses from.

    Attributes:
        alpha: Architecture logits (L, T, K).
    """

    searchable = True
    takes_tree = True
    alpha: nn.Parameter

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The logits."""
        yield self.alpha

    @abstractmethod
    def sample_weights(
        self,
        temperature: float,
        generator: torch.Generator | None = None,
        hard: bool = False,
        floor: float = 0.0,
        top_k: int | None = None,
    ) -> Tensor:
        """Draw mixing weights (L, T, K), differentiable in alpha; see ``gumbel_softmax``."""

    def same_images(self) -> AbstractContextManager[None]:
        """In this context the same images are encoded again and again and no weight trains.

        What does not depend on alpha may then be computed once.
        """
        return nullcontext()

    def alike(self) -> nn.Module:
        """What ``same_images`` computes once."""
        return nn.ModuleList()

    @abstractmethod
    def warmup_weights(self) -> Tensor:
        """One-hot weights (L, T, K) that give each task candidates of its own."""

    @abstractmethod
    def routes(self) -> Tensor:
        """The candidates that alpha prefers: (L, T) integers on the CPU."""


def encoder_class(cfg: Mapping[str, Any]) -> type[Encoder]:
    """The class that ``model.encoder`` of a config names.

    Raises:
        ValueError: Its type is unknown or no ``Encoder``.
    """
    name = cfg.get('type')
    found = name if isinstance(name, type) else MODELS.get(str(name))
    if not (isinstance(found, type) and issubclass(found, Encoder)):
        raise ValueError(f'model.encoder.type: {name!r} is no encoder (a subclass of Encoder)')
    return found
