# The ceiling: every weight of a sub-task free, started from the base; nothing is shared.
_base_ = './vit_shapescenes.py'
sharing = dict(stages=dict(_delete_=True, base=dict(), support=dict()))
