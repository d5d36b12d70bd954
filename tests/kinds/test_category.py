"""The class of the whole image: label, head, loss, scores."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bmtas.evaluation import CategoryScores, ConstantPredictor
from bmtas.kinds import Category
from bmtas.registry import MODELS
from bmtas.tasks import MultiTaskSample, TaskMaps, build_tasks

PATH = Path('table.csv')


def test_decode():
    kind = Category(300)
    assert kind.decode(np.array(255), PATH) == 255 and kind.decode(np.array([[-1]]), PATH) == -1
    assert (
        Category(3, offset=-1, ignore=0).decode(
            np.array(
                [
                    0,
                ]
            ),
            PATH,
        )
        == -1
    )
    assert Category(2, remap={7: 1}).decode(np.array(7.0), PATH) == 1
    with pytest.raises(ValueError, match='table.csv: value 3 decodes to class 3, outside 0..2'):
        Category(3).decode(np.array(3), PATH)
    with pytest.raises(ValueError, match='a category is one number'):
        Category(3).decode(np.zeros(2), PATH)
    label = kind.to_tensor(kind.decode(np.array(255), PATH))
    assert label.shape == () and label.dtype == torch.int64 and kind.labelled(label)
    assert not kind.labelled(kind.blank((8, 8)))


def test_transforms_leave_it_alone():
    kind, label = Category(3), np.array(2)
    assert kind.mirror(label) == kind.pad(label, (1, 1, 1, 1)) == kind.resize(label, (2, 2)) == 2
    assert kind.crop(label, (slice(0, 1), slice(0, 1))) == 2
    assert kind.rotate(label, np.eye(3)[:2], 20.0, 1.5) == 2


def test_head():
    deep, low = torch.randn(2, 6, 5, 7), torch.randn(2, 3, 10, 14)
    options = dict(type='PooledLinearHead', deep_channels=6, low_channels=3, out_channels=4)
    head = MODELS.build(options)
    by_hand = deep.mean((2, 3)) @ head.logits.weight.T + head.logits.bias
    assert torch.allclose(head(deep, low), by_hand, atol=1e-6)
    wide = MODELS.build(dict(options, pool_size=7))
    assert wide.logits.weight.shape == (4, 6 * 49) and wide(deep, low).shape == (2, 4)
    dropped = MODELS.build(dict(options, dropout=0.5))
    assert not torch.equal(dropped(deep, low), dropped(deep, low))
    dropped.eval()
    assert torch.equal(dropped(deep, low), dropped(deep, low))
    for wrong in (dict(pool_size=0), dict(dropout=1.0)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MODELS.build(dict(options, **wrong))


def loss_of(logits, target, **options):
    kind = Category(logits.shape[1])
    loss = MODELS.build(dict(type='CategoryLoss', kind=kind, **options))
    value = loss(logits, target)
    # a head that gives maps is averaged
    maps = torch.stack([logits + 1, logits - 1], -1)[..., None]
    torch.testing.assert_close(loss(maps, target), value)
    return value


def test_loss_against_numpy():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 2, -1, 1, 2])
    valid = [0, 1, 3, 4]
    logs = logits.double().log_softmax(1).numpy()
    plain = [-logs[i, target[i]] for i in valid]
    assert loss_of(logits, target).item() == pytest.approx(np.mean(plain), rel=1e-5)
    weights = np.array([1.0, 2.0, 0.5])
    weighted = [weights[target[i]] * -logs[i, target[i]] for i in valid]
    found = loss_of(logits, target, class_weights=weights.tolist())
    assert found.item() == pytest.approx(np.mean(weighted), rel=1e-5)
    smooth = [-(0.9 * logs[i, target[i]] + 0.1 * logs[i].mean()) for i in valid]
    found = loss_of(logits, target, label_smoothing=0.1)
    assert found.item() == pytest.approx(np.mean(smooth), rel=1e-5)


def test_loss_without_labels_and_with_bad_ones():
    logits = torch.randn(2, 3, requires_grad=True)
    value = loss_of(logits, torch.tensor([-1, -1]))
    value.backward()
    assert value.item() == 0 and (logits.grad == 0).all()
    with pytest.raises(ValueError, match='class id 3, but there are 3 classes'):
        loss_of(logits, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match='one class for each image'):
        loss_of(logits, torch.zeros(2, 4, 4).long())
    for wrong in (dict(class_weights=[1.0]), dict(class_weights=[1, 1, -1])):
        with pytest.raises(ValueError, match='class_weights must be 3 numbers'):
            loss_of(logits, torch.tensor([0, 1]), **wrong)
    with pytest.raises(ValueError, match='label_smoothing'):
        loss_of(logits, torch.tensor([0, 1]), label_smoothing=1.0)


def records(truth, guess, classes):
    for t, g in zip(truth, guess):
        probabilities = F.one_hot(torch.tensor(g), classes) * 0.7 + 0.3 / classes
        yield dict(labels=dict(x=torch.tensor(t)), predictions=dict(x=probabilities))


def scores(truth, guess, classes, shards=1):
    """By metrics of ``shards`` processes whose sums are merged."""
    items = list(records(truth, guess, classes))
    metrics = [CategoryScores('x', Category(classes)) for _ in range(shards)]
    for number, metric in enumerate(metrics):
        metric.process(None, items[number::shards])
    merged = metrics[0]
    merged._size = len(items)
    return merged.compute_metrics([record for metric in metrics for record in metric.results])


@pytest.mark.parametrize('classes', [2, 4])
@pytest.mark.parametrize('shards', [1, 3])
def test_scores_by_counting(classes, shards):
    rng = np.random.default_rng(classes)
    truth = rng.integers(-1, classes, 60).tolist()
    guess = [t if t >= 0 and rng.random() < 0.5 else int(rng.integers(classes)) for t in truth]
    found = scores(truth, guess, classes, shards)
    pairs = [(t, g) for t, g in zip(truth, guess) if t >= 0]
    recall, precision, f1 = [], [], []
    for c in range(classes):
        hit = sum(t == g == c for t, g in pairs)
        real, said = sum(t == c for t, _ in pairs), sum(g == c for _, g in pairs)
        recall.append(hit / real)
        precision.append(hit / said if said else 0)
        f1.append(2 * hit / (real + said))
    assert found['accuracy'] == pytest.approx(100 * np.mean([t == g for t, g in pairs]))
    assert found['balanced_accuracy'] == pytest.approx(100 * np.mean(recall))
    pick = (lambda values: values[1]) if classes == 2 else np.mean
    for name, values in (('precision', precision), ('recall', recall), ('F1', f1)):
        assert found[name] == pytest.approx(100 * pick(values)), name


def test_scores_against_scikit_learn():
    sk = pytest.importorskip('sklearn.metrics')
    rng = np.random.default_rng(3)
    truth, guess = rng.integers(0, 5, 80).tolist(), rng.integers(0, 5, 80).tolist()
    found = scores(truth, guess, 5)
    assert found['balanced_accuracy'] == pytest.approx(
        100 * sk.balanced_accuracy_score(truth, guess)
    )
    assert found['F1'] == pytest.approx(100 * sk.f1_score(truth, guess, average='macro'))


def test_nothing_labelled():
    with pytest.warns(UserWarning, match='NaN'):
        assert all(math.isnan(v) for v in scores([-1, -1], [0, 1], 3).values())


class Labels(list):
    def __getitem__(self, index):
        label = torch.tensor(super().__getitem__(index))
        return dict(data_samples=MultiTaskSample(labels=TaskMaps(x=label)))


def test_best_constant():
    for score, best in (('accuracy', 0), ('F1', 1)):
        tasks = build_tasks(dict(x=dict(kind='category', num_classes=2, score=score)))
        constant = ConstantPredictor.fit(tasks, Labels([0, 0, 0, 1, -1])).constants['x']
        assert int(constant.argmax()) == best
    tasks = build_tasks(dict(x=dict(kind='category', num_classes=3)))
    constant = ConstantPredictor.fit(tasks, Labels([2, 2, 0, -1])).constants['x']
    assert constant.tolist() == pytest.approx([1 / 3, 0, 2 / 3])


def test_words_and_columns():
    kind, names = Category(3), dict(names=['cat', 'dog', 'cow'])
    probabilities = torch.tensor([0.1, 0.7, 0.2])
    assert kind.caption(probabilities, names) == 'dog\n70 %'
    assert kind.caption(torch.tensor(2), names) == 'cow'
    assert kind.caption(torch.tensor(-1), names) == 'no label'
    assert Category(2).caption(torch.tensor(1), {}) == 'yes'
    wrong = [kind.is_wrong(probabilities, torch.tensor(label)) for label in (0, 1, 2, -1)]
    assert sum(wrong) == 2 and not wrong[int(probabilities.argmax())] and not wrong[3]
    assert kind.columns(probabilities, names) == {'': 1, '_name': 'dog', '_probability': 0.7}
    assert kind.error(probabilities, torch.tensor(1)) == pytest.approx(0.3)
