import pytest
from run_states import Interrupt, InterruptHook

from bmtas.search.gradient import HISTORY, append_history, read_history, trim_history


def test_history_survives_a_cut_line_and_is_trimmed(tmp_path):
    path = tmp_path / HISTORY
    for update in range(4):
        append_history(path, dict(update=update))
    with open(path, 'a') as stream:
        stream.write('{"update": 4, "los')
    assert [row['update'] for row in read_history(path)] == [0, 1, 2, 3]
    assert trim_history(path, 2) == 2
    assert [row['update'] for row in read_history(path)] == [0, 1]
    assert trim_history(tmp_path / 'none', 2) == 0


@pytest.mark.parametrize('left, words', [(2, 'cut: 1 of 3 rows'), (None, 'missing'), (3, '')])
def test_a_history_that_lost_rows_is_reported(search_config, run, tmp_path, left, words):
    with pytest.raises(Interrupt):
        run(search_config, 'run', hooks=[InterruptHook(7)])
    path = tmp_path / 'run' / HISTORY
    rows = path.read_text().splitlines(keepends=True)
    path.unlink()
    if left is not None:
        path.write_text(''.join(rows[:left]))
    runner = run(search_config, 'run', resume=True)
    log = ''.join(file.read_text() for file in (tmp_path / 'run').glob('*/*.log'))
    assert ('earlier updates are lost' in log) == bool(words) and words in log
    assert runner.message_hub.get_info('history_rows') == 7
