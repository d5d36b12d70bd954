"""A model of four tasks that is built and run in a moment, and its data."""

import torch
from torch import nn

from bmtas.registry import MODELS
from bmtas.tasks import MultiTaskSample, TaskMaps

SIZE = (32, 48)


TASKS = [
    dict(name='semseg', kind='classes', num_classes=5, loss=dict(type='CrossEntropyLoss')),
    dict(name='sal', kind='mask', loss=dict(type='BalancedBCELoss'), weight=5.0),
    dict(name='depth', kind='depth', loss=dict(type='DepthL1Loss'), label='range'),
    dict(name='normals', kind='normals', loss=dict(type='NormalsL1Loss')),
]


NAMES = [task['name'] for task in TASKS]


BACKBONE = dict(
    type='LayeredBackbone',
    arch='mobilenet_v2',
    output_stride=8,
    stem=['features.0'],
    layers=[f'features.{index}' for index in range(1, 6)],
    aspp=dict(type='RASPP', channels=8),
)


ENCODERS = {
    'supergraph': dict(type='SupergraphEncoder'),
    'branched': dict(type='BranchedEncoder', routes=[[0, 0, 0, 1]] * 6),
    'single': dict(type='SingleTaskEncoder'),
}


def build(encoder='branched', **kwargs):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            encoder=dict(ENCODERS[encoder], backbone=BACKBONE),
            head=dict(type='DeepLabV3PlusHead', low_proj=4, width=8),
            **kwargs,
        )
    )


def sample(seed=0, keys=('semseg', 'sal', 'range', 'normals'), size=SIZE):
    generator = torch.Generator().manual_seed(seed)
    normals = nn.functional.normalize(torch.randn(3, *size, generator=generator), dim=0)
    labels = dict(
        semseg=torch.randint(0, 5, size, generator=generator),
        sal=torch.randint(0, 2, size, generator=generator),
        range=torch.rand(size, generator=generator) + 0.5,
        normals=normals,
    )
    maps = TaskMaps({key: labels[key] for key in keys})
    return MultiTaskSample(labels=maps, metainfo=dict(img_id=f'img{seed}'))


def raw_batch(*samples):
    generator = torch.Generator().manual_seed(1)
    shape = (len(samples), 3, *SIZE)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=list(samples))
