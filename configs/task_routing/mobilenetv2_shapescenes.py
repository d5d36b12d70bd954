# Dense tasks in one MobileNetV2, each with half of the channels; all tasks on every batch.
_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/mobilenetv2_routed.py',
    '../_base_/schedules/retrain_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(weights=None)))
train_cfg = dict(type='TaskSamplingLoop', tasks_per_step='all')
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor')
custom_hooks = [dict(type='MaskFileHook')]
