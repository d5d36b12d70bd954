# Reads the network that bmtas train shared/conv4_shapescenes has trained.
_base_ = '../branched/conv4_shapescenes.py'
search = dict(
    type='FAFSSearch',
    checkpoint='work_dirs/shared/conv4_shapescenes/iter_300.pth',
    # a thresholded edge map says little about one image
    difficulty=dict(edge='loss'),
    rule='at_most',
)
budget = '6.5M'
