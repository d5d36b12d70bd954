"""The shipped configs name strategies that can be built."""

from pathlib import Path

import pytest

from bmtas.engine.config import load_config
from bmtas.registry import STRATEGIES

CONFIGS = Path(__file__).parents[2] / 'configs'
STRATEGY_OF = {
    'vanilla': 'VanillaSearch',
    'permutation': 'PermutationSearch',
    'random': 'RandomSearch',
    'fafs': 'FAFSSearch',
    'bmn': 'BMNSearch',
    'surrogate': 'SurrogateSearch',
    'best_of_random': 'BestOfRandom',
}


@pytest.mark.parametrize('folder', STRATEGY_OF)
def test_configs_of_strategies(folder):
    files = sorted((CONFIGS / folder).glob('*.py'))
    assert files
    for file in files:
        cfg = load_config(file)
        assert cfg.search.type == STRATEGY_OF[folder]
        assert hasattr(STRATEGIES.build(dict(cfg.search)), 'run')
        assert cfg.model.encoder.type == 'BranchedEncoder'


def test_misspelt_argument_is_refused():
    with pytest.raises(ValueError, match="no argument 'rules'; did you mean 'rule'"):
        load_config(CONFIGS / 'vanilla' / 'mobilenetv2_shapescenes.py', {'search.rules': 3})
