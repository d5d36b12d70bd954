# A small ViT: branched along a tree; --branching FILE sets the routes.
_base_ = './vit_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes=None))
