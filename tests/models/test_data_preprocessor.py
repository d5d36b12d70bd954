import pytest
import torch

from bmtas.registry import MODELS


def test_preprocessor_ranges():
    images = torch.tensor([0, 127.5, 255]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    unit = MODELS.build(dict(type='MultiTaskPreprocessor'))(dict(inputs=images))
    assert torch.equal(unit['inputs'][0, 0, 0], torch.tensor([-1.0, 0, 1]))
    assert unit['data_samples'] is None
    imagenet = MODELS.build(dict(type='MultiTaskPreprocessor', normalize='imagenet'))
    found = imagenet(dict(inputs=images))['inputs'][0, :, 0, 2]
    assert torch.allclose(
        found, (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    )


@pytest.mark.parametrize(
    'inputs, message',
    [
        ([], 'the batch is empty'),
        ([torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)], 'differ in size'),
        ([torch.zeros(1, 4, 4)], r'\(3, H, W\)'),
    ],
)
def test_preprocessor_errors(inputs, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='MultiTaskPreprocessor'))(dict(inputs=inputs))


def test_preprocessor_rejects_unknown_ranges():
    with pytest.raises(ValueError, match='unknown normalize'):
        MODELS.build(dict(type='MultiTaskPreprocessor', normalize='zero'))
