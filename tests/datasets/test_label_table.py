import numpy as np
import pytest
from PIL import Image

from bmtas.datasets import MultiTaskFolder, image_level
from bmtas.kinds import ImageKind


def write_image(path, value, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path, quality=100)


TABLE = 'name;smiling;age\n a ;yes;0\nb;no;2\nc;;1\n'


@pytest.fixture
def folder(tmp_path):
    for img_id in 'abc':
        write_image(tmp_path / 'images' / f'{img_id}.jpg', 9)
    (tmp_path / 'gt_sets').mkdir()
    (tmp_path / 'gt_sets' / 'train.txt').write_text('c\na\nb\n')
    (tmp_path / 'attributes.csv').write_text(TABLE.replace(' ', ''))
    return tmp_path


def columns(smiling=None, age=None):
    common = dict(table='attributes.csv', kind='category', separator=';')
    smiling = dict(column='smiling', num_classes=2, values=dict(yes=1, no=0)) | (smiling or {})
    age = dict(column='age', num_classes=3) | (age or {})
    return dict(smiling=common | smiling, age=common | age)


def test_a_column_is_a_label_and_an_empty_cell_none(folder):
    data = MultiTaskFolder(str(folder), 'train', label_files=columns())
    found = [data.load(index)['labels'] for index in range(3)]
    assert [{k: int(v) for k, v in row.items()} for row in found] == [
        dict(age=1),
        dict(smiling=1, age=0),
        dict(smiling=0, age=2),
    ]


@pytest.mark.parametrize(
    ('text', 'options', 'message'),
    [
        (None, dict(smiling=dict(column='smilling')), "no column 'smilling'; did you mean 'smili"),
        ('name;smiling;age\na;yes;0\na;no;1\n', {}, "attributes.csv:3: id 'a' is listed twice"),
        ('name;smiling;age\na;yes;0\nb;no;1\n', {}, "no row for image 'c'"),
        (None, dict(smiling=dict(values=dict(yes=1))), "image 'b': smiling is 'no', which is not"),
        (None, dict(smiling=dict(values=None)), "smiling is 'yes', no number"),
        (None, dict(age=dict(num_classes=2)), "image 'b'.*value 2"),
        ('name;smiling\na;yes;0\n', {}, 'attributes.csv:2: 3 columns, the first line has 2'),
        (None, dict(age=dict(id_column='id')), "no id column 'id'"),
        (None, dict(age=dict(kind='depth', num_classes=None)), 'depth'),
        (None, dict(age=dict(separator='tab')), "separator must be one character, got 'tab'"),
        ('name;smiling;age\na;"' + 200_000 * 'x', {}, 'attributes.csv: field larger'),
    ],
)
def test_bad_tables_are_one_line(folder, text, options, message):
    if text:
        (folder / 'attributes.csv').write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        data = MultiTaskFolder(str(folder), 'train', label_files=columns(**options))
        [data.load(index) for index in range(3)]
    assert '\n' not in str(error.value)


def test_blanks_around_an_id_do_not_count(folder):
    (folder / 'attributes.csv').write_text(TABLE)
    data = MultiTaskFolder(str(folder), 'train', label_files=columns())
    assert int(data.load(1)['labels']['smiling']) == 1


def test_numbers_of_an_own_kind_are_not_taken_for_classes(folder, monkeypatch):
    class Number(ImageKind):
        channels = 1
        to_tensor = labelled = blank = activate = error = label_sums = constants = None

        def decode(self, raw, path):
            return np.float32(raw)

    said = []
    monkeypatch.setattr(image_level, 'print_log', lambda text, *_: said.append(text))
    (folder / 'attributes.csv').write_text('name;age\na;0.2\nb;0.4\nc;0.7\n')
    spec = dict(table='attributes.csv', column='age', separator=';', kind=Number())
    data = MultiTaskFolder(str(folder), 'train', label_files=dict(age=spec))
    assert not said and data.load(0)['labels']['age'] == np.float32(0.7)


def test_a_label_that_never_varies_is_named(folder, monkeypatch):
    said = []
    monkeypatch.setattr(image_level, 'print_log', lambda text, *_: said.append(text))
    (folder / 'attributes.csv').write_text('name;smiling;age\na;yes;0\nb;yes;1\nc;;1\n')
    MultiTaskFolder(str(folder), 'train', label_files=columns())
    assert 'never vary in the training split: smiling; leave' in said[0]
