# Baseline with the objective and the predictor calls of propagate_seg.py.
_base_ = ['./propagate_seg.py']
_objective = {key: value for key, value in _base_.search.items() if key not in ('type', 'steps')}
search = dict(_delete_=True, type='CodeEvolution', calls=142, **_objective)
