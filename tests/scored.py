"""Samples as the evaluator hands them to metrics, and what a metric makes of them."""

from bmtas.tasks import MultiTaskSample, TaskMaps


def sample(task, prediction, target, label=None, img_id='a'):
    """A test sample as the evaluator hands it to a metric."""
    data = MultiTaskSample(metainfo=dict(img_id=img_id))
    data.labels = TaskMaps({} if target is None else {label or task: target})
    data.predictions = TaskMaps({task: prediction})
    return data.to_dict()


def run(metric, pairs):
    """Results of a metric, keys without prefix, fed in batches of two."""
    samples = [sample(metric.task, *pair, label=metric.label) for pair in pairs]
    for start in range(0, len(samples), 2):
        metric.process(None, samples[start : start + 2])
    found = metric.evaluate(len(samples))
    assert set(found) == {f'{metric.prefix}/{key}' for key in metric.scores}
    return {key: found[f'{metric.prefix}/{key}'] for key in metric.scores}
