"""Every command block of README.md and docs/, page by page, on tiny settings."""

import importlib
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bmtas import cli
from bmtas.engine import config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
SKIPPED = {
    r'^(git|make|pip|pytest|source) ': 'not a command of bmtas; CI runs make and pytest',
    r'^(\./)?tools/\w+\.sh|^torchrun ': 'several processes: tests/across/test_distributed.py',
    r'^python benchmarks/': 'benchmarks have tests of their own',
    r'^bmtas prepare ': 'downloads; tests/cli/test_prepare.py',
    r'\b[A-Z]+_?DIR\b|\bCONFIG\b|\bmydata\b|\bFILE\b|\.\.\.': 'holds a placeholder',
    r'pascal|nyud|celeba|cub|tabletop|camvid|bsds|ncp/|bmtas ncp': 'needs data that is not shipped',
}


def commands(page):
    """Lines of the bash blocks, without comments."""
    for block in re.findall(r'```bash\n(.*?)```', page.read_text(), re.S):
        for line in block.replace('\\\n', ' ').split('\n'):
            line = line.split('  #')[0].strip()
            if line and not line.startswith('#'):
                yield line


def skipped(line):
    """Why a line is not run; '' if it is."""
    known = re.sub(r'resources single/\w+_pascal|resources shared/\w+_pascal', '', line)
    return next((why for pattern, why in SKIPPED.items() if re.search(pattern, known)), '')


def tiny(cfg):
    """Two updates on four rendered scenes."""
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader and 'ShapeScenes' in str(loader.dataset):
            loader.update(batch_size=2, num_workers=0, persistent_workers=False)
            loader.dataset.update(length=4, antialias=1)
    search = cfg.get('search') or {}
    if search.get('type') == 'GradientSearch':
        search.update(warmup_updates=1, weight_updates=1, alpha_phase=1, weight_phase=1)
    elif search.get('type') == 'SurrogateSearch':
        search.update(count=8, rounds=0)
    if (cfg.get('train_cfg') or {}).get('max_iters'):
        cfg.train_cfg.update(max_iters=2, val_interval=2)
    model = cfg.get('model') or {}
    if (model.get('encoder') or {}).get('backbone'):
        model.encoder.backbone.weights = None
    return cfg


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with photos in which the commands run on tiny settings."""
    parse = config.parse_config
    monkeypatch.setattr(config, 'parse_config', lambda path: tiny(parse(path)))
    monkeypatch.chdir(tmp_path)
    for name in ('photos/a.jpg', 'more/b.png'):
        Path(name).parent.mkdir()
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(name)
    return tmp_path


def name_checkpoints(page):
    """The pages name the checkpoint after the full number of updates; ours is another one."""
    for folder, name in set(re.findall(r'(work_dirs/\S+)/(iter_\d+\.pth)', page.read_text())):
        made = sorted(Path(folder).glob('iter_*.pth'))
        if made and not (Path(folder) / name).exists():
            shutil.copyfile(made[-1], Path(folder) / name)


def test_most_lines_are_run():
    lines = [line for page in PAGES for line in commands(page)]
    ours = [line for line in lines if line.startswith('bmtas ')]
    assert len(ours) >= 30
    assert sum(not skipped(line) for line in ours) >= 25
    for line in ours:  # those that are not run name a command at least
        assert line.split()[1].lstrip('-') in {*cli.COMMANDS, *cli.plug_in_commands(), 'version'}


def all_commands():
    """Every line of README, docs and CONTRIBUTING that calls bmtas, in a fence or indented."""
    for page in [*PAGES, ROOT / 'CONTRIBUTING.md']:
        text = page.read_text().replace('\\\n', ' ')
        for line in re.findall(r'^(?:    )?(bmtas [a-z].*)$', text, re.M):
            line = re.sub(r'  +#.*|[\[\]]', '', line)
            line = re.sub(r'\b(CONFIG|MODEL)\b', 'shared/mobilenetv2_shapescenes', line)
            yield page.name, line


def test_every_command_is_understood():
    """Arguments parse, configs exist and take the options: also where data would be needed."""
    modules = {name: f'bmtas.cli.{name}' for name in cli.COMMANDS if name != 'env'}
    modules |= {name: e.value.split(':')[0] for name, e in cli.plug_in_commands().items()}
    read = 0
    for page, line in all_commands():
        name, *argv = shlex.split(line)[1:]
        if name not in modules or any(word in line for word in ('...', '<')):
            continue
        try:
            args = importlib.import_module(modules[name]).parse_args(argv)
        except SystemExit:
            pytest.fail(f'{page}: {line}')
        path = getattr(args, 'config', None)
        if isinstance(path, str) and not path.startswith('person'):  # what extract writes
            assert config.find_config(path), (page, line)
            if getattr(args, 'cfg_options', None):
                assert config.load_config(path, args.cfg_options), (page, line)
        read += 1
    assert read > 60
    for page in PAGES:
        for script in re.findall(r'python ((?:benchmarks|tools)/\w+\.py)', page.read_text()):
            assert (ROOT / script).is_file(), (page.name, script)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_the_page_runs(page, place):
    run = [line for line in commands(page) if not skipped(line)]
    if not run:
        pytest.skip('no command block that can run here')
    for line in run:
        program, *argv = shlex.split(line)
        assert program == 'bmtas', line
        assert cli.main(argv) == 0, line
        name_checkpoints(page)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_python_blocks_are_python(page):
    for block in re.findall(r'```python\n(.*?)```', page.read_text(), re.S):
        compile(block, str(page), 'exec')


def test_costs_by_hand(place, capsys):
    block = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'budgets.md').read_text(), re.S)[-1]
    exec(compile(block, 'docs/budgets.md', 'exec'), {})
    cost, shared, separate = map(int, capsys.readouterr().out.split()[-3:])
    assert cost == shared < separate
