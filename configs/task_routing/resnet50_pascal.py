# PASCAL-Context in one ResNet-50, each task with half of the channels; all tasks on every batch.
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/resnet50_routed.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(type='TaskSamplingLoop', tasks_per_step='all')
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor')
custom_hooks = [dict(type='MaskFileHook')]
