"""Masks: sizes, overlap against closed forms, the file."""

import json

import numpy as np
import pytest

from bmtas.task_routing import SCHEMES, MaskRequest, MaskTable, draw_mask, mask_statistics

TASKS = ('a', 'b', 'c', 'd')


def request(units=64, tasks=TASKS, keep_ratio=0.5, name='layers.0', seed=0, groups=None, **options):
    return MaskRequest(name, units, tasks, keep_ratio, seed, options, groups)


def draw(scheme, **kwargs):
    return draw_mask(scheme, request(**kwargs))


@pytest.mark.parametrize('scheme', sorted(SCHEMES))
@pytest.mark.parametrize('keep_ratio', [0.25, 0.5, 1.0])
def test_every_scheme_keeps_the_ratio_and_is_a_function_of_seed_and_name(scheme, keep_ratio):
    options = dict(keep_ratio=keep_ratio, groups=[0, 0, 1, 2])
    mask = draw(scheme, **options)
    assert mask.shape == (4, 64) and mask.dtype == bool
    assert (mask.sum(1) == 64 * keep_ratio).all()
    assert np.array_equal(mask, draw(scheme, **options))
    drawn = scheme not in ('ordered', 'shared_plus_private')
    if drawn and keep_ratio < 1:
        assert not np.array_equal(mask, draw(scheme, seed=1, **options))
        assert not np.array_equal(mask, draw(scheme, name='layers.1', **options))


@pytest.mark.parametrize(('tasks', 'keep_ratio'), [(2, 0.5), (3, 0.2), (10, 0.1), (5, 0.9)])
def test_overlap_of_random_masks_follows_the_closed_forms_over_10000_draws(tasks, keep_ratio):
    names = tuple(map(str, range(tasks)))
    total = dict.fromkeys(('both', 'dead', 'tasks_per_unit'), 0.0)
    for seed in range(10000):
        found = mask_statistics(draw('random_exact', units=20, tasks=names, seed=seed,
                                     keep_ratio=keep_ratio))  # fmt: skip
        for key in total:
            total[key] += found[key] / 10000
    expected = dict(
        both=keep_ratio**2, dead=(1 - keep_ratio) ** tasks, tasks_per_unit=tasks * keep_ratio
    )
    # four standard errors: a unit's indicator has a variance below 1/4, 20 units a draw
    assert total == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(10000 * 4))


def test_jaccard_of_two_random_masks():
    found = [
        mask_statistics(draw('random_exact', units=4000, tasks=('a', 'b'), seed=s))['jaccard']
        for s in range(20)
    ]
    assert np.mean(found) == pytest.approx(0.5 / 1.5, abs=0.01)


@pytest.mark.parametrize(
    ('units', 'tasks', 'keep_ratio'), [(64, 4, 0.25), (10, 3, 0.4), (7, 9, 0.2)]
)
def test_random_cover_leaves_no_unit_dead_while_there_is_room(units, tasks, keep_ratio):
    for seed in range(50):
        mask = draw('random_cover', units=units, tasks=tuple(map(str, range(tasks))),
                    keep_ratio=keep_ratio, seed=seed)  # fmt: skip
        kept = request(units=units, keep_ratio=keep_ratio).kept
        assert (mask.sum(1) == kept).all()
        dealt = min(units, tasks * kept)
        assert mask.any(0).sum() >= dealt


def test_grouped_keeps_whole_groups():
    blocks = draw('grouped', group_size=16).reshape(4, 4, 16)
    assert ((blocks.all(2)) | (~blocks.any(2))).all()
    with pytest.raises(ValueError, match=r"'layers.0' has 64 channels.*groups of 24"):
        draw('grouped', group_size=24)


def test_shared_plus_private_is_one_common_block_and_disjoint_rest():
    mask = draw('shared_plus_private', keep_ratio=0.5)
    common = mask.all(0)
    assert common.sum() == 22 and common[:22].all()  # 4 * 32 - 64 = 64 = 3 * 21.3
    assert (mask[:, ~common].sum(0) <= 1).all()
    lonely = draw('shared_plus_private', keep_ratio=0.125)
    assert (lonely.sum(0) <= 1).all() and (lonely.sum(1) == 8).all()


def test_ordered_rows_are_blocks_at_the_published_offsets():
    mask = draw('ordered', keep_ratio=0.25, power=4.0)
    starts = [int(np.flatnonzero(row)[0]) for row in mask]
    assert starts == [round((t / 3) ** 4 * 48) for t in range(4)]
    assert all((np.diff(np.flatnonzero(row)) == 1).all() for row in mask)


def test_tree_rows_are_equal_within_a_group_and_differ_between_groups():
    mask = draw('tree', groups=[0, 1, 0, 1])
    assert (mask[0] == mask[2]).all() and (mask[1] == mask[3]).all() and (mask[0] != mask[1]).any()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(keep_ratio=0.0), r'keep_ratio: must lie in \(0, 1\], got 0.0'),
        (dict(keep_ratio=1.2), 'keep_ratio'),
        (dict(keep_ratio=0.001), "task 'a' keeps none of the 64 channels of layer 'layers.0'"),
        (dict(scheme='random_exakt'), "did you mean 'random_exact'"),
        (dict(group_size=3), 'group_size'),
        (dict(scheme='tree'), 'needs a branching file'),
    ],
)
def test_bad_requests_are_one_line(kwargs, message):
    with pytest.raises(ValueError, match=message) as error:
        draw(**{'scheme': 'random_exact', **kwargs})
    assert '\n' not in str(error.value)


def table(seed=0, tasks=TASKS, widths=(64, 32)):
    layers = {
        f'layers.{i}': draw('random_exact', units=w, tasks=tasks, seed=seed, name=f'layers.{i}')
        for i, w in enumerate(widths)
    }
    return MaskTable(tasks, layers, 'random_exact', seed, 0.5)


def test_the_file_gives_back_what_was_written(tmp_path):
    made = table()
    made.to_file(tmp_path / 'masks.json')
    assert MaskTable.from_file(tmp_path / 'masks.json').difference(made) == ''
    content = json.loads((tmp_path / 'masks.json').read_text())
    row = made.layers['layers.1'][2]
    runs = list(map(int, content['layers']['layers.1']['rows'][2].split()))
    rebuilt = [bool(i % 2) for i, run in enumerate(runs) for _ in range(run)]
    assert rebuilt == row.tolist()


def test_tables_are_compared():
    assert 'seed: 0 against 1' in table().difference(table(seed=1))
    other = table()
    other.layers['layers.1'][2] = ~other.layers['layers.1'][2]
    assert "layer 'layers.1': the channels of task 'c' differ" in table().difference(other)
    assert table().difference(other, rows=False) == ''


@pytest.mark.parametrize(
    ('tasks', 'widths', 'message'),
    [
        (('a', 'b', 'c', 'x'), {'layers.0': 64, 'layers.1': 32}, "masks of the tasks .*'d'"),
        (TASKS, {'layers.0': 64}, "'layers.1' exists in the file alone"),
        (TASKS, {'layers.0': 64, 'layers.1': 16}, "'layers.1' has 32 channels, in the network 16"),
    ],
)
def test_a_file_of_another_network_is_refused(tasks, widths, message):
    with pytest.raises(ValueError, match=f'masks.json: .*{message}'):
        table().check(tasks, widths, 'masks.json')


@pytest.mark.parametrize(
    ('break_it', 'message'),
    [
        (lambda c: c.pop('tasks'), "key 'tasks' is missing"),
        (lambda c: c['layers']['layers.0']['rows'].pop(), 'layers.0: 3 rows for 4 tasks'),
        (lambda c: c['layers']['layers.0']['rows'].__setitem__(0, '3 4'), 'add up to 7'),
        (lambda c: c['layers']['layers.0']['rows'].__setitem__(0, '64'), "'a' keeps none"),
        (lambda c: c['layers']['layers.0']['rows'].__setitem__(0, '9' * 30), 'too large'),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, break_it, message):
    content = table().content()
    break_it(content)
    path = tmp_path / 'masks.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        MaskTable.from_file(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)
