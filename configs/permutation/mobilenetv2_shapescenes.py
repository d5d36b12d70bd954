# The tree of the gradient search with its tasks in other places; index 0 to 4 are distinct trees.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(
    type='PermutationSearch',
    branching='work_dirs/bmtas/mobilenetv2_shapescenes/branching.json',
    index=0,
    count=5,
    seed=0,
)
