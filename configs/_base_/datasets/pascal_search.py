# PASCAL-Context at half resolution for the search (paper); resources are counted at full size.
_base_ = ['./pascal.py']

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='Resize', factor=0.5, lines=['edge']),
            dict(type='RandomScale', scales=[0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]),
            dict(type='RandomCrop', size=256),
            dict(type='RandomHorizontalFlip'),
            dict(type='IgnoreAbsentForeground', labels=['human_parts']),
            dict(type='PackSample'),
        ]
    )
)
