import math

import pytest
import torch
from loss_samples import draw_labels, make


def test_cross_entropy():
    logits = torch.tensor([[[[0.0, 2.0]], [[0.0, 1.0]]]])
    target = torch.tensor([[[1, 255]]])
    loss = make('CrossEntropyLoss')
    assert loss(logits, target).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize('class_id', [5, -1, 254])
def test_class_id_out_of_range(class_id):
    target, logits = draw_labels('CrossEntropyLoss')
    target[1, 2, 3] = class_id
    with pytest.raises(ValueError, match=rf'class id {class_id}, but there are 5 classes'):
        make('CrossEntropyLoss')(logits, target)
