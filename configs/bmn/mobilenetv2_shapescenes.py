# Reads the networks that bmtas train configs/single/mobilenetv2_shapescenes.py has trained.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(
    type='BMNSearch',
    checkpoint='work_dirs/single/mobilenetv2_shapescenes/iter_600.pth',
    num_images=200,
    # 'beam' for more than nine tasks
    method='dp',
)
budget = '0.17G'
