# NYUv2 as LibMTL and MTAN have it: 795 train, 654 val, 288x384, 13 classes. What the file of
# Cityscapes has in common with it stands there.
# Layout: <data_root>/<train|val>/<image|label|depth|normal>/<number>.npy
_base_ = './libmtl_cityscapes.py'
data_root = 'data/nyuv2'
input_size = (288, 384)

tasks = dict(
    segmentation=dict(num_classes=13),
    normal=dict(kind='normals', weight=10.0),
)

_dataset = dict(
    data_root=data_root,
    label_files=dict(segmentation=dict(folder='label'), normal=dict(folder='normal')),
)
train_dataloader = dict(dataset=_dataset)
val_dataloader = dict(dataset=_dataset)
test_dataloader = dict(dataset=_dataset)
