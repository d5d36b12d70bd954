# ResNet-50 with ASPP: multi-task attention network; variant='bottleneck' is the later layout.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(type='MTANEncoder', variant='full'))
