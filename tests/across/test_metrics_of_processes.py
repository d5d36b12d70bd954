"""Two processes with shards of different size give what one process gives."""

import socket

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from bmtas.kinds import Classes
from bmtas.registry import METRICS
from bmtas.tasks import MultiTaskSample, TaskMaps

METRIC_CFGS = (
    dict(type='MeanIoU', task='semseg', kind=Classes(4)),
    dict(type='SaliencyIoU', task='sal', kind='mask'),
    dict(type='EdgeFMeasure', task='edge', kind='mask'),
    dict(type='NormalsError', task='normals', kind='normals'),
    dict(type='DepthError', task='depth', kind='depth'),
    dict(type='MeanIoU', task='parts', kind=Classes(4)),
)


def make_samples():
    """Five random images; only the first has the label ``parts``."""
    rng = np.random.default_rng(3)
    samples = []
    for index in range(5):
        mask = torch.from_numpy(rng.integers(0, 2, (6, 5)))
        classes = torch.from_numpy(rng.integers(0, 4, (6, 5)))
        vectors = torch.from_numpy(rng.normal(size=(3, 6, 5)))
        depth = torch.from_numpy(rng.random((6, 5)) + 1)
        probability = torch.from_numpy(rng.random((6, 5)))
        guess = torch.from_numpy(rng.integers(0, 4, (6, 5)))
        data = MultiTaskSample(metainfo=dict(img_id=str(index)))
        labels = dict(semseg=classes, sal=mask, edge=mask, normals=vectors, depth=depth)
        if index == 0:
            labels['parts'] = classes
        data.labels = TaskMaps(labels)
        data.predictions = TaskMaps(
            dict(
                semseg=guess,
                parts=guess,
                sal=probability,
                edge=probability,
                normals=vectors.flip(0),
                depth=depth.flip(0),
            )
        )
        samples.append(data.to_dict())
    return samples


def evaluate(samples, size):
    """Results of all metrics in one dictionary."""
    found = {}
    for cfg in METRIC_CFGS:
        metric = METRICS.build(dict(cfg))
        metric.process(None, samples)
        found |= metric.evaluate(size)
    return found


def evaluate_shard(rank, port, folder):
    """One of two processes: the first sees images 0 to 3, the second image 4."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2
    )
    samples = make_samples()
    found = evaluate(samples[:4] if rank == 0 else samples[4:], len(samples))
    torch.save(found, f'{folder}/{rank}.pt')
    torch.distributed.destroy_process_group()


def test_two_uneven_processes(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    monkeypatch.chdir(tmp_path)
    # forked, not spawned: importing everything twice would take longer than the test
    mp.start_processes(evaluate_shard, (port, str(tmp_path)), nprocs=2, start_method='fork')
    samples = make_samples()
    expected = evaluate(samples, len(samples))
    for rank in range(2):
        found = torch.load(tmp_path / f'{rank}.pt', weights_only=True)
        assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize('cfg', METRIC_CFGS, ids=lambda cfg: cfg['task'])
@pytest.mark.parametrize('cut', [0, 1, 3, 5])
def test_merging_of_any_two_shards(cfg, cut):
    """The same without processes: the records of two metrics are merged by hand."""
    samples = make_samples()
    whole = METRICS.build(dict(cfg))
    whole.process(None, samples)
    shards = [METRICS.build(dict(cfg)) for _ in range(2)]
    shards[0].process(None, samples[:cut])
    shards[1].process(None, samples[cut:])
    shards[0].results += shards[1].results
    expected = whole.local_results(5)
    assert shards[0].local_results(5) == pytest.approx(expected, nan_ok=True)
