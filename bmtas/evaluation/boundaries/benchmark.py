"""The boundary benchmark over folders of predictions and ground truths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from bmtas.evaluation.boundaries.counts import image_counts, make_thresholds
from bmtas.evaluation.boundaries.files import read_prediction, read_truths
from bmtas.evaluation.boundaries.pool import worker_pool
from bmtas.evaluation.boundaries.protocols import Protocol
from bmtas.evaluation.boundaries.scores import BoundaryScores, best_counts, summarize

TRUTH_SUFFIXES = ('.mat', '.png')


def find_pairs(
    predictions: Path, truths: Path, names: Sequence[str] | None = None
) -> dict[str, tuple[Path, Path]]:
    """Prediction and ground truth of each image, by name.

    Args:
        predictions: Folder of ``<name>.png``.
        truths: Folder of ``<name>.mat`` or ``<name>.png``.
        names: Images to compare; by default all that have a ground truth.

    Raises:
        FileNotFoundError: A folder is missing or empty, or files are missing; the message counts
            them and names the first.
    """
    for folder in (predictions, truths):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder}: no such folder')
    found = {p.stem: p for p in sorted(truths.iterdir()) if p.suffix in TRUTH_SUFFIXES}
    if not found:
        raise FileNotFoundError(f'{truths}: no ground truth, expected <name>.mat or <name>.png')
    names = list(found) if names is None else list(dict.fromkeys(names))
    if not names:
        raise ValueError('the list of images is empty')
    pairs = {name: (predictions / f'{name}.png', found.get(name)) for name in names}
    for what, folder, missing in (
        ('ground truth', truths, [n for n in names if n not in found]),
        ('prediction', predictions, [n for n in names if not pairs[n][0].is_file()]),
    ):
        if missing:
            raise FileNotFoundError(
                f'{folder}: {len(missing)} of {len(names)} images have no {what}, '
                f'the first is {missing[0]!r}'
            )
    return pairs


def compare_files(prediction: Path, truth: Path, protocol: Protocol) -> np.ndarray:
    """Counts (K, 4) of one image on disk.

    Raises:
        ValueError: A file cannot be read, or the sizes differ.
    """
    probability = read_prediction(prediction)
    truths = read_truths(truth, protocol.truth)
    for annotator in truths:
        if annotator.shape != probability.shape:
            raise ValueError(
                f'{prediction}: has {probability.shape[0]}x{probability.shape[1]} pixels, '
                f'{truth} has {annotator.shape[0]}x{annotator.shape[1]}; '
                'predictions must have the size of their ground truth'
            )
    thresholds = make_thresholds(protocol.thresholds)
    prepared = protocol.prepare(probability)
    return image_counts(prepared, truths, thresholds, protocol.tolerance, protocol.strict)


def run_benchmark(
    pairs: Mapping[str, tuple[Path, Path]],
    protocol: Protocol,
    jobs: int = 1,
    on_image: Callable[[], None] = lambda: None,
) -> tuple[BoundaryScores, dict[str, np.ndarray]]:
    """Compare all pairs, ``jobs`` at a time.

    Args:
        pairs: See ``find_pairs``.
        protocol: Options.
        jobs: Number of processes; 1 works in this one.
        on_image: Called after each image, for progress.

    Returns:
        Scores of the data set and counts (K, 4) of each image.
    """
    counts: dict[str, np.ndarray] = {}
    if jobs == 1:
        for name, (prediction, truth) in pairs.items():
            counts[name] = compare_files(prediction, truth, protocol)
            on_image()
    else:
        with worker_pool(jobs) as pool:
            futures = {
                pool.submit(compare_files, *files, protocol): name for name, files in pairs.items()
            }
            try:
                for future in as_completed(futures):
                    counts[futures[future]] = future.result()
                    on_image()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    counts = {name: counts[name] for name in pairs}
    total = sum(counts.values())
    best = sum(best_counts(image) for image in counts.values())
    thresholds = make_thresholds(protocol.thresholds)
    return summarize(total, best, thresholds, protocol.interpolate), counts
