_base_ = [
    './_data.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
resource_loss = dict(weight=5.0)
