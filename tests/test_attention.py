"""The bricks of the networks against the same formulas in plain numpy."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the networks need the extra 'train'")

import numpy as np

from medvis.nets.attention import GatedFusion, SpatialAttention
from medvis.nets.blocks import ConvNormAct, DropBlock, ResidualPair, Standardise, WindowBank


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_spatial_attention_is_the_formula():
    attend, x = SpatialAttention(), torch.randn(2, 5, 9, 11)
    with torch.no_grad():
        got = attend(x).numpy()
    kernel = attend.weigh.weight.detach().numpy().astype(np.float64)[0]
    bias = attend.weigh.bias.item()
    values = x.numpy().astype(np.float64)
    summary = np.pad(np.stack([values.mean(1), values.max(1)], 1), ((0, 0), (0, 0), (3, 3), (3, 3)))
    for row in range(9):
        for col in range(11):
            heat = (summary[:, :, row : row + 7, col : col + 7] * kernel).sum((1, 2, 3)) + bias
            want = values[:, :, row, col] * sigmoid(heat)[:, None]
            np.testing.assert_allclose(got[:, :, row, col], want, atol=1e-5)


def test_spatial_attention_only_ever_weakens():
    x = torch.randn(1, 4, 16, 16)
    got = SpatialAttention()(x)
    assert (got.abs() <= x.abs()).all() and (got.sign() == x.sign()).all()


def test_gated_fusion_is_the_formula():
    fuse = GatedFusion(3, 4)
    overview, detail = torch.randn(2, 3, 5, 6), torch.randn(2, 4, 5, 6)
    with torch.no_grad():
        fuse.train()(overview, detail)  # so that the batch norm has statistics worth using
        got = fuse.eval()(overview, detail).numpy()
    conv, norm = (part.state_dict() for part in fuse.project)
    projected = np.einsum("oc,bchw->bohw", conv["weight"][:, :, 0, 0].numpy().astype(np.float64), overview.numpy())
    mean, var, scale, shift = (
        norm[name].numpy()[None, :, None, None] for name in ("running_mean", "running_var", "weight", "bias")
    )
    projected = (projected - mean) / np.sqrt(var + 1e-5) * scale + shift
    both = np.concatenate([projected, detail.numpy()], 1)
    weight, bias = fuse.gate.weight.detach()[:, :, 0, 0].numpy(), fuse.gate.bias.detach().numpy()
    gate = sigmoid(np.einsum("oc,bchw->bohw", weight, both) + bias[None, :, None, None])
    np.testing.assert_allclose(got, gate * projected + (1 - gate) * detail.numpy(), atol=1e-5)


@pytest.mark.parametrize(("bias", "stream"), [(-40.0, "detail"), (40.0, "overview")])
def test_a_gate_that_is_shut_lets_one_stream_through(bias, stream):
    fuse = GatedFusion(4, 4).eval()
    torch.nn.init.zeros_(fuse.gate.weight)
    torch.nn.init.constant_(fuse.gate.bias, bias)
    overview, detail = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
    want = detail if stream == "detail" else fuse.project(overview)
    torch.testing.assert_close(fuse(overview, detail), want)


@pytest.mark.parametrize("drop", [DropBlock(0.5).eval(), DropBlock(0.0).train()])
def test_dropblock_is_the_identity_in_evaluation_and_at_rate_nought(drop):
    x = torch.randn(2, 3, 8, 8)
    assert drop(x) is x


def test_dropblock_keeps_the_mean_and_drops_about_its_rate_in_squares():
    x = torch.ones(8, 3, 64, 64)
    dropped = DropBlock(0.2).train()(x)
    assert float(dropped.mean()) == pytest.approx(1, abs=1e-5)
    gone = dropped == 0
    assert 0.12 < float(gone.float().mean()) < 0.25
    assert (gone == gone[:, :1]).all(), "a place is dropped in all channels"
    kept = dropped[~gone]
    assert float(kept.max() - kept.min()) < 1e-5, "what is kept is scaled alike"
    # A square of 3 fits around every dropped cell's seed: none stands alone.
    near = torch.nn.functional.avg_pool2d(gone.float(), 3, 1, 1)
    inner = gone[..., 2:-2, 2:-2]
    assert float((near[..., 2:-2, 2:-2][inner]).min()) >= 4 / 9 - 1e-6


def test_dropblock_survives_dropping_everything():
    gone = DropBlock(9.0, size=3).train()(torch.ones(1, 1, 4, 4))
    assert torch.isfinite(gone).all() and not gone.any()


def test_the_window_bank_cuts_its_windows_out():
    bank = WindowBank([(0.0, 1.0), (0.25, 0.75), (0.4, 0.5)])
    x = torch.tensor([0.0, 0.25, 0.45, 0.75, 1.0]).view(1, 1, 1, 5)
    want = [[-1, -0.5, -0.1, 0.5, 1], [-1, -1, -0.2, 1, 1], [-1, -1, 0, 1, 1]]
    np.testing.assert_allclose(bank(x)[0, :, 0].numpy(), want, atol=1e-6)
    assert list(bank.parameters()) == [], "windows are fixed, not learned"
    assert set(bank.state_dict()) == {"low", "width"}, "but saved with the weights"


def test_standardise_makes_three_channels_from_one_and_leaves_three():
    grey, colour = torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(Standardise(1)(grey), (grey * 2 - 1).expand(-1, 3, -1, -1))
    torch.testing.assert_close(Standardise(3)(colour), colour * 2 - 1)


@pytest.mark.parametrize(("stride", "shape"), [(1, (1, 6, 9, 12)), (2, (1, 6, 5, 6))])
def test_a_residual_pair_keeps_or_halves_the_grid(stride, shape):
    assert ResidualPair(4, 6, stride).eval()(torch.randn(1, 4, 9, 12)).shape == shape


def test_a_residual_pair_without_its_convolutions_is_its_shortcut():
    pair, x = ResidualPair(4, 4).eval(), torch.randn(1, 4, 8, 8)
    torch.nn.init.zeros_(pair.second[0].weight)
    torch.testing.assert_close(pair(x), x.clamp(min=0))


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_keeps_the_grid(kernel):
    out = ConvNormAct(3, 5, kernel).eval()(torch.randn(1, 3, 7, 10))
    assert out.shape == (1, 5, 7, 10) and (out >= 0).all()
