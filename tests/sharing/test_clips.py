"""Clips: the data, their transforms, and networks that go from frame to frame."""

import cv2
import numpy as np
import pytest
import torch
from sharing_toys import LOW_RANK, encoder, rand_images, vit

from bmtas.datasets import NYUDVideo, ShapeScenes
from bmtas.datasets.check import check_sample
from bmtas.models.data_preprocessor import MultiTaskPreprocessor
from bmtas.sharing import VideoState
from bmtas.sharing.meter import Meter
from bmtas.sharing.thresholds import Thresholds

PIPELINE = [
    dict(type='RandomScale', scale_range=(0.8, 1.4)),
    dict(type='RandomCrop', size=48, cat_max_ratio=0.75),
    dict(type='RandomHorizontalFlip'),
    dict(type='PackSample'),
]


def clips(**options):
    return ShapeScenes(**{**dict(size=64, clip=4, length=3, labels=['semseg', 'depth']), **options})


def test_a_frame_follows_from_clip_and_number_alone():
    first, second = clips(), clips(length=9)
    assert len(first) == 12 and len(second) == 36
    for index in (0, 5, 11):
        assert np.array_equal(first.load(index)['img'], second.load(index)['img'])
    assert np.array_equal(clips().load(4)['img'], ShapeScenes(size=64).load(1)['img'])
    assert {k: first.load(6)[k] for k in ('clip', 'frame')} == dict(clip=1, frame=2)
    assert not np.array_equal(first.load(4)['img'], first.load(5)['img'])
    assert not np.array_equal(first.load(4)['labels']['depth'], first.load(5)['labels']['depth'])


def test_movement_is_smooth_and_can_be_switched_off():
    images = [clips(clip=8).load(i)['img'].astype(float) for i in range(8)]
    steps = [np.abs(a - b).mean() for a, b in zip(images, images[1:])]
    far = np.abs(images[0] - images[7]).mean()
    assert max(steps) < far + 8 and min(steps) > 0
    still = [clips(motion=0).load(i)['img'] for i in range(4)]
    assert all(np.array_equal(still[0], image) for image in still)


def test_every_transform_treats_frames_as_the_image():
    # with motion 0 all frames are the image, so they must come out equal to it
    data = clips(motion=0, neighbours=(-1, 1, 2), pipeline=PIPELINE)
    for position in range(24):
        sample = data[position]
        assert sample['frames'].shape == (3, *sample['inputs'].shape)
        assert all(torch.equal(frame, sample['inputs']) for frame in sample['frames'])


def test_frames_do_not_change_the_sample():
    data, alone = clips(neighbours=(1,), pipeline=PIPELINE), clips(pipeline=PIPELINE)
    for position in range(12):
        assert torch.equal(data[position]['inputs'], alone[position]['inputs'])
        first, second = (d[position]['data_samples'].labels['semseg'] for d in (data, alone))
        assert torch.equal(first, second)


def test_preprocessor_carries_frames_on():
    data = clips(neighbours=(-1, 1), pipeline=[dict(type='PackSample')])
    samples = [data[i] for i in (1, 2)]
    batch = {key: [sample[key] for sample in samples] for key in samples[0]}
    prepared = MultiTaskPreprocessor()(batch)
    assert prepared['frames'].shape == (2, 2, 3, 64, 64)
    assert torch.equal(prepared['frames'][0, 1], prepared['inputs'][1])


def test_frames_of_another_size_are_refused():
    class Odd(ShapeScenes):
        def load(self, index):
            sample = super().load(index)
            sample['frames'][0] = sample['frames'][0][:-2]
            return sample

    data = Odd(size=64, clip=2, neighbours=(1,), length=1, pipeline=PIPELINE)
    with pytest.raises(ValueError, match=r'a frame of \(62, 64\); all frames of a clip'):
        data[0]


def write_snippets(root, names=('b', 'a'), skip=()):
    rng = np.random.default_rng(0)
    for folder in ('rgb', 'rgb_18', 'rgb_19', 'rgb_21', 'rgb_22', 'semseg', 'depth'):
        (root / 'train' / folder).mkdir(parents=True)
        for name in names:
            if (folder, name) in skip:
                continue
            image = rng.integers(0, 40, (12, 16, 3)).astype(np.uint8)
            if folder in ('semseg', 'depth'):
                image = image[..., 0]
            cv2.imwrite(str(root / 'train' / folder / f'{name}.png'), image)


def test_nyud_video_pairs_by_name(tmp_path):
    write_snippets(tmp_path)
    depth = dict(folder='depth', kind='depth', suffix='.png', scale=0.01)
    data = NYUDVideo(str(tmp_path), 'train', label_files=dict(depth=depth))
    assert data.ids == ['a', 'b'] and set(data.load(0)['labels']) == {'semseg', 'depth'}
    sample = data.load(1)
    expected = cv2.imread(str(tmp_path / 'train' / 'rgb_21' / 'b.png'))[..., ::-1]
    assert len(sample['frames']) == 4 and np.array_equal(sample['frames'][2], expected)


def test_a_gap_in_a_frame_folder_is_named(tmp_path):
    write_snippets(tmp_path, skip=[('rgb_19', 'a')])
    with pytest.raises(FileNotFoundError, match='rgb_19/a.png: frame missing .and 0 more'):
        NYUDVideo(str(tmp_path), 'train')


def test_bmtas_check_reads_the_frames(tmp_path):
    write_snippets(tmp_path)
    folder = tmp_path / 'train'
    (folder / 'rgb_21' / 'a.png').write_bytes(b'no image')
    cv2.imwrite(str(folder / 'rgb_22' / 'a.png'), np.eye(12, dtype=np.uint8))
    problems = check_sample(NYUDVideo(str(tmp_path), 'train'), 0).problems
    assert len(problems) == 2 and 'rgb_21/a.png: cannot be read' in problems[0]
    assert 'rgb_22/a.png: is 12x12' in problems[1] and 'rgb/a.png 12x16' in problems[1]


def test_names_end_where_the_suffix_begins(tmp_path):
    write_snippets(tmp_path, names=['a_left', 'a_right'])
    data = NYUDVideo(str(tmp_path), 'train', [], img_suffix='_left.png')
    assert data.ids == ['a'] and len(data.load(0)['frames']) == 4


def frames_of(count, same=False):
    first = rand_images(1)
    noise = [0 if same else 0.3 * rand_images(1, seed=9 + i) for i in range(count - 1)]
    return [first, *(first + n for n in noise)]


def run(network, images, video=None):
    with torch.no_grad():
        return {t: d for t, (d, _) in network(images, network.tasks, video=video).items()}


def clip_encoder(rows=True, tau=0.0, **video):
    network = encoder(vit(), LOW_RANK, rows=rows, video=video)
    network.thresholds = Thresholds(tau)
    return network.eval()


@pytest.mark.parametrize('rows', [False, True])
def test_key_frames_only_is_the_image_mode(rows):
    network = clip_encoder(rows, 0.05, interval=1)
    video = network.new_video()
    for images in frames_of(3):
        expected, found = run(network, images), run(network, images, video)
        assert all(torch.equal(found[t], expected[t]) for t in expected)


@pytest.mark.parametrize('rows', [False, True])
@pytest.mark.parametrize('switch', [0, 1, 2])
def test_without_thresholds_every_frame_is_exact(rows, switch):
    network = clip_encoder(rows, 0.0, interval=3, switch_layer=switch)
    video = network.new_video()
    for images in frames_of(5):
        expected, found = run(network, images), run(network, images, video)
        assert all(torch.allclose(found[t], expected[t], atol=1e-5) for t in expected)


@pytest.mark.parametrize('switch', [0, 2])
def test_equal_frames_cost_no_operator_after_the_first(switch):
    network = clip_encoder(True, 0.02, interval=4, switch_layer=switch)
    video, first = network.new_video(), None
    for number, images in enumerate(frames_of(4, same=True)):
        network.meter = meter = Meter()
        found = run(network, images, video)
        if number == 0:
            first = found
            continue
        assert all(torch.equal(found[t], first[t]) for t in first)
        for (task, place, name), count in meter.ops.items():
            layer = -1 if place == 'stem' else int(place.split('.')[1])
            if task == 'base' or layer >= switch:
                assert count.executed == 0, (task, place, name)
            else:
                assert count.effective > 0


@pytest.mark.parametrize('rows', [False, True])
def test_small_steps_add_up_until_they_count(rows):
    # what is kept is what was used: against the raw frame before, no step would ever be seen
    network = clip_encoder(rows, 0.1, interval=9)
    video, first = network.new_video(), torch.zeros(1, 3, 32, 48)
    for number, seen in enumerate((0.0, 0.0, 0.0, 0.12, 0.12)):
        run(network, first + 0.04 * number, video)
        assert torch.allclose(video.kept['base', 'stem.proj'][0], first + seen)


def test_a_new_clip_forgets():
    network = clip_encoder(True, 0.2, interval=9)
    first, second = frames_of(2)
    video = network.new_video()
    run(network, first, video)
    video.reset()
    assert not video.kept and video.is_key
    fresh = run(network, second, network.new_video())
    again = run(network, second, video)
    assert all(torch.equal(fresh[t], again[t]) for t in fresh)


def test_state_checks_its_arguments():
    with pytest.raises(ValueError, match='interval must be at least 1'):
        VideoState(0)
