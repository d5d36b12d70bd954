"""CPU seconds of the boundary benchmark for one image, and what they are spent on.

python benchmarks/boundaries.py                          # synthetic images
python benchmarks/boundaries.py PRED_DIR GT_DIR          # own maps, as bmtas boundaries
"""

import argparse
import cProfile
import platform
import pstats
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bmtas.evaluation.boundaries import find_pairs, image_counts, make_protocol, make_thresholds
from bmtas.evaluation.boundaries.files import read_prediction, read_truths, region_boundaries
from bmtas.thinning import thin

SIZE = (321, 481)
ANNOTATORS = 5
LOWEST = 10


def synthetic_image(seed):
    """A prediction with soft contours and texture, and five annotators who disagree a little.

    Somewhat more pixels than an edge detector's output on BSDS500 has: 44,000 thin pixels at the
    lowest threshold, 2,000 to 5,000 in the middle; 4,700 for each annotator.
    """
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=SIZE), 26)
    levels = np.quantile(smooth, [0.3, 0.7])
    truths = []
    for _ in range(ANNOTATORS):
        wobble = ndimage.gaussian_filter(rng.normal(size=SIZE), 9) * 0.15
        truths.append(thin(region_boundaries(np.digitize(smooth + wobble, levels))))
    distance = ndimage.distance_transform_edt(~truths[0])
    strength = ndimage.gaussian_filter(rng.normal(size=SIZE), 12)
    strength = 0.55 + 0.25 * strength / strength.std()
    texture = np.abs(ndimage.gaussian_filter(rng.normal(size=SIZE), 1.2)) * 0.15
    probability = np.clip(strength * np.exp(-(distance**2) / 4) + texture, 0, 1)
    return np.floor(255 * probability) / 255, truths


def load_images(folders):
    """Pairs of prediction and ground truths, read or made."""
    if not folders:
        return [synthetic_image(seed) for seed in range(3)]
    pairs = find_pairs(*folders).values()
    return [(read_prediction(p), read_truths(t)) for p, t in pairs]


def seconds(images, annotators, thresholds, nms):
    """Mean CPU seconds of one image."""
    start = time.process_time()
    for probability, truths in images:
        prepared = make_protocol(nms=nms).prepare(probability)
        image_counts(prepared, truths[:annotators], thresholds, strict=nms)
    return (time.process_time() - start) / len(images)


def shares(images, annotators, thresholds):
    """Share of the CPU time in matching and in thinning, from a profile."""
    profile = cProfile.Profile()
    profile.runcall(seconds, images, annotators, thresholds, False)
    stats = pstats.Stats(profile).stats
    total = sum(entry[2] for entry in stats.values())
    found = {}
    for (_, _, name), entry in stats.items():
        if name in ('match', 'thin'):
            found[name] = entry[3] / total
    return found


def bound(share, lowest):
    """One sentence on what bounds the speed.

    Args:
        share: See ``shares``.
        lowest: Share of the time in the ``LOWEST`` lowest thresholds.
    """
    what = 'matching' if share['match'] >= share['thin'] else 'thinning'
    return (
        f'bound by {what}, whose work grows with the pixels above a threshold: the {LOWEST} lowest '
        f'thresholds take {lowest:.0%} of the time'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folders', nargs='*', type=Path, metavar='DIR', help='PRED_DIR GT_DIR')
    args = parser.parse_args()
    if len(args.folders) not in (0, 2):
        parser.error('give both PRED_DIR and GT_DIR, or none')
    images = load_images(args.folders)
    # compile, or load what was compiled before
    image_counts(*images[0], make_thresholds(1))
    print(f'{len(images)} images, first {images[0][0].shape}, {platform.processor() or "CPU"}')
    print('thresholds  annotators  nms  seconds/image  matching  thinning')
    notes = []
    for number, annotators, nms in ((99, 1, False), (99, 5, False), (101, 1, True)):
        thresholds = make_thresholds(number)
        spent = seconds(images, annotators, thresholds, nms)
        share = shares(images, annotators, thresholds) if not nms else None
        text = f'{share["match"]:8.0%}  {share["thin"]:8.0%}' if share else '       -         -'
        print(f'{number:10d}  {annotators:10d}  {nms!s:>5}  {spent:11.2f}  {text}')
        if share:
            lowest = seconds(images, annotators, thresholds[:LOWEST], nms) / spent
            notes.append(f'{annotators} annotator(s): {bound(share, lowest)}')
    print('\n'.join(notes))


if __name__ == '__main__':
    main()
