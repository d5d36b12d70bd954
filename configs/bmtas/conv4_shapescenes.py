_base_ = [
    '../_base_/datasets/shapescenes32.py',
    '../_base_/models/conv4_supergraph.py',
    '../_base_/schedules/search_conv4.py',
    '../_base_/default_runtime.py',
]
# teams of threads cost more than they bring for operators this small
env_cfg = dict(num_threads=1)
# an image costs 3 to 10 MMAdds
search = dict(resource_loss=dict(weight=100.0))
