# A small ViT: one encoder for all tasks.
_base_ = './vit_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes='shared'))
