# Rendered scenes at 32x32 with 40 attributes of the whole picture: 2000 train, 200 val, 400 test.
_base_ = './shapescenes.py'
input_size = (32, 32)

_things = ('person', 'animal', 'ball', 'box', 'cone', 'drum', 'table', 'plant')
_names = [
    *_things,
    *(f'{thing}_in_front' for thing in _things[1:]),
    *(f'{thing}_behind' for thing in _things),
    *('two_persons', 'two_balls', 'two_boxes', 'five_things', 'head', 'lower_arm'),
    *('floor_planks', 'floor_tiles', 'floor_checker', 'floor_marble'),
    *('wall_bricks', 'wall_marble', 'wall_tiles'),
    *('ceiling', 'more_wall_than_floor', 'cut_off', 'mostly_person'),
]
_attribute = dict(kind='category', num_classes=2, score='balanced_accuracy')
tasks = dict(_delete_=True, **dict.fromkeys(_names, _attribute))

# scenes are rendered once and kept; sending 40 labels an image between processes costs more
_loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=64, dataset=dict(size=input_size), **_loader)
val_dataloader = dict(batch_size=50, dataset=dict(size=input_size), **_loader)
test_dataloader = dict(batch_size=50, dataset=dict(size=input_size), **_loader)
