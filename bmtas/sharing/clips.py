"""The test on clips."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.runner import TestLoop
from torch.utils.data import DataLoader

from bmtas.engine import unwrap
from bmtas.registry import LOOPS
from bmtas.sharing.meter import Meter
from bmtas.sharing.video import VideoState

KEY, OTHER = 'key', 'other'


@LOOPS.register_module()
class ClipTestLoop(TestLoop):
    """Runs a DeltaEncoder over whole clips, frame by frame, and scores all frames.

    The data set has ``clip`` frames for each clip, one behind the other (``ShapeScenes(clip=8)``);
    what the encoder keeps is forgotten at the start of a clip. Processes take whole clips. A batch
    is one frame; the arguments are those of mmengine's TestLoop.

    Sets of the model ``measured`` (the meter of all frames, and an image) and ``clips``: scores of
    key frames and of the others, and a meter for each frame of a clip.

    Raises:
        ValueError: The data set has no clips.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        batches, dataset = self.dataloader, self.dataloader.dataset
        if getattr(dataset, 'clip', 1) < 2:
            raise ValueError(
                f'test_cfg: ClipTestLoop needs a data set of clips, {type(dataset).__name__} has '
                'single images; set clip'
            )
        rank, world = get_dist_info()
        clips = range(rank, len(dataset) // dataset.clip, world)
        frames = [clip * dataset.clip + frame for clip in clips for frame in range(dataset.clip)]
        self.dataloader = DataLoader(
            dataset, sampler=frames, num_workers=batches.num_workers, collate_fn=batches.collate_fn
        )

    def run(self) -> dict[str, float]:
        """Launch the test."""
        runner, model = self.runner, unwrap(self.runner.model)
        dataset = self.dataloader.dataset
        if model.encoder.thresholds is not None:
            model.encoder.thresholds.check_network(model.network)
        runner.call_hook('before_test')
        runner.call_hook('before_test_epoch')
        model.eval()
        video = model.encoder.new_video()
        meters = [Meter() for _ in range(dataset.clip)]
        evaluators = {KEY: copy.deepcopy(self.evaluator), OTHER: copy.deepcopy(self.evaluator)}
        counts = dict.fromkeys(evaluators, 0)
        for number, batch in enumerate(self.dataloader):
            runner.call_hook('before_test_iter', batch_idx=number, data_batch=batch)
            frame = number % dataset.clip
            if frame == 0:
                video.reset()
            own = KEY if video.is_key else OTHER
            outputs = self._predict(model, batch, video, meters[frame])
            counts[own] += 1
            for evaluator in (self.evaluator, evaluators[own]):
                evaluator.process(data_samples=copy.copy(outputs), data_batch=batch)
            runner.call_hook('after_test_iter', batch_idx=number, data_batch=batch, outputs=outputs)
        metrics = self.evaluator.evaluate(len(dataset))
        totals = {name: sum(all_gather_object(count)) for name, count in counts.items()}
        scores = {n: e.evaluate(totals[n]) for n, e in evaluators.items() if totals[n]}
        image = self.dataloader.collate_fn([dataset[0]])  # a process may have had no clip
        self._keep(model, meters, scores, image)
        runner.call_hook('after_test_epoch', metrics=metrics)
        runner.call_hook('after_test')
        return metrics

    @staticmethod
    @torch.no_grad()
    def _predict(model: Any, batch: Any, video: VideoState, meter: Meter) -> Any:
        """Predictions for the next frame of a clip, whose work is counted."""
        data = model.data_preprocessor(batch, False)
        data.pop('frames', None)
        model.encoder.meter = meter
        outputs = model(**data, mode='predict', video=video)
        model.encoder.meter = None
        return outputs

    @staticmethod
    def _keep(model: Any, meters: list[Meter], scores: dict[str, dict], batch: Any) -> None:
        gathered = all_gather_object(meters)
        for others in gathered[1:]:
            for meter, other in zip(gathered[0], others):
                meter.merge(other)
        whole = Meter()
        for meter in gathered[0]:
            whole.merge(meter)
        model.measured = (whole, model.data_preprocessor(batch, False)['inputs'])
        model.clips = (scores, gathered[0])
