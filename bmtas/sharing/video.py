"""What a clip keeps from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from bmtas.sharing.ops import Reference


@dataclass
class VideoState:
    """References of the frame before, and where the clip stands.

    In key frames every network runs as in an image. Between them the base takes temporal deltas
    against its own frame before; a sub-task takes deltas against the base below layer
    ``switch_layer`` and temporal ones against its own frame before from there on. The inputs that
    are kept are those really used, so that errors of the thresholds do not add up unseen.

    Args:
        interval: Every which frame is a key frame; 1 means all of them.
        switch_layer: The first layer with temporal deltas in the sub-tasks.

    Attributes:
        frame: Frames of this clip so far.
        kept: References by task and operator.

    Raises:
        ValueError: An interval below 1 or a negative layer.
    """

    interval: int = 4
    switch_layer: int = 0
    frame: int = 0
    kept: dict[tuple[str, str], Reference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.interval < 1 or self.switch_layer < 0:
            raise ValueError(
                'model.encoder.video: interval must be at least 1 and switch_layer at least 0, '
                f'got {self.interval} and {self.switch_layer}'
            )

    @property
    def is_key(self) -> bool:
        """Whether the next frame is a key frame."""
        return self.frame % self.interval == 0

    def reset(self) -> None:
        """Begin a new clip."""
        self.frame = 0
        self.kept.clear()
