# CUB-200-2011: 312 attributes of birds at 128x128; "not visible" is unlabelled.
_base_ = './celeba.py'
input_size = (128, 128)
data_root = 'data/CUB_200_2011'

tasks = dict(
    _delete_=True,
    **{
        f'attribute_{number:03d}': dict(kind='category', num_classes=2, score='balanced_accuracy')
        for number in range(1, 313)
    },
)

_files = dict(type='CUB200', data_root=data_root)
_resize, _pack = dict(type='Resize', size=input_size), dict(type='PackSample')
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='RandomHorizontalFlip'), _resize, _pack], **_files)
)
val_dataloader = dict(dataset=dict(pipeline=[_resize, _pack], **_files))
test_dataloader = dict(dataset=dict(pipeline=[_resize, _pack], **_files))
