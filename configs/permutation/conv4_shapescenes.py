# The tree of the gradient search with its tasks in other places.
_base_ = '../branched/conv4_shapescenes.py'
search = dict(
    type='PermutationSearch',
    branching='work_dirs/bmtas/conv4_shapescenes/branching.json',
    index=0,
    count=1,
    seed=0,
)
