import zipfile

import pytest
import torch

from bmtas.sealed import load_state, seal


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / 'a.pth'
    plain = tmp_path / 'plain.pth'
    state = {'state_dict': {'w': torch.arange(300.0)}, 'meta': {'iter': 3}}
    torch.save(state, plain)
    path.write_bytes(seal(plain.read_bytes()))
    return path, plain


def test_round_trip(sealed):
    for path in sealed:
        state = load_state(path)
        assert torch.equal(state['state_dict']['w'], torch.arange(300.0))
    # still a checkpoint for everybody else
    assert torch.load(sealed[0], weights_only=True)['meta'] == {'iter': 3}
    assert zipfile.ZipFile(sealed[0]).testzip() is None


def flipped(path, step):
    """Rewrite a file with one bit flipped, at every ``step``-th byte in turn; gives the places."""
    good = path.read_bytes()
    for place in range(0, len(good), step):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        yield place


def test_every_flipped_bit_is_found(sealed):
    path = sealed[0]
    for _ in flipped(path, 7):
        with pytest.raises(ValueError, match=r'checkpoint .*a\.pth cannot be loaded'):
            load_state(path)


def test_flipped_bits_in_files_of_others_change_no_weight(sealed):
    path = sealed[1]
    for place in flipped(path, 11):
        try:
            state = load_state(path)
        except ValueError:
            continue
        assert torch.equal(state['state_dict']['w'], torch.arange(300.0)), place


def test_cut_foreign_and_hostile_files(sealed, tmp_path):
    path = sealed[0]
    content = path.read_bytes()
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match='cannot be loaded'):
            load_state(path)
    torch.save(torch.nn.Linear(1, 1), path)
    with pytest.raises(ValueError, match='more in it than tensors and plain values'):
        load_state(path)
    torch.save([1], path)
    with pytest.raises(ValueError, match='holds no weights but a list'):
        load_state(path)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        load_state(tmp_path / 'none.pth')
