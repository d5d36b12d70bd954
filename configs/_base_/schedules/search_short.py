# A search in minutes on two CPU cores, for small images: the paper's search with fewer updates.
_base_ = './search_paper.py'
search = dict(warmup_updates=100, weight_updates=400, alpha_phase=10, weight_phase=40)
optim_wrapper = dict(weights=dict(optimizer=dict(lr=0.02)), alpha=dict(optimizer=dict(lr=0.05)))
