# Four tasks of ShapeScenes at 32x32: 1000 train, 200 val, 400 test, and a network in seconds.
_base_ = './shapescenes.py'
input_size = (32, 32)
tasks = dict(human_parts=None, sal=None)
# scenes are rendered once and kept; two cores have better things to do than to run workers
_loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(size=input_size, length=1000), **_loader)
val_dataloader = dict(batch_size=50, dataset=dict(size=input_size), **_loader)
test_dataloader = dict(batch_size=50, dataset=dict(size=input_size), **_loader)
