# MNIST (or a set of its layout) as 22 tasks of two classes: each digit against the rest, and twelve
# sets of digits.
_base_ = './digits.py'
data_root = 'data/mnist'

_files = dict(type='IdxImages', data_root=data_root)
train_dataloader = dict(dataset=_files)
val_dataloader = dict(dataset=_files)
test_dataloader = dict(dataset=_files)
