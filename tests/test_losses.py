"""The losses: closed forms, no target, and that better is never dearer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the losses need the extra 'train'")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from medvis.nets.loss_weights import LossWeights
from medvis.nets.losses import BatchTargets, Heads, class_loss, focal_tversky, soft_dice, total_loss
from medvis.nets.model import Output

SURE = 40.0


def square(rows=slice(4, 12), cols=slice(4, 12), count=1):
    mask = torch.zeros(count, 1, 32, 32)
    mask[:, :, rows, cols] = 1
    return mask


def logits_of(mask, strength=SURE):
    return (mask * 2 - 1) * strength


def output(masks, classes=None, evidence=None, deep=()):
    batch = masks.shape[0]
    classes = torch.zeros(batch, 2) if classes is None else classes
    evidence = torch.zeros(batch, 2, 4, 4) if evidence is None else evidence
    return Output(classes, masks, evidence, torch.zeros(batch, 3), list(deep))


@pytest.mark.parametrize("loss", [soft_dice, focal_tversky])
def test_a_perfect_outline_costs_nothing(loss):
    assert float(loss(logits_of(square()), square())) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("loss", [soft_dice, focal_tversky])
def test_a_miss_costs_almost_one(loss):
    assert float(loss(logits_of(torch.zeros(1, 1, 32, 32)), square())) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("loss", [soft_dice, focal_tversky])
def test_without_a_target_there_is_no_overlap_to_lose(loss):
    logits = torch.randn(2, 1, 32, 32, requires_grad=True)
    value = loss(logits, torch.zeros(2, 1, 32, 32))
    value.backward()
    assert value.item() == 0 and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [soft_dice, focal_tversky])
def test_images_without_a_target_do_not_dilute_the_others(loss):
    masks = torch.cat([square(), torch.zeros(1, 1, 32, 32)])
    logits = torch.zeros(2, 1, 32, 32)
    assert float(loss(logits, masks)) == pytest.approx(float(loss(logits[:1], masks[:1])))


def test_soft_dice_is_its_closed_form():
    logits = torch.full((1, 1, 32, 32), 0.0)  # probability one half everywhere
    overlap, size = 0.5 * 64, 0.5 * 1024 + 64
    assert float(soft_dice(logits, square())) == pytest.approx(1 - (2 * overlap + 1) / (size + 1), rel=1e-5)


def test_focal_tversky_is_its_closed_form():
    hit, missed, extra = 32.0, 32.0, 480.0
    tversky = (hit + 1) / (hit + 0.7 * missed + 0.3 * extra + 1)
    value = float(focal_tversky(torch.zeros(1, 1, 32, 32), square(), alpha=0.7, gamma=0.75))
    assert value == pytest.approx((1 - tversky) ** 0.75, rel=1e-5)


def test_focal_tversky_minds_a_missed_pixel_more_than_an_extra_one():
    missing = logits_of(square(slice(4, 12), slice(4, 10)))
    larger = logits_of(square(slice(4, 12), slice(4, 14)))
    assert float(focal_tversky(missing, square())) > float(focal_tversky(larger, square()))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-15, 15), min_size=2, max_size=5, unique=True))
def test_surer_of_the_truth_is_never_dearer(strengths):
    costs = [
        [float(loss(logits_of(square(), strength), square())) for strength in sorted(strengths)]
        for loss in (soft_dice, focal_tversky)
    ]
    assert (np.diff(costs) <= 1e-5).all()


def test_two_mask_channels_are_judged_one_by_one():
    masks = torch.cat([square(), square(slice(20, 30), slice(20, 30))], 1)
    logits = torch.cat([logits_of(masks[:, :1]), logits_of(torch.zeros(1, 1, 32, 32))], 1)
    assert float(soft_dice(logits, masks)) == pytest.approx(0.5, abs=0.05)


def known(batch=1, k=2):
    return torch.ones(batch, k)


def test_the_total_is_the_weighted_sum_of_its_parts():
    torch.manual_seed(0)
    masks = torch.randn(2, 1, 32, 32)
    given = output(masks, torch.randn(2, 2), torch.randn(2, 2, 4, 4), [torch.randn(2, 1, 32, 32)] * 2)
    weights = LossWeights(dice=1.1, bce=2.0, deep=0.5, classes=0.7, evidence=0.3)
    total, parts = total_loss(given, BatchTargets(square(count=2), torch.full((2, 2), 0.5), known(2)), weights)
    assert set(parts) == {"dice", "bce", "deep", "classes", "evidence"}
    assert all(np.isfinite(list(parts.values())))
    want = sum(getattr(weights, name) * value for name, value in parts.items())
    assert float(total) == pytest.approx(want, rel=1e-5)


def test_everything_right_costs_next_to_nothing():
    mask, cells = square(slice(8, 16), slice(8, 16)), torch.zeros(1, 2, 4, 4)
    cells[:, 0, 1, 1] = 1
    perfect = output(logits_of(mask), torch.tensor([[SURE, -SURE]]), logits_of(cells), [logits_of(mask)] * 3)
    total, _ = total_loss(perfect, BatchTargets(mask, torch.tensor([[1.0, 0.0]]), known()), LossWeights())
    assert float(total) == pytest.approx(0, abs=1e-3)


def test_a_weight_of_nought_switches_a_part_off():
    given = output(torch.randn(1, 1, 32, 32), torch.randn(1, 2), torch.randn(1, 2, 4, 4))
    nothing = LossWeights(dice=0, bce=0, deep=0, classes=0, evidence=0)
    total, parts = total_loss(given, BatchTargets(square(), known(), known()), nothing)
    assert float(total) == 0 and parts["bce"] > 0


def test_without_deep_heads_that_part_is_nought():
    _, parts = total_loss(output(torch.randn(1, 1, 32, 32)), BatchTargets(square(), known(), known()), LossWeights())
    assert parts["deep"] == 0


def test_an_unknown_class_teaches_nothing():
    classes = torch.zeros(1, 2, requires_grad=True)
    target = BatchTargets(square(), torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0]]))
    total, parts = total_loss(output(torch.zeros(1, 1, 32, 32), classes), target, LossWeights())
    total.backward()
    assert classes.grad[0, 0] < 0 and classes.grad[0, 1] == 0
    assert parts["classes"] == pytest.approx(np.log(2), rel=1e-5)


def test_with_nothing_known_the_class_loss_is_nought():
    target = BatchTargets(square(), torch.zeros(1, 2), torch.zeros(1, 2))
    _, parts = total_loss(output(torch.zeros(1, 1, 32, 32)), target, LossWeights())
    assert parts["classes"] == 0


def test_only_the_first_evidence_is_taught_where_the_target_is():
    evidence = torch.zeros(1, 2, 4, 4, requires_grad=True)
    target = BatchTargets(square(slice(8, 16), slice(16, 24)), known(), known())
    total, _ = total_loss(output(torch.zeros(1, 1, 32, 32), evidence=evidence), target, LossWeights())
    total.backward()
    pushed_up = evidence.grad[0, 0] < 0
    assert pushed_up.nonzero().tolist() == [[1, 2]]
    assert not evidence.grad[0, 1].any()


EXCLUSIVE = Heads((0, 1, 2), normal=2)


def test_classes_that_exclude_each_other_are_judged_by_cross_entropy():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.1, 0.9, 0.0]])
    value = class_loss(logits, BatchTargets(torch.zeros(2, 0, 8, 8), targets, torch.ones(2, 3)), EXCLUSIVE)
    first = -np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(-1)))
    assert float(value) == pytest.approx((first + np.log(3)) / 2, rel=1e-5)


def test_a_class_beside_the_exclusive_ones_keeps_its_own_loss():
    logits = torch.tensor([[2.0, 0.0, -1.0, 0.0]])
    target = BatchTargets(torch.zeros(1, 0, 8, 8), torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.ones(1, 4))
    together = class_loss(logits, target, EXCLUSIVE)
    alone = class_loss(logits[:, :3], BatchTargets(target.mask, target.classes[:, :3], target.known[:, :3]), EXCLUSIVE)
    assert float(together - alone) == pytest.approx(np.log(2), rel=1e-5)


def test_an_image_of_unknown_class_teaches_none():
    logits = torch.zeros(2, 3, requires_grad=True)
    known = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0]] * 2)
    class_loss(logits, BatchTargets(torch.zeros(2, 0, 8, 8), targets, known), EXCLUSIVE).backward()
    assert logits.grad[0].abs().sum() > 0 and not logits.grad[1].any()


def test_without_masks_the_classes_are_all_there_is():
    given = output(torch.zeros(2, 0, 32, 32), torch.zeros(2, 3), torch.zeros(2, 3, 4, 4))
    target = BatchTargets(torch.zeros(2, 0, 32, 32), torch.eye(3)[:2], torch.ones(2, 3))
    total, parts = total_loss(given, target, LossWeights(classes=2.0), EXCLUSIVE)
    assert set(parts) == {"classes"} and float(total) == pytest.approx(2 * np.log(3), rel=1e-5)


def test_the_evidence_of_exclusive_classes_is_theirs_in_the_target_and_normal_around_it():
    evidence = torch.zeros(1, 3, 4, 4, requires_grad=True)
    target = BatchTargets(square(slice(8, 16), slice(16, 24)), torch.tensor([[0.0, 1.0, 0.0]]), torch.ones(1, 3))
    given = output(torch.zeros(1, 1, 32, 32), torch.zeros(1, 3), evidence)
    total_loss(given, target, LossWeights(), EXCLUSIVE)[0].backward()
    assert (evidence.grad[0, 1] < 0).nonzero().tolist() == [[1, 2]]
    assert int((evidence.grad[0, 2] < 0).sum()) == 15 and not (evidence.grad[0, 0] < 0).any()


def test_tversky_is_a_part_only_where_it_weighs():
    given = output(torch.randn(1, 1, 32, 32), deep=[torch.randn(1, 1, 32, 32)])
    target = BatchTargets(square(), known(), known())
    total, parts = total_loss(given, target, LossWeights(dice=0, bce=0, deep=0, classes=0, evidence=0, tversky=2.0))
    assert float(total) == pytest.approx(2 * parts["tversky"], rel=1e-6)
    assert parts["tversky"] == pytest.approx(float(focal_tversky(given.mask_logits, square())))
    assert parts["deep"] == pytest.approx(2 * float(focal_tversky(given.deep[0], square())), rel=1e-5)
