# Train a network code as a multi-task network on ShapeScenes. The code is a text, 27 numbers, or
# the ncp.json of a search:
# --cfg-options model.encoder.backbone.code=work_dirs/ncp/propagate_joint/ncp.json
_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/schedules/retrain_short.py',
    '../_base_/default_runtime.py',
]
custom_imports = dict(imports=['bmtas.ncp'])
model = dict(
    type='MultiTaskModel',
    encoder=dict(
        type='MultiResolutionEncoder',
        backbone=dict(
            type='MultiResolutionNetwork',
            code='16_16-1_1_1_16-1_2_1_1_16_24-1_3_1_1_1_16_24_32-1_4_1_1_1_1_16_24_32_48-64',
        ),
    ),
    head=dict(type='DeepLabV3PlusHead', low_proj=16, width=64, separable=True),
    data_preprocessor=dict(type='MultiTaskPreprocessor', normalize='unit'),
)
