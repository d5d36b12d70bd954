# Segmentation within one GMAdd: many starts in one batch, and the ensemble's doubt counts.
_base_ = ['./propagate_seg.py']
search = dict(
    pessimism=2.0,
    cost=dict(weight=0.0),
    budget=dict(madds=1.0),
    start='random',
    starts=32,
)
