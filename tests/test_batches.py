"""Batches: full ones, the same however many threads make them; Mixup; and the averaged weights' own statistics."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

import numpy as np
from tiny_bundle import tiny_net
from tiny_pictures import tile_recipe

from medvis.learn.training.average import WeightAverage
from medvis.learn.training.batches import Batches, mixed
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import Crop

CPU = torch.device("cpu")


class Numbered:
    """Crops that tell their numbers."""

    def __len__(self):
        return 11

    def crop(self, epoch, index, size):
        view = np.full((1, size, size), index / 16, np.float32)
        target = np.array([index % 2, epoch / 8], np.float32)
        return Crop(view, (view > 0.3).astype(np.float32), target, np.array([1, index % 3], np.float32))


def batches(**changes):
    return Batches(Numbered(), Recipe(**tile_recipe(**changes)), CPU)


def flat(made):
    return [(views, *vars(target).values()) for views, target in made]


def test_an_epoch_is_full_batches_of_different_crops():
    made = list(batches().epoch(0, 8))
    assert len(made) == len(batches()) == 2
    assert [views.shape for views, _ in made] == [(4, 1, 8, 8)] * 2
    seen = torch.cat([views[:, 0, 0, 0] for views, _ in made])
    assert len(set(seen.tolist())) == 8, "none comes twice"
    assert all(views.is_contiguous(memory_format=torch.channels_last) for views, _ in made)
    other = torch.cat([views[:, 0, 0, 0] for views, _ in batches().epoch(1, 8)])
    assert not torch.equal(seen, other), "each epoch in an order of its own"
    assert len(list(batches().epoch(0, 8, most=1))) == 1


@pytest.mark.parametrize("mixup", [0.0, 0.7])
def test_threads_make_the_same_batches(mixup):
    alone = flat(batches(augment={"mixup": mixup}).epoch(2, 8))
    helped = flat(batches(augment={"mixup": mixup}, workers=3).epoch(2, 8))
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_mixup_is_left_out_where_it_is_not_wanted():
    plain, asked = flat(batches().epoch(0, 8)), flat(batches(augment={"mixup": 1.0}).epoch(0, 8, mix=False))
    for one, other in zip(plain, asked, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def arrays(count=200):
    rng = np.random.default_rng(0)
    views = rng.random((count, 1, 4, 4), np.float32)
    classes = np.eye(3, dtype=np.float32)[rng.integers(0, 3, count)]
    return views, (views > 0.5).astype(np.float32), classes, np.ones((count, 3), np.float32)


def test_mixup_mixes_views_masks_and_classes_by_the_same_weight():
    views, masks, classes, _ = before = arrays()
    mixes = mixed(before, np.random.default_rng(1), Recipe(**tile_recipe(augment={"mixup": 0.5})))
    new_views, new_masks, new_classes, new_known = mixes
    np.testing.assert_allclose(new_classes.sum(1), 1, atol=1e-5)
    assert (new_known == 1).all() and all(part.dtype == np.float32 for part in mixes)
    changed = np.abs(new_views - views).max((1, 2, 3)) > 1e-6
    assert 0.35 < changed.mean() < 0.65
    # The first weighs at least a half, so its class stays the likeliest.
    own = (new_classes * classes).sum(1)
    assert own.min() >= 0.5 - 1e-6 and own[changed].mean() < 0.95
    np.testing.assert_array_equal(new_masks[~changed], masks[~changed])
    for row in np.flatnonzero(changed & (own < 0.999))[:20]:
        partner = [
            other
            for other in range(len(views))
            if np.allclose(new_views[row], own[row] * views[row] + (1 - own[row]) * views[other], atol=1e-4)
        ]
        assert any(
            np.allclose(new_masks[row], own[row] * masks[row] + (1 - own[row]) * masks[other], atol=1e-4)
            for other in partner
        )


def test_what_only_one_of_the_two_knows_is_its_own_and_weighs_less():
    views = np.zeros((2, 1, 2, 2), np.float32)
    classes, known = np.array([[1.0], [0.0]], np.float32), np.array([[1.0], [0.0]], np.float32)
    recipe = Recipe(**tile_recipe(augment={"mixup": 1.0}))
    for seed in range(9):
        _, _, targets, weights = mixed((views, views, classes, known), np.random.default_rng(seed), recipe)
        assert np.allclose(targets[weights > 0], 1), "of the unknown one nothing is learned"
        assert weights.max() <= 1 and weights[0, 0] >= 0.5


def test_without_a_share_that_stays_the_average_is_the_model():
    net = tiny_net(streams="detail")
    average = WeightAverage(net, 0.0)
    for _ in range(3):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.3)
        average.update_parameters(net)
        assert all(torch.equal(a, b) for a, b in zip(average.parameters(), net.parameters(), strict=True))


def test_the_average_of_a_steady_move_lags_behind_as_its_formula_says():
    net = tiny_net(streams="detail")
    average = WeightAverage(net, 0.5)
    weight, mean = net.classify.bias, average.module.classify.bias
    for count, kept in enumerate([0.0, 2 / 11, 3 / 12, 4 / 13]):  # the first update copies the weights
        before = mean.clone()
        with torch.no_grad():
            weight.add_(1.0)
        average.update_parameters(net)
        torch.testing.assert_close(mean, kept * before + (1 - kept) * weight)
        assert int(average.n_averaged) == count + 1
    average.n_averaged.fill_(10_000)
    before = mean.clone()
    average.update_parameters(net)
    torch.testing.assert_close(mean, 0.5 * before + 0.5 * weight, msg="no more than the decay is kept")


def test_batch_norms_get_their_statistics_without_dropblock():
    net = tiny_net(streams="detail", drop=0.9)
    average = WeightAverage(net, 0.9)
    view = [torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))]
    state = torch.get_rng_state()
    average.update_batch_norms(view)
    assert torch.equal(torch.get_rng_state(), state), "nothing was dropped"
    assert not any(module.training for module in average.modules())
    average.train()
    training = {type(module).__name__ for module in average.modules() if module.training}
    assert training == {"BatchNorm2d"}


def test_statistics_are_those_of_the_views_and_of_nothing_before():
    net = tiny_net(streams="detail")
    average = WeightAverage(net, 0.9)
    views = [torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    average.update_batch_norms(views)
    first = average.module.encoder.detail.stem[1]
    with torch.no_grad():
        seen = torch.cat([average.module.encoder.detail.stem[0](average.module.input(view)) for view in views])
    torch.testing.assert_close(first.running_mean, seen.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    assert not average.module.training
    before = [norm.clone() for norm in average.module.buffers()]
    average.update_batch_norms(views)
    for one, other in zip(before, average.module.buffers(), strict=True):
        torch.testing.assert_close(one, other)
