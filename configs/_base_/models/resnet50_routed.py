# As resnet50_single.py, with one encoder; each task keeps half of the channels of each layer.
_base_ = './resnet50_single.py'
custom_imports = dict(imports=['bmtas.task_routing'])
model = dict(encoder=dict(type='RoutedEncoder', keep_ratio=0.5))
