# conv4: one encoder for all tasks.
_base_ = './conv4_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes='shared'))
