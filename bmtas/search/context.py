"""What a search strategy is given, and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch.utils.data import Dataset

from bmtas.branching import BranchingTree
from bmtas.datasets import check_datasets
from bmtas.engine import Executor, Here, resource_table
from bmtas.files import write_json
from bmtas.models import MultiTaskModel
from bmtas.models.encoders import encoder_class
from bmtas.registry import DATASETS, MODELS
from bmtas.resources import ResourceTable, parse_budget, unit_named, without_weights
from bmtas.sealed import load_state
from bmtas.search.front import Front
from bmtas.tasks import Task, build_tasks

BRANCHING, PICTURES = 'branching.json', 'vis'


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
        tree: The branching tree; None for a strategy that searches something else and writes it
            itself.
        cost: Cost of its whole network in the unit of the resource table.
        front: The best tree for every budget, if the strategy knows them.
        report: What else the strategy has to say, for ``search.json``: ``spent`` and more.
    """

    tree: BranchingTree | None
    cost: float | None = None
    front: Front | None = None
    report: Mapping[str, Any] = field(default_factory=dict)


class Strategy(ABC):
    """A way to search, a class of the registry STRATEGIES; its arguments are those of the config.

    Attributes:
        distributed: Whether several processes can work on one search.
        builds_runner: Whether a runner does the work, which then claims the work dir.
    """

    distributed = False
    builds_runner = False

    @abstractmethod
    def run(self, context: SearchContext) -> SearchResult:
        """Search."""


@dataclass(frozen=True)
class SearchContext:
    """The surroundings of a search. What a strategy does not ask for is not made.

    Args:
        cfg: The complete config (``bmtas.engine.config.load_config``).
        work_dir: Where the strategy may leave files.
        log: Takes one line of text.
        executor: Where trainings run that a strategy starts.
    """

    cfg: Config
    work_dir: Path
    log: Callable[[str], None] = print
    executor: Executor = field(default_factory=Here)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The task table."""
        return build_tasks(self.cfg.tasks)

    @cached_property
    def table(self) -> ResourceTable:
        """Costs of one copy of each layer; budgets and targets are in its unit.

        Raises:
            ValueError: The encoder takes no tree.
        """
        encoder = self.cfg.model.get('encoder') or {}
        encoder_class(encoder).config_of_tree(encoder, 'shared')  # a search is for those that can
        return resource_table(self.cfg)

    @cached_property
    def budget(self) -> float | None:
        """Largest cost of the whole network, the config's key ``budget``; None if there is none.

        Raises:
            ValueError: Not a budget of the table's quantity, below the cost of the shared network
                or above that of the separate one.
        """
        given = self.cfg.get('budget')
        if given is None:
            return None
        table, unit = self.table, unit_named(self.table.unit)
        budget = parse_budget(given, unit.quantity)
        if not table.shared <= budget <= table.separate:
            side = 'below' if budget < table.shared else 'above'
            raise ValueError(
                f'budget: {given} is {side} what trees cost: {unit.exact(table.shared, 4)} if all '
                f'is shared, {unit.exact(table.separate, 4)} if nothing is'
            )
        return budget

    def needed_budget(self) -> float:
        """The budget, for a strategy that finds no tree without one.

        Raises:
            ValueError: There is none.
        """
        if self.budget is None:
            raise ValueError(
                'budget: missing, this strategy needs the cost of the whole network; give --budget '
                "or the config's key budget"
            )
        return self.budget

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def num_layers(self) -> int:
        return len(self.table.layers)

    def result(self, tree: BranchingTree, front: Front | None = None) -> SearchResult:
        """A tree with its cost, its layers named."""
        named = BranchingTree.from_routes(tree.routes, tree.tasks, self.table.layer_names)
        return SearchResult(named, named.cost(self.table), front)

    def of_backbone(self, fact: str, remedy: str) -> Any:
        """``stage_ends``, ``branch_strides`` or ``low_level_index``, as ``LayeredBackbone`` has.

        Args:
            fact: Attribute that the backbone of any class may have.
            remedy: What an encoder without it can do, for the message.

        Raises:
            ValueError: The encoder has no backbone, or one without this attribute.
        """
        cfg = self.cfg['model']['encoder'].get('backbone')
        found = getattr(MODELS.build(dict(cfg, weights=None)), fact, None) if cfg else None
        if found is None:
            raise ValueError(f'model.encoder.backbone: has no {fact}; {remedy}')
        return found

    @property
    def fixed_cost(self) -> int | float:
        """Cost of stem and heads, which every tree pays alike."""
        return self.table.stem + sum(self.table.heads[name] for name in self.names)

    def model(self, encoder: Mapping[str, Any], checkpoints: str | Sequence[str]) -> MultiTaskModel:
        """A trained network of this config's tasks, backbone and heads, ready to evaluate.

        Args:
            encoder: Config of its encoder; the config's backbone unless it brings one.
            checkpoints: One checkpoint, or several whose weights complete each other (one for each
                single-task network).

        Raises:
            FileNotFoundError: No such checkpoint.
            ValueError: Not a checkpoint, or one of another network.
        """
        files = [checkpoints] if isinstance(checkpoints, (str, Path)) else list(checkpoints)
        state: dict[str, torch.Tensor] = {}
        for file in files:
            state.update(_read_weights(Path(file)))
        own = self.cfg['model']['encoder']
        kept = {key: own[key] for key in ('backbone',) if key in own}
        cfg = dict(self.cfg['model'], encoder={**kept, **encoder}, tasks=self.tasks)
        model = MODELS.build(without_weights(cfg))
        known = model.state_dict()
        missing = [key for key in known if key not in state or state[key].shape != known[key].shape]
        if missing:
            raise ValueError(
                f'checkpoint {", ".join(map(str, files))} does not fit {encoder["type"]}: '
                f'{len(missing)} of {len(known)} weights are missing or of another size, '
                f'the first is {missing[0]}'
            )
        model.load_state_dict({key: state[key] for key in known})
        return model.to(get_device()).eval()

    def dataset(self, split: str) -> Dataset:
        """The images of a split without augmentation.

        Args:
            split: 'train' or 'val': the data of ``<split>_dataloader``, through the pipeline of
                ``val_dataloader`` (or ``test_dataloader``).

        Raises:
            ValueError: The config has no such data.
            FileNotFoundError: They are missing or incomplete.
        """
        loader = self.cfg.get(f'{split}_dataloader')
        if not loader:
            raise ValueError(f'search.split: the config has no {split}_dataloader')
        check_datasets(self.cfg, [f'{split}_dataloader'])
        plain = self.cfg.get('val_dataloader') or self.cfg.get('test_dataloader') or loader
        cfg = dict(loader['dataset'], pipeline=plain['dataset']['pipeline'])
        return DATASETS.build(cfg)

    def save(self, name: str, content: Any) -> Path:
        """Write a JSON file to the work dir."""
        path = self.work_dir / name
        write_json(path, content, indent=None)
        return path

    def describe(self, tree: BranchingTree) -> str:
        """Cost and number of groups of a tree, as one line."""
        groups = ' '.join(map(str, tree.num_groups))
        return f'{tree.cost(self.table):,} {self.table.unit}, groups {groups}'


def _read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(
            f'checkpoint {path} does not exist; train the network that the search reads first'
        )
    content = load_state(path)
    state = content.get('state_dict', content)
    if not isinstance(state, Mapping):
        raise ValueError(f'checkpoint {path} holds no weights')
    return state
