# Four tasks of ShapeScenes at 64x64, the data of docs/comparison.md.
_base_ = '../_base_/datasets/shapescenes.py'
tasks = dict(human_parts=None, sal=None)
# scenes are rendered once and kept; one process per run, the runs go side by side
_loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=8, dataset=dict(length=1000), **_loader)
val_dataloader = dict(dataset=dict(length=50), **_loader)
test_dataloader = dict(dataset=dict(length=300), **_loader)
