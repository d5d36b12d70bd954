# conv4: branched along a tree; --branching FILE sets the routes.
_base_ = './conv4_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes=None))
