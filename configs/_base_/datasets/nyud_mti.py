# NYUD-v2 at 480x640 with the augmentation of MTI-Net (Vandenhende et al., ECCV 2020).
# Use with model.data_preprocessor.normalize = 'imagenet'.
_base_ = ['./nyud.py']

data_root = 'data/NYUD_MT'
input_size = (480, 640)

_test_pipeline = [
    dict(type='Resize', size=(480, 640), interpolation='cubic', labels=False),
    dict(type='PackSample'),
]
_dataset = dict(data_root=data_root, layout='npy')

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='RandomHorizontalFlip'),
            dict(type='RandomAffine', scales=[1.0, 1.2, 1.5], img_fill=0),
            dict(type='Resize', size=(480, 640), interpolation='cubic'),
            dict(type='PackSample'),
        ],
        **_dataset,
    )
)
val_dataloader = dict(dataset=dict(pipeline=_test_pipeline, **_dataset))
test_dataloader = dict(dataset=dict(pipeline=_test_pipeline, **_dataset))
