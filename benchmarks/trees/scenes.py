"""The data and the network of the table of ShapeScenes: small enough for hundreds of trainings."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.branching import BranchingTree
from bmtas.datasets.shapescenes import ShapeScenes
from bmtas.search.tree_table import save_arrays

TASKS = {'semseg': 10, 'normals': 3, 'depth': 1, 'edge': 1}
"""Channels of each task's logits."""

SPLITS = {'train': ('train', 800), 'held_out': ('val', 200), 'test': ('test', 400)}
WIDTHS = (16, 24, 32, 48)
STRIDES = (1, 2, 1, 1)
SIZE = 32
STEM = 2


def scenes(path: Path) -> dict[str, dict[str, Tensor]]:
    """Images (N, 3, 32, 32), zero mean, and labels of each split; rendered once into ``path``."""
    if not path.is_file():
        arrays = {}
        for name, (split, length) in SPLITS.items():
            dataset = ShapeScenes(tuple(TASKS), split, length, SIZE)
            samples = [dataset.load(index) for index in range(length)]
            arrays[f'{name}/image'] = np.stack([sample['img'] for sample in samples])
            for task in TASKS:
                arrays[f'{name}/{task}'] = np.stack([s['labels'][task] for s in samples])
        save_arrays(path, **arrays)
    with np.load(path) as stored:
        return {name: _tensors(stored, name) for name in SPLITS}


def _tensors(stored: Mapping[str, np.ndarray], split: str) -> dict[str, Tensor]:
    image = torch.from_numpy(stored[f'{split}/image']).permute(0, 3, 1, 2).float() / 64 - 2
    normals = torch.from_numpy(stored[f'{split}/normals'])
    return {
        'image': image.contiguous(memory_format=torch.channels_last),
        'semseg': torch.from_numpy(stored[f'{split}/semseg']).long(),
        'normals': normals.permute(0, 3, 1, 2) if normals.shape[-1] == 3 else normals,
        'depth': torch.from_numpy(stored[f'{split}/depth']),
        'edge': torch.from_numpy(stored[f'{split}/edge']).float(),
    }


class Stage(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Head(nn.Module):
    """Linear in the last stage's features (every 8x8 cell predicts 4x4 pixels) and the first's."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.low = nn.Conv2d(WIDTHS[0], 4 * outputs, 1)
        self.deep = nn.Conv2d(WIDTHS[-1], 16 * outputs, 1, bias=False)

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        return F.pixel_shuffle(self.deep(deep), 4) + F.pixel_shuffle(self.low(low), 2)


class Network(nn.Module):
    """A tree of four residual stages behind one stem.

    All copies of a stage start from the same weights, which depend on the seed alone: networks of
    one seed differ by their tree and by nothing else.
    """

    def __init__(self, tree: BranchingTree, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.tree = tree
        self.stem = Stage(3, WIDTHS[0], STEM)
        stages = [Stage(i, o, s) for i, o, s in zip((WIDTHS[0], *WIDTHS), WIDTHS, STRIDES)]
        self.heads = nn.ModuleDict({task: Head(channels) for task, channels in TASKS.items()})
        self.stages = nn.ModuleList(
            nn.ModuleList(copy.deepcopy(stage) for _ in range(num))
            for stage, num in zip(stages, tree.num_groups)
        )
        self.to(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> list[list[Tensor]]:
        """Images (N, 3, 32, 32) -> for each stage its output for each task."""
        found = [[self.stem(images)] * len(TASKS)]
        for copies, routes in zip(self.stages, self.tree.routes.tolist()):
            inputs = [found[-1][routes.index(group)] for group in range(len(copies))]
            outputs = [stage(x) for stage, x in zip(copies, inputs)]
            found.append([outputs[group] for group in routes])
        return found[1:]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, 32, 32) -> logits (N, C, 32, 32) of each task."""
        low, *_, deep = self.features(images)
        return {task: self.heads[task](f, g) for task, f, g in zip(TASKS, deep, low)}


def task_loss(task: str, logits: Tensor, labels: Mapping[str, Tensor]) -> Tensor:
    """Loss of one task on a batch; every pixel of these scenes is labelled."""
    label = labels[task]
    if task == 'semseg':
        return F.cross_entropy(logits, label)
    if task == 'normals':
        return (F.normalize(logits, dim=1, eps=1e-4) - label).abs().sum(1).mean()
    if task == 'depth':
        return (logits[:, 0] - label).abs().mean()
    weight = torch.where(label > 0, 0.95, 0.05)
    return F.binary_cross_entropy_with_logits(logits[:, 0], label, weight)


def losses(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> Tensor:
    """Losses (T,) of one batch."""
    return torch.stack([task_loss(task, logits[task], labels) for task in TASKS])


@torch.no_grad()
def predict(model: Network, images: Tensor, batch: int = 50) -> dict[str, Tensor]:
    """Logits (N, C, 32, 32) of each task, batch norms with their running statistics."""
    model.eval()
    parts = [model(part) for part in images.split(batch)]
    model.train()
    return {task: torch.cat([part[task] for part in parts]) for task in TASKS}


def metrics(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> list[float]:
    """mIoU (%), mean angle (degrees), RMSE (m), best F over thresholds, over all pixels."""
    classes = TASKS['semseg']
    pairs = labels['semseg'].flatten() * classes + logits['semseg'].argmax(1).flatten()
    table = torch.bincount(pairs, minlength=classes**2).view(classes, classes).double()
    hits = table.diagonal()
    iou = hits / (table.sum(0) + table.sum(1) - hits).clamp_min(1)
    cosine = F.cosine_similarity(logits['normals'], labels['normals'], eps=1e-4).clamp(-1, 1)
    rmse = (logits['depth'][:, 0] - labels['depth']).square().mean().sqrt()
    scores = logits['edge'].flatten().sigmoid()
    true = labels['edge'].flatten()
    found = [scores > threshold / 50 for threshold in range(1, 50)]
    f = [2 * (true * hit).sum() / (true.sum() + hit.sum()).clamp_min(1) for hit in found]
    values = (100 * iou.mean(), cosine.acos().mean().rad2deg(), rmse, max(f))
    return [float(value) for value in values]


def costs() -> tuple[int, list[int], int]:
    """Multiply-adds of the stem, of one copy of each stage, and of all heads together."""
    size, widths, layers = SIZE, (3, WIDTHS[0], *WIDTHS), []
    for inputs, outputs, stride in zip(widths, widths[1:], (STEM, *STRIDES)):
        size //= stride
        layers.append(size**2 * 9 * inputs * outputs)
    low, deep = (SIZE // 2) ** 2 * WIDTHS[0] * 4, (SIZE // 4) ** 2 * WIDTHS[-1] * 16
    return layers[0], layers[1:], (low + deep) * sum(TASKS.values())
