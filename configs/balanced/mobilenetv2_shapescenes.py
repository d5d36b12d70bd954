# The shared network with the tasks balanced by a method of torchjd: UW (uncertainty), DWA, FAMO,
# GeometricMean, Random weigh losses; PCGrad, MGDA, CAGrad, AlignedMTL, UPGrad combine gradients.
# Any training config can be changed so: --cfg-options train_cfg.type=BalancedTrainLoop
# train_cfg.balancing.method=PCGrad
_base_ = ['../shared/mobilenetv2_shapescenes.py']
train_cfg = dict(type='BalancedTrainLoop', balancing=dict(method='UW'))
