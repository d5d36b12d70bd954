# PASCAL-Context with the augmentation of ASTMT and MTI-Net: everything is resized to 512x512,
# whatever its aspect; at test time predictions are brought back to the size of the labels.
# Use with model.data_preprocessor.normalize = 'imagenet'.
_base_ = ['./pascal.py']

_test_pipeline = [
    dict(type='Resize', size=512, interpolation='cubic', labels=False),
    dict(type='IgnoreAbsentForeground', labels=['human_parts']),
    dict(type='PackSample'),
]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='RandomHorizontalFlip'),
            dict(type='RandomAffine', angle=20, scale_range=[0.75, 1.25], img_fill=0),
            dict(type='Resize', size=512, interpolation='cubic'),
            *_test_pipeline[1:],
        ]
    )
)
val_dataloader = dict(dataset=dict(pipeline=_test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_test_pipeline))
