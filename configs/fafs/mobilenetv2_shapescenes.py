# Reads the network that bmtas train configs/shared/mobilenetv2_shapescenes.py has trained.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(
    type='FAFSSearch',
    checkpoint='work_dirs/shared/mobilenetv2_shapescenes/iter_600.pth',
    # a thresholded edge map says little about one image
    difficulty=dict(edge='loss'),
    rule='at_most',
)
budget = '0.17G'
