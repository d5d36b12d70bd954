"""Which update of a search does what: a pure function of the update's index."""

from __future__ import annotations

from dataclasses import dataclass

WARMUP, ALPHA, WEIGHTS = 'warmup', 'alpha', 'weights'


@dataclass(frozen=True)
class SearchSchedule:
    """Warm-up, then cycles of an alpha phase and a weight phase.

    The last cycle may be cut short, so that exactly ``weight_updates`` weight updates follow the
    warm-up; no alpha phase is left without a weight phase after it.

    Args:
        warmup_updates: Updates before the first cycle, each candidate on its own task.
        weight_updates: Weight updates after the warm-up.
        alpha_phase: Updates of alpha in each cycle.
        weight_phase: Updates of the weights in each cycle.

    Raises:
        ValueError: A length is out of range.
    """

    warmup_updates: int
    weight_updates: int
    alpha_phase: int
    weight_phase: int

    def __post_init__(self) -> None:
        for name in ('warmup_updates', 'weight_updates'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name}: must not be negative, got {getattr(self, name)}')
        for name in ('alpha_phase', 'weight_phase'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name}: must be positive, got {getattr(self, name)}')
        if self.total == 0:
            raise ValueError('warmup_updates, weight_updates: both are zero, nothing to do')

    @property
    def cycle(self) -> int:
        """Updates in one full cycle."""
        return self.alpha_phase + self.weight_phase

    @property
    def total(self) -> int:
        """Updates of the whole search."""
        full, rest = divmod(self.weight_updates, self.weight_phase)
        return self.warmup_updates + full * self.cycle + (self.alpha_phase + rest if rest else 0)

    def phase(self, update: int) -> str:
        """Phase of an update: 'warmup', 'alpha' or 'weights'."""
        after = update - self.warmup_updates
        if after < 0:
            return WARMUP
        return ALPHA if after % self.cycle < self.alpha_phase else WEIGHTS

    def starts(self, update: int) -> str | None:
        """The phase that begins with this update, or None."""
        phase = self.phase(update)
        return phase if update == 0 or self.phase(update - 1) != phase else None

    def alpha_updates(self, update: int) -> int:
        """Alpha updates before this one: batches that were read of the alpha split."""
        full, rest = divmod(max(update - self.warmup_updates, 0), self.cycle)
        return full * self.alpha_phase + min(rest, self.alpha_phase)

    def split_step(self, update: int) -> int:
        """Batches of this update's own split that were read before it."""
        done = self.alpha_updates(update)
        return done if self.phase(update) == ALPHA else update - done

    def progress(self, update: int, by: str = 'update') -> float:
        """Progress of the search after the warm-up, from 0 at its first to 1 at its last update.

        Args:
            by: 'update', or 'cycle' for a value that stays constant within a cycle.
        """
        after = max(update - self.warmup_updates, 0)
        last = max(self.total - self.warmup_updates - 1, 0)
        if by == 'cycle':
            after, last = after // self.cycle, last // self.cycle
        return after / last if last else 0.0
