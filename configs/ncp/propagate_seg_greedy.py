# Winner takes all: in each step only the number that the gradient promises most of.
_base_ = ['./propagate_seg.py']
search = dict(steps=dict(mode='greedy'))
