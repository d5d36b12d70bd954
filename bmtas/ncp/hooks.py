"""The side of a predictor's training that is no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from bmtas.registry import HOOKS


@HOOKS.register_module()
class PredictorHook(Hook):
    """Hands the statistics of the training rows to the predictor, and exports it at the end.

    Before the first update: mean and deviation of codes and metrics, of the training rows only.
    After the last: the error on the validation rows, if the run has any, as the noise of the
    predictions; and ``predictor.pth`` in the work dir, configuration and weights in one file, which
    propagation reads and ``bmtas test`` tests.

    Args:
        filename: Name of the exported file.
    """

    priority = 'VERY_HIGH'

    def __init__(self, filename: str = 'predictor.pth') -> None:
        self.filename = filename

    def before_train(self, runner: Any) -> None:
        """Fit the statistics; a function of the rows, so a resumed run gets the same."""
        rows = runner.train_dataloader.dataset
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if rows.names != model.names:
            raise ValueError(f'model.heads: {model.names}, but the records give {rows.names}')
        device = model.target_mean.device
        model.fit_statistics(rows.codes.to(device), rows.targets.to(device))

    def after_train(self, runner: Any) -> None:
        """Export the predictor."""
        if not is_main_process():
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if runner.val_loop is not None:
            rows = runner.val_dataloader.dataset
            device = model.target_mean.device
            model.eval().fit_noise(rows.codes.to(device), rows.targets.to(device))
        path = Path(runner.work_dir) / self.filename
        model.export(path)
        runner.logger.info(f'predictor in {path}')
