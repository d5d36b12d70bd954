"""LayeredViT against torchvision's and timm's blocks, in every encoder, and its weights."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from bmtas.models.backbones import LayeredViT
from bmtas.models.backbones.vit import sincos_positions
from bmtas.models.encoders import (
    BranchedEncoder,
    CrossStitchEncoder,
    MTANEncoder,
    NDDREncoder,
    SingleTaskEncoder,
    SupergraphEncoder,
    load_candidates,
)
from bmtas.models.heads import ConvNeXtHead
from bmtas.resources import count_madds

TASKS = ('a', 'b')
SMALL = dict(dim=32, depth=4, heads=4, patch=8)


def small(**options):
    torch.manual_seed(0)
    return LayeredViT(**{**SMALL, **options})


def whole(backbone):
    return nn.Sequential(
        backbone.copy_stem(), *(backbone.copy_layer(i) for i in range(backbone.num_layers))
    )


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    'build',
    [
        lambda b: SingleTaskEncoder(b, TASKS),
        lambda b: BranchedEncoder(b, TASKS, 'shared'),
        lambda b: BranchedEncoder(b, TASKS, [[0, 0], [0, 0], [0, 1], [0, 1], [0, 1]]),
        lambda b: SupergraphEncoder(b, TASKS),
        lambda b: CrossStitchEncoder(b, TASKS, None),
        lambda b: NDDREncoder(b, TASKS, None),
        lambda b: MTANEncoder(b, TASKS),
    ],
)
def test_every_encoder_runs_on_it(build, images):
    encoder = build(small())
    features = encoder(images, TASKS)
    assert list(features) == list(TASKS)
    for deep, low in features.values():
        assert deep.shape == low.shape == (2, 32, 4, 6)
    sum(deep.square().mean() for deep, _ in features.values()).backward()


def test_candidates_carry_over_to_the_branched_network(images):
    supergraph = SupergraphEncoder(small(), TASKS).eval()
    routes = [[0, 1], [0, 0], [1, 0], [0, 1], [0, 0]]
    branched = BranchedEncoder(small(), TASKS, routes).eval()
    load_candidates(branched, supergraph, routes)
    weights = nn.functional.one_hot(torch.tensor(routes), 2).float()
    expected = supergraph(images, TASKS, weights=weights)
    for task, (deep, _) in branched(images, TASKS).items():
        assert torch.equal(deep, expected[task][0])


def torchvision_model():
    torch.manual_seed(3)
    model = VisionTransformer(
        image_size=32, patch_size=8, num_layers=4, num_heads=4, hidden_dim=32, mlp_dim=128
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def our_tokens(path, images):
    backbone = LayeredViT(**SMALL, weights=str(path))
    return tokens(whole(backbone).eval()(images))


def tokens(maps):
    return maps.flatten(2).transpose(1, 2)


def test_blocks_equal_torchvision(tmp_path):
    model, images = torchvision_model(), torch.rand(2, 3, 32, 32)
    torch.save(model.state_dict(), tmp_path / 'tv.pth')
    x = tokens(model.conv_proj(images) + sincos_positions(32, 4, 4))
    expected = model.encoder.layers(x)
    assert torch.allclose(our_tokens(tmp_path / 'tv.pth', images), expected, atol=1e-5)


def test_blocks_equal_timm(tmp_path):
    timm = pytest.importorskip('timm')
    options = dict(img_size=32, patch_size=8, embed_dim=32, depth=4, num_heads=4)
    model, images = timm.models.VisionTransformer(**options).eval(), torch.rand(2, 3, 32, 32)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    torch.save(dict(model=model.state_dict()), tmp_path / 'timm.pth')
    x = model.patch_embed(images) + tokens(sincos_positions(32, 4, 4))
    expected = model.blocks(x)
    assert torch.allclose(our_tokens(tmp_path / 'timm.pth', images), expected, atol=1e-5)


def multivit_keys(state):
    """A timm-like state dict as MultiMAE's RGB encoder names it, with what it has besides."""
    renamed = {'global_tokens': torch.zeros(1, 1, 32), 'input_adapters.rgb.pos_emb': torch.ones(1)}
    for key, value in state.items():
        key = key.replace('0.proj.', 'input_adapters.rgb.proj.', 1) if key[0] == '0' else key
        index, _, rest = key.partition('.')
        renamed[f'encoder.{int(index) - 1}.{rest}' if index.isdigit() else key] = value
    return renamed


def mae_keys(state):
    """As MAE's checkpoint names them, q, k and v apart, with class token and decoder."""
    renamed = {'cls_token': torch.zeros(1), 'pos_embed': torch.zeros(1)}
    renamed |= {'norm.weight': torch.ones(32), 'decoder_blocks.0.norm1.weight': torch.ones(9)}
    for key, value in state.items():
        index, _, rest = key.partition('.')
        if index == '0':
            renamed[f'patch_embed.{rest}'] = value
        elif 'qkv' in rest:
            for name, part in zip('qkv', value.chunk(3)):
                renamed[f'blocks.{int(index) - 1}.{rest.replace("qkv", name)}'] = part
        else:
            renamed[f'blocks.{int(index) - 1}.{rest}'] = value
    return renamed


@pytest.mark.parametrize('names', [multivit_keys, mae_keys])
def test_other_key_maps(tmp_path, images, names):
    model = whole(small()).eval()
    torch.save(names(model.state_dict()), tmp_path / 'weights.pth')
    assert torch.equal(our_tokens(tmp_path / 'weights.pth', images), tokens(model(images)))


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda s: s.pop('encoder.0.mlp.fc2.bias'), "lack 1 tensors.*blocks.0.mlp.fc2.bias'"),
        (lambda s: s.update({'encoder.0.ls1.gamma': torch.ones(1)}), 'unknown 1.*ls1.gamma'),
        (lambda s: s.update({'encoder.4.norm1.weight': torch.ones(32)}), 'unknown 1.*depth 4'),
        (lambda s: s.update({'encoder.0.norm1.weight': torch.ones(9)}), 'misfit 1'),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, message):
    state = multivit_keys(whole(small()).state_dict())
    change(state)
    torch.save(state, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=message):
        small(weights=str(tmp_path / 'weights.pth'))


def test_positions_are_those_of_mae():
    # get_2d_sincos_pos_embed of MAE, written out for one token: column 2, row 1, D = 8
    omega = [1.0, 0.01]
    expected = [f(2 * w) for f in (torch.sin, torch.cos) for w in map(torch.tensor, omega)]
    expected += [f(1 * w) for f in (torch.sin, torch.cos) for w in map(torch.tensor, omega)]
    assert torch.allclose(sincos_positions(8, 3, 4)[0, :, 1, 2], torch.stack(expected))


def test_image_of_another_size_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r'30x32 .* patch 8; add .*PadTo.*\(32, 32\)'):
        small().copy_stem()(torch.rand(1, 3, 30, 32))


@pytest.mark.parametrize('options', [dict(dim=30), dict(heads=5), dict(depth=0), dict(patch=0)])
def test_impossible_sizes(options):
    with pytest.raises(ValueError, match='LayeredViT'):
        small(**options)


def closed_form(dim, tokens, depth, patch):
    return 12 * dim**2 * tokens * depth + 2 * tokens**2 * dim * depth + 3 * patch**2 * dim * tokens


def test_counters_count_attention():
    model, image = whole(small(mlp_ratio=4)), torch.rand(1, 3, 32, 48)
    expected = closed_form(32, 24, 4, 8)
    for convention, madds in (('mac', expected), ('paper', expected - 2 * 24**2 * 32 * 4)):
        counted = [count(model, image, convention=convention) for count in COUNTERS]
        assert counted[0] == counted[1]
        if convention == 'mac':
            assert counted[0] == madds


def on_meta(model, image, convention):
    return count_madds(copy.deepcopy(model).to('meta'), image.to('meta'), convention=convention)


COUNTERS = (count_madds, on_meta)


def test_vit_b_at_512_is_as_published():
    with torch.device('meta'):
        model, image = whole(LayeredViT()), torch.empty(1, 3, 512, 512)
    madds = count_madds(model, image)
    assert madds == closed_form(768, 1024, 12, 16)
    assert round(madds / 1e9, 1) == 106.9
    # the published 85.65 M without the global token
    assert sum(p.numel() for p in model.parameters()) == 85_645_056


@pytest.mark.parametrize(
    'embed_dim, channels, madds, params', [(3072, 21, 12.4, 2.97), (1536, 7, 3.8, 1.34)]
)
def test_head_costs_what_the_spec_says(embed_dim, channels, madds, params):
    with torch.device('meta'):
        head = ConvNeXtHead(768, 768, channels, embed_dim)
        x = torch.empty(1, 768, 32, 32)
    assert head(x, x).shape == (1, channels, 128, 128)
    assert count_madds(head, x, x) / 1e9 == pytest.approx(madds, abs=0.06)
    assert sum(p.numel() for p in head.parameters()) / 1e6 == pytest.approx(params, abs=0.01)


def test_head_width_must_fit_the_cells():
    with pytest.raises(ValueError, match='embed_dim 100 must be a multiple of cells.2 = 16'):
        ConvNeXtHead(32, 32, 1, 100)
