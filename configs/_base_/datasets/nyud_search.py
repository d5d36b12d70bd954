# NYUD-v2 at two thirds of the resolution for the search (paper); resources are counted at full
# size. The paper gives no crop: two thirds of 425x560, rounded to multiples of 8.
_base_ = ['./nyud.py']

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='Resize', factor=2 / 3, lines=['edge']),
            dict(type='RandomScale', scales=[0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]),
            dict(type='RandomCrop', size=(280, 376)),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ]
    )
)
