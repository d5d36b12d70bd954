# scikit-learn's 1797 real digits as 22 tasks of two classes: each digit against the rest, and
# twelve sets of digits. Needs the extra `digits`; nothing to download.
input_size = (32, 32)

_sets = ('even', 'below_five', 'prime', 'square', 'power_of_two', 'multiple_of_three')
_sets = (*_sets, 'fibonacci', 'triangular', 'closed_loop', 'straight_stroke', 'middle', 'extreme')
_attribute = dict(kind='category', num_classes=2, score='balanced_accuracy')
tasks = dict.fromkeys((*(f'is_{digit}' for digit in range(10)), *_sets), _attribute)

_dataset = dict(type='Digits', size=input_size[0], pipeline=[dict(type='PackSample')])
_loader = dict(num_workers=0, collate_fn=dict(type='pseudo_collate'))
_eval_loader = dict(
    batch_size=50, sampler=dict(type='DefaultSampler', shuffle=False, round_up=False), **_loader
)
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    dataset=dict(split='train', **_dataset),
    **_loader,
)
val_dataloader = dict(dataset=dict(split='val', **_dataset), **_eval_loader)
test_dataloader = dict(dataset=dict(split='test', **_dataset), **_eval_loader)
