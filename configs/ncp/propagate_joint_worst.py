# As propagate_joint.py, but the task that is worst off decides the step.
_base_ = ['./propagate_joint.py']
search = dict(combine='worst')
