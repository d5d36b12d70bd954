"""The multi-task network: one encoder, a head and a loss for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from bmtas.files import nearest
from bmtas.models.cuda_graphs import CapturedPasses
from bmtas.models.encoders import Encoder, encoder_class
from bmtas.models.test_time import TestTime
from bmtas.registry import MODELS
from bmtas.tasks import MultiTaskSample, Task, TaskMaps, build_tasks

Samples = Sequence[MultiTaskSample]


@MODELS.register_module()
class MultiTaskModel(BaseModel):
    """Encoder, heads and losses behind mmengine's three forward modes.

    Args:
        tasks: The task table.
        encoder: Config of an encoder, without ``tasks``.
        head: Config of the head, without channels; each task gets its own, changed by the task's
            kind and its entry's ``head``.
        data_preprocessor: Config of the preprocessor.
        channels_last: Keep images and weights in the channels-last layout; dilated depth-wise
            convolutions on a CPU are many times slower without.
        cuda_graphs: Replay training passes as CUDA graphs, see ``CapturedPasses``; on a CPU all
            runs as ever.

    Attributes:
        tasks: Tuple of ``Task``.
        encoder: The encoder.
        heads: Heads by task name.
        losses: Losses by task name.
        test_time: Copies of an image over which ``predict`` averages; None for the image alone.
        captured: Its ``CapturedPasses``; None without ``cuda_graphs``.

    Raises:
        ValueError: ``cuda_graphs`` with an encoder that has no ``work``.
    """

    def __init__(
        self,
        tasks: Mapping[str, Any] | Sequence[Mapping[str, Any] | Task],
        encoder: Mapping[str, Any],
        head: Mapping[str, Any] | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
        channels_last: bool = True,
        cuda_graphs: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        preprocessor = MODELS.build(dict(data_preprocessor or dict(type='MultiTaskPreprocessor')))
        super().__init__(preprocessor, init_cfg)
        self.tasks = build_tasks(tasks)
        self.data_preprocessor.expect(self.tasks)
        names = [task.name for task in self.tasks]
        encoder_class(encoder)  # its error says what is missing
        self.encoder = MODELS.build(dict(encoder, tasks=names))
        channels = dict(
            deep_channels=self.encoder.deep_channels, low_channels=self.encoder.low_channels
        )
        self.heads = nn.ModuleDict(
            {
                t.name: MODELS.build(dict(t.head_config(head), out_channels=t.channels, **channels))
                for t in self.tasks
            }
        )
        self.encoder.init_heads(self.heads)
        self.losses = nn.ModuleDict(
            {t.name: MODELS.build(dict(t.loss, kind=t.kind)) for t in self.tasks}
        )
        self.test_time: TestTime | None = None
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)
        if cuda_graphs and type(self.encoder).work is Encoder.work:
            raise ValueError(
                f'model.cuda_graphs: {type(self.encoder).__name__} does not say what a pass runs '
                '(Encoder.work); remove it'
            )
        self.captured = CapturedPasses(self) if cuda_graphs else None

    def forward(
        self,
        inputs: Tensor,
        data_samples: Samples | None = None,
        mode: str = 'tensor',
        tasks: Sequence[str] | None = None,
        **routing: Any,
    ) -> dict[str, Tensor] | list[MultiTaskSample]:
        """Run the network.

        Args:
            inputs: Normalised images (N, 3, H, W).
            data_samples: N samples; their labels are needed in mode ``loss``.
            mode: ``tensor``: logits by task, (N, C, H, W) at the size of the images, of image-level
                tasks (N, C); ``loss``: ``loss_<task>``, weighted
                scalars; ``predict``: the samples with their ``predictions``.
            tasks: Names of the tasks to run, None for all.
            routing: Passed to the encoder, e.g. ``weights`` of the supergraph.

        Raises:
            ValueError: Unknown mode or task, no labels, or labels of another size.
        """
        if mode == 'tensor':
            return self.logits(inputs, tasks, routing)
        if mode == 'loss':
            return self.loss(inputs, data_samples, tasks, **routing)
        if mode == 'predict':
            return self.predict(inputs, data_samples, tasks, **routing)
        raise ValueError(f'unknown forward mode {mode!r}, choose loss, predict or tensor')

    def loss(
        self,
        inputs: Tensor,
        data_samples: Samples | None,
        tasks: Sequence[str] | None = None,
        **routing: Any,
    ) -> dict[str, Tensor]:
        """Weighted loss of each task, ``loss_<task>``; 0 with a graph for a task without labels.

        The encoder's ``extra_losses`` follow. With ``rows`` (task -> images that it is run on)
        among the routing, the loss of a task is that of its images.
        """
        if data_samples is None:
            raise ValueError("mode 'loss' needs data_samples with labels")
        logits = self._training_logits(inputs, tasks, routing)
        losses, rows = {}, routing.get('rows')
        for task in self.select(tasks):
            own = data_samples if rows is None else [data_samples[i] for i in rows[task.name]]
            target = stack_labels(task, own, logits[task.name])
            loss = self.losses[task.name](logits[task.name], target)
            losses[f'loss_{task.name}'] = task.weight * loss
        for name, value in self.encoder.extra_losses().items():
            if losses.setdefault(f'loss_{name}', value) is not value:
                raise ValueError(f'encoder: its extra loss {name!r} has the name of a task')
        return losses

    def predict(
        self,
        inputs: Tensor,
        data_samples: Samples | None = None,
        tasks: Sequence[str] | None = None,
        **routing: Any,
    ) -> list[MultiTaskSample]:
        """Set ``predictions`` of the samples, new ones if there are none; see MultiTaskSample."""
        if self.test_time is None:
            logits = self.logits(inputs, tasks, routing)
        else:
            logits = self.test_time.logits(
                lambda images: self.logits(images, tasks, routing), inputs, self.select(tasks)
            )
        samples = [MultiTaskSample() for _ in inputs] if data_samples is None else data_samples
        for index, sample in enumerate(samples):
            size = sample.get('predict_at')
            sample.predictions = TaskMaps(
                {
                    task.name: _prediction(task, logits[task.name][index, None], size)
                    for task in self.select(tasks)
                }
            )
        return list(samples)

    def select(self, tasks: Sequence[str] | None) -> list[Task]:
        """The tasks of these names, all for None.

        Raises:
            ValueError: An unknown name.
        """
        by_name = {task.name: task for task in self.tasks}
        names = list(by_name) if tasks is None else list(tasks)
        unknown = [name for name in names if name not in by_name]
        if unknown:
            hint = nearest(unknown[0], by_name)
            raise ValueError(f'model: unknown task {unknown[0]!r}; {hint}')
        return [by_name[name] for name in names]

    def _training_logits(
        self, inputs: Tensor, tasks: Sequence[str] | None, routing: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        if self.captured is not None and self.training:
            names = [task.name for task in self.select(tasks)]
            replayed = self.captured.logits(inputs, names, routing)
            if replayed is not None:
                return replayed
        return self.logits(inputs, tasks, routing)

    def logits(
        self, inputs: Tensor, tasks: Sequence[str] | None, routing: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Logits by task at the size of the images; see ``forward``."""
        if inputs.dim() != 4 or inputs.shape[0] == 0:
            raise ValueError(f'model: inputs must be (N, 3, H, W), got {tuple(inputs.shape)}')
        selected = self.select(tasks)
        inputs = inputs.contiguous(memory_format=self.memory_format)
        features = self.encoder(inputs, [task.name for task in selected], **routing)
        return {
            task.name: task.kind.resize_logits(
                self.heads[task.name](*features[task.name]), inputs.shape[-2:]
            )
            for task in selected
        }


def _prediction(task: Task, logits: Tensor, size: Sequence[int] | None) -> Tensor:
    """Prediction of one image, at the size of its labels where that is another one."""
    if size is not None:
        logits = task.kind.resize_logits(logits.float(), size)
    return task.kind.activate(logits)[0]


def stack_labels(task: Task, samples: Samples, logits: Tensor) -> Tensor:
    """Labels of one task as a batch; samples without that label are ignored everywhere.

    Returns:
        (N, ...) as the task's kind has them, maps of the logits' size.

    Raises:
        ValueError: A label of another size; the message names image and label.
    """
    if len(samples) != len(logits):
        raise ValueError(f'model: {len(logits)} images but {len(samples)} samples')
    blank = task.kind.blank(logits.shape[-2:])
    shape = tuple(blank.shape)
    maps = []
    for sample in samples:
        label = sample.labels.get(task.label) if 'labels' in sample else None
        if label is not None and tuple(label.shape) != shape:
            raise ValueError(
                f'label {task.label!r} of image {sample.get("img_id", "?")!r} has shape '
                f'{tuple(label.shape)}, task {task.name!r} ({task.kind}) needs {shape}'
            )
        # a copy to a GPU waits for it, so only what is needed travels
        maps.append(blank.to(logits.device) if label is None else label)
    return torch.stack(maps) if maps else blank.to(logits.device).new_empty(0, *shape)
