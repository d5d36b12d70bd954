"""Reading of predictions and ground truths, with the mistakes users make."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from skimage.morphology import thin as skimage_thin

from bmtas.evaluation.boundaries import Protocol, find_pairs, run_benchmark
from bmtas.evaluation.boundaries.benchmark import compare_files
from bmtas.evaluation.boundaries.files import read_prediction, read_truths, region_boundaries


def cells(annotators):
    """The nested structure of BSDS500's files: a cell array of structures."""
    array = np.empty((1, len(annotators)), object)
    for i, fields in enumerate(annotators):
        array[0, i] = fields
    return array


def halves(shape=(8, 10)):
    regions = np.ones(shape, np.uint16)
    regions[:, shape[1] // 2 :] = 2
    return regions


def test_region_boundaries_by_hand():
    regions = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 2]])
    # seg2bmap: east, south and south-east; the last row looks east only, the last column south
    expected = [[0, 0, 0], [0, 1, 1], [0, 1, 0]]
    assert region_boundaries(regions).astype(int).tolist() == expected


def test_bsds_truth(tmp_path):
    lines = np.zeros((8, 10), np.uint8)
    lines[3:5] = 1
    path = tmp_path / 'a.mat'
    annotators = [{'Segmentation': halves(), 'Boundaries': lines}] * 2
    savemat(path, {'groundTruth': cells(annotators)})
    first, second = read_truths(path)
    np.testing.assert_array_equal(first, lines > 0)
    np.testing.assert_array_equal(second, lines > 0)
    regions = read_truths(path, 'segmentation')
    np.testing.assert_array_equal(regions[1], skimage_thin(region_boundaries(halves())))


def test_label_map_and_png_truth(tmp_path):
    savemat(tmp_path / 'a.mat', {'LabelMap': halves()})
    expected = skimage_thin(region_boundaries(halves()))
    np.testing.assert_array_equal(read_truths(tmp_path / 'a.mat')[0], expected)
    Image.fromarray(halves().astype(np.uint8)).save(tmp_path / 'b.png')
    np.testing.assert_array_equal(read_truths(tmp_path / 'b.png', 'segmentation')[0], expected)
    lines = np.zeros((8, 10), np.uint8)
    lines[3:6] = 255
    Image.fromarray(lines).save(tmp_path / 'c.png')
    np.testing.assert_array_equal(read_truths(tmp_path / 'c.png')[0], skimage_thin(lines > 0))


def test_slanted_regions_of_matlab_files_are_thinned(tmp_path):
    rows, columns = np.mgrid[:30, :40]
    regions = (1 + (columns > rows)).astype(np.uint16)
    savemat(tmp_path / 'a.mat', {'LabelMap': regions})
    savemat(tmp_path / 'b.mat', {'groundTruth': cells([{'Segmentation': regions}])})
    raw = region_boundaries(regions)
    expected = skimage_thin(raw)
    assert expected.sum() < 0.6 * raw.sum()
    np.testing.assert_array_equal(read_truths(tmp_path / 'a.mat')[0], expected)
    np.testing.assert_array_equal(read_truths(tmp_path / 'b.mat', 'segmentation')[0], expected)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_prediction(tmp_path, dtype):
    top = np.iinfo(dtype).max
    values = np.array([[0, top // 5], [top, top // 3]], dtype)
    Image.fromarray(values).save(tmp_path / 'a.png')
    np.testing.assert_allclose(read_prediction(tmp_path / 'a.png'), values / top)


def test_one_bit_prediction(tmp_path):
    Image.fromarray(np.eye(4, dtype=bool)).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_prediction(tmp_path / 'a.png'), np.eye(4))


@pytest.fixture
def folders(tmp_path):
    """Three images, predicted perfectly."""
    for folder in ('predicted', 'truth'):
        (tmp_path / folder).mkdir()
        for name in 'abc':
            lines = np.zeros((20, 30), np.uint8)
            lines[4 + ord(name) % 7, 3:25] = 255
            Image.fromarray(lines).save(tmp_path / folder / f'{name}.png')
    return tmp_path / 'predicted', tmp_path / 'truth'


def test_folders(folders):
    seen = []
    pairs = find_pairs(*folders)
    scores, counts = run_benchmark(pairs, Protocol(), on_image=lambda: seen.append(1))
    assert scores.ods[3] == scores.ois[2] == 1
    assert list(counts) == ['a', 'b', 'c']
    assert len(seen) == 3
    assert list(find_pairs(*folders, ['b', 'b'])) == ['b']


def test_processes_give_the_same(folders):
    pairs = find_pairs(*folders)
    alone, alone_counts = run_benchmark(pairs, Protocol(thresholds=5))
    seen = []
    scores, counts = run_benchmark(pairs, Protocol(thresholds=5), 2, lambda: seen.append(1))
    assert scores.ods == alone.ods
    assert list(counts) == list(alone_counts)
    assert len(seen) == 3


def test_missing_files(folders, tmp_path):
    predicted, truth = folders
    (predicted / 'b.png').unlink()
    with pytest.raises(FileNotFoundError, match="1 of 3 images have no prediction.*'b'"):
        find_pairs(predicted, truth)
    with pytest.raises(FileNotFoundError, match="1 of 2 images have no ground truth.*'x'"):
        find_pairs(predicted, truth, ['a', 'x'])
    with pytest.raises(FileNotFoundError, match='no such folder'):
        find_pairs(tmp_path / 'nowhere', truth)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='no ground truth, expected'):
        find_pairs(predicted, tmp_path / 'empty')
    with pytest.raises(ValueError, match='list of images is empty'):
        find_pairs(predicted, truth, [])


def test_bad_files(folders, tmp_path):
    predicted, truth = folders
    (predicted / 'a.png').write_bytes((predicted / 'b.png').read_bytes()[:50])
    with pytest.raises(ValueError, match=r'a\.png: cannot be read as an image'):
        compare_files(predicted / 'a.png', truth / 'a.png', Protocol())
    Image.fromarray(np.full((20, 30, 3), (9, 0, 0), np.uint8)).save(predicted / 'a.png')
    with pytest.raises(ValueError, match=r'a\.png: expected a grey image.*\(20, 30, 3\)'):
        read_prediction(predicted / 'a.png')
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(predicted / 'a.png')
    with pytest.raises(ValueError, match=r'30x20 pixels.*a\.png has 20x30'):
        compare_files(predicted / 'a.png', truth / 'a.png', Protocol())
    broken = tmp_path / 'broken.mat'
    savemat(broken, {'LabelMap': halves((100, 100))}, do_compression=True)
    broken.write_bytes(broken.read_bytes()[:170])
    with pytest.raises(ValueError, match=r'broken\.mat: cannot be read'):
        read_truths(broken)
    savemat(broken, {'other': halves()})
    with pytest.raises(ValueError, match="neither 'groundTruth' nor 'LabelMap' but .'other'"):
        read_truths(broken)
    savemat(broken, {'groundTruth': cells([{'Segmentation': halves()}])})
    with pytest.raises(ValueError, match="lacks the field 'Boundaries'"):
        read_truths(broken)
    for values in ('text', np.zeros((3, 3, 3)), np.zeros((0, 0))):
        for content in ({'LabelMap': values}, {'groundTruth': cells([{'Boundaries': values}])}):
            savemat(broken, content)
            with pytest.raises(ValueError, match=r'broken\.mat: .* is no map of numbers'):
                read_truths(broken)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(tolerance=0), 'fraction of the diagonal'),
        (dict(tolerance=4.3), 'fraction of the diagonal'),
        (dict(thresholds=0), 'at least one'),
        (dict(truth='Lines'), "unknown kind 'Lines'"),
    ],
)
def test_bad_protocol(options, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**options)


def test_maps_of_zeros_and_ones_and_palettes_of_greys(tmp_path):
    mask = np.zeros((4, 5), np.uint8)
    mask[1] = 1
    Image.fromarray(mask).save(tmp_path / 'ones.png')
    np.testing.assert_array_equal(read_prediction(tmp_path / 'ones.png'), mask)
    palette = Image.fromarray(mask, 'P')
    palette.putpalette([255, 255, 255, 51, 51, 51])  # index 1 is the darker one
    palette.save(tmp_path / 'greys.png')
    expected = np.where(mask, 0.2, 1.0)
    np.testing.assert_allclose(read_prediction(tmp_path / 'greys.png'), expected)
    np.testing.assert_array_equal(
        read_truths(tmp_path / 'greys.png', 'segmentation')[0],
        read_truths(tmp_path / 'ones.png', 'segmentation')[0],
    )
    palette.putpalette([255, 255, 255, 200, 51, 51])
    palette.save(tmp_path / 'red.png')
    with pytest.raises(ValueError, match=r'red.png: expected a grey image .*save it as grey'):
        read_prediction(tmp_path / 'red.png')
