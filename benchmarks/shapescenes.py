"""Scenes per second of one core with all six labels: python benchmarks/shapescenes.py

Processor time, so waiting does not count, but a busy neighbour core still slows caches and memory:
best of five repeats is printed. Measured at the default options on two cores of an Intel Xeon
shared by four busy processes (NumPy, one thread), in alternation with the renderer as it was when
every ray on a border was tested against all things: 64x64 110 to 145 scenes/s, before 58 to 81;
one long run each 128x128 52, before 27; 256x256 13, before 8; 512x512 3.7, before 1.9. The median
of short repeats was lower on the loaded machine: 85 to 105 scenes/s at 64x64, before 56 to 59.
"""

from __future__ import annotations

import argparse
import time

from bmtas.datasets.shapescenes import ShapeScenes


def scenes_per_second(count: int, repeats: int, **options) -> float:
    """Best of some repeats, in processor time of this process."""
    dataset = ShapeScenes(length=count * repeats + 1, **options)
    dataset.load(count * repeats)
    best = 0.0
    for repeat in range(repeats):
        start = time.process_time()
        for index in range(repeat * count, (repeat + 1) * count):
            dataset.load(index)
        best = max(best, count / (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--scenes', type=int, default=100, help='scenes per repeat at 64x64')
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    print('size  antialias  scenes/s')
    for size in (64, 128, 256, 512):
        count = max(2, args.scenes * 64 * 64 // size**2)
        for antialias in (2, 1):
            rate = scenes_per_second(count, args.repeats, size=size, antialias=antialias)
            print(f'{size:4d}  {antialias:9d}  {rate:8.1f}', flush=True)


if __name__ == '__main__':
    main()
