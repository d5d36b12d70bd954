# Rendered scenes at 32x32 with 20 of the attributes of shapes40.py.
_base_ = './shapes40.py'

_names = (
    *('person', 'animal', 'ball', 'box', 'cone', 'drum', 'table', 'plant'),
    *('two_persons', 'two_balls', 'five_things', 'head', 'floor_planks', 'floor_tiles'),
    *('floor_checker', 'wall_bricks', 'wall_marble', 'ceiling', 'cut_off', 'mostly_person'),
)
_attribute = dict(kind='category', num_classes=2, score='balanced_accuracy')
tasks = dict(_delete_=True, **dict.fromkeys(_names, _attribute))
