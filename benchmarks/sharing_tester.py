"""A network with deltas, tested at many thresholds by one runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmtas.engine.build import build_runner
from bmtas.engine.dist import unwrap
from bmtas.engine.test import encoder_from_checkpoint
from bmtas.resources import without_weights
from bmtas.sharing.accounting import densities, head_costs, place_costs, stored_bytes, total_madds
from bmtas.sharing.calibrate import images_of, thresholds_for
from bmtas.sharing.share import NETWORK
from bmtas.sharing.thresholds import TEMPORAL, Thresholds, load_thresholds


class Tester:
    """A network that is tested at many thresholds.

    Args:
        cfg: Its config.
        folder: Where its thresholds are kept.
        network: Its file; by default ``network.pth`` in the folder.
    """

    def __init__(self, cfg: Any, folder: Path, network: Path | None = None) -> None:
        self.folder, self.size = folder, cfg.input_size
        cfg.work_dir, cfg.load_from = str(folder / 'test'), str(network or folder / NETWORK)
        encoder_from_checkpoint(cfg, cfg.load_from)
        cfg.model = without_weights(cfg.model)
        val = cfg.val_dataloader
        self.runner = build_runner(cfg, 'test')
        self.runner.call_hook('before_run')
        self.runner.load_or_resume()
        self.model = unwrap(self.runner.model).eval()
        cfg.val_dataloader = val
        self.frames = images_of(cfg, self.model, 'val', 64)
        self.heads = head_costs(self.model, self.size)
        self.costs = place_costs(self.model.encoder, self.size)

    def thresholds(self, goal: str, share: float) -> Thresholds:
        """Those at which a share is reused, from their file if there is one."""
        path = self.folder / f'thresholds_{goal}{round(100 * share)}.json'
        if path.is_file():
            return load_thresholds(path)
        encoder = self.model.encoder
        encoder.rows = goal == 'rows'
        found, _ = thresholds_for(encoder, self.frames, dict.fromkeys(encoder.tasks, share))
        if len(self.frames) == 1:
            found.values.pop(TEMPORAL, None)
        found.save(path)
        return found

    def set(self, found: Thresholds | None) -> None:
        """Use thresholds."""
        self.model.encoder.thresholds = found
        self.model.encoder.rows = found is not None and found.rows

    def test(self, found: Thresholds | None) -> dict[str, Any]:
        """Scores, multiply-adds, shares that differ, bytes."""
        self.set(found)
        metrics, model = self.runner.test_loop.run(), self.model
        meter = model.measured[0]
        stored = stored_bytes(model.encoder)
        heads = 4 * sum(p.numel() for p in model.heads.parameters())
        return dict(
            scores={t.name: metrics[f'{t.name}/{t.score}'] for t in model.tasks},
            score_names={t.name: t.score for t in model.tasks},
            higher_is_better={t.name: t.higher_is_better for t in model.tasks},
            madds=total_madds(model.encoder, meter, self.heads, self.costs),
            stored=sum(stored.values()) + heads,
            delta_bytes=stored,
            density={task: rounded(own) for task, own in densities(model.encoder, meter).items()},
        )


def rounded(own: Mapping[str, Any]) -> dict[str, Any]:
    """Shares of one task, of the whole and by place."""

    def short(shares: Mapping[str, float | None]) -> dict[str, float | None]:
        return {k: v if v is None else round(v, 4) for k, v in shares.items()}

    whole = short({key: own[key] for key in ('weights', 'elements', 'rows')})
    return whole | dict(by_place={k: short(v) for k, v in own['by_place'].items()})
