"""What a config says of stages, and what is refused."""

import pytest
from sharing_configs import ROOT, write_config

from bmtas.engine.config import load_config
from bmtas.registry import MODELS
from bmtas.sharing.section import section_of, stage_config, stages_of


@pytest.mark.parametrize(
    'change, message',
    [
        ({'sharing.base_task': 'semsegg'}, "base_task: no task 'semsegg'; did you mean 'semseg'"),
        ({'sharing.density': 1.5}, 'sharing.density: must lie in 0 to 1'),
        ({'sharing.density': 0.0}, r'sharing.density: must be in .0, 1., got 0.0'),
        ({'sharing.stages.gate': {}}, "no stage 'gate'; did you mean 'gates'"),
        ({'sharing.densty': 0.1}, "sharing.densty: unknown key; did you mean 'density'"),
        ({'sharing.stages.gates.encoder.gate_wight': 1}, "did you mean 'gate_weight'"),
        ({'sharing.stages.gates.by_task': {'norm': {}}}, "by_task: there is no task 'norm'"),
    ],
)
def test_faulty_sections(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        stage_config(load_config(write_config(tmp_path), change), 'gates', 'normals')


def test_low_rank_has_no_gates_and_its_rank_must_fit(tmp_path):
    config = write_config(tmp_path, 'vit_lowrank_shapescenes')
    assert stages_of(load_config(config), 'edge') == ['support', 'align']
    own = stage_config(load_config(config, {'model.encoder.delta.rank': 99}), 'support', 'edge')
    with pytest.raises(ValueError, match='delta.rank: 99 must be 1 to 16'):
        MODELS.build(own.model)


@pytest.mark.parametrize('name', ['vitb_pascal', 'vitb_nyud'])
def test_ref_configs_have_what_the_public_code_does_behind_flags(name):
    mended, ref = (load_config(ROOT / f'configs/sharing/{n}.py') for n in (name, f'{name}_ref'))
    on = {key: ref.model.encoder[key] for key in ('threshold_on', 'align_on', 'thresholds')}
    assert on == dict(threshold_on='output', align_on='output', thresholds=0.15)
    assert not any(key in mended.model.encoder for key in on)
    assert section_of(ref)['support'] == 'draw' and 'support' not in section_of(mended)
    gates = stage_config(ref, 'gates', 'normals')
    assert gates.model.encoder.gate_form == 'sum'
    assert gates.optim_wrapper.paramwise_cfg == dict(gate_lr=0.1, gate_decay=0.01)
    own = stage_config(mended, 'gates', 'normals').optim_wrapper.get('paramwise_cfg') or {}
    assert 'gate_decay' not in own and section_of(mended)['density'] == 0.05
