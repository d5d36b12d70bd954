# Four tasks of ShapeScenes at 64x64, the data of docs/comparison.md.
_base_ = '../_base_/datasets/shapescenes.py'
tasks = [
    task for task in _base_.tasks if task.name in ('semseg', 'human_parts', 'normals', 'edge')
]
train_dataloader = dict(batch_size=8)
