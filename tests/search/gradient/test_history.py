from bmtas.search.gradient import (
    HISTORY,
    append_history,
    read_history,
    trim_history,
)


def test_history_survives_a_cut_line_and_is_trimmed(tmp_path):
    path = tmp_path / HISTORY
    for update in range(4):
        append_history(path, dict(update=update))
    with open(path, 'a') as stream:
        stream.write('{"update": 4, "los')
    assert [row['update'] for row in read_history(path)] == [0, 1, 2, 3]
    trim_history(path, 2)
    assert [row['update'] for row in read_history(path)] == [0, 1]
