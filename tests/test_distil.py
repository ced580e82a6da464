"""A student: it learns what its teacher says, and it is smaller."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from tiny_bundle import tiny_net
from tiny_data import write_data
from tiny_task import write_task

from medvis.errors import ModelError, SettingsError
from medvis.learn.distil import NARROWEST, Student, Teaching, distil, teacher_loss
from medvis.nets.losses import Heads
from medvis.nets.model import Output
from medvis.nets.weights import load_net, save_net
from medvis.settings import load_task

ALONE, EXCLUSIVE = Heads(), Heads((0, 1, 2), 2)


def output(seed, masks=1):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator) * 2

    return Output(drawn(4, 3), drawn(4, masks, 16, 16), drawn(4, 3, 2, 2), drawn(4, 8), [])


@pytest.mark.parametrize("heads", [ALONE, EXCLUSIVE])
@pytest.mark.parametrize("masks", [0, 1])
def test_a_student_that_says_the_same_has_nothing_to_learn(heads, masks):
    same = teacher_loss(output(0, masks), output(0, masks), heads, 2.0)
    other = teacher_loss(output(1, masks), output(0, masks), heads, 2.0)
    assert float(same) == pytest.approx(0, abs=1e-5) and float(other) > 0.1


def test_of_exclusive_classes_only_the_differences_count():
    told = output(0)
    shifted = told._replace(class_logits=told.class_logits + 3.0)
    assert float(teacher_loss(shifted, told, EXCLUSIVE, 2.0)) == pytest.approx(0, abs=1e-5)
    assert float(teacher_loss(shifted, told, ALONE, 2.0)) > 0.1


def test_the_loss_leads_to_the_teacher():
    given, told = output(1), output(0)
    masks = given.mask_logits.clone().requires_grad_()
    loss = teacher_loss(given._replace(mask_logits=masks), told, ALONE, 1.0)
    loss.backward()
    nearer = given._replace(mask_logits=(masks - 50 * masks.grad).detach())
    assert float(teacher_loss(nearer, told, ALONE, 1.0)) < float(loss.detach())


@pytest.mark.parametrize(("share", "temperature"), [(0.0, 2.0), (1.5, 2.0), (0.5, 0.0)])
def test_a_teacher_must_say_something(share, temperature):
    with pytest.raises(SettingsError, match=r"0 < share ≤ 1, temperature > 0"):
        Teaching(share, temperature)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "model.safetensors"
    save_net(tiny_net(streams="detail", widths=(32, 32, 32, 32, 32), embedding=32, cuts=[]), path)
    return path


def test_a_student_is_trained_and_goes_on_from_its_checkpoint(teacher, tmp_path):
    data = write_data(tmp_path / "data")
    wide = {"widths": [32, 32, 32, 32, 32], "embedding": 32, "streams": "detail", "drop": 0.0}
    task = load_task(str(write_task(tmp_path, network=wide, phases=[{"size": 32, "epochs": 6}], rate=0.01)))
    records = []

    def keep(record):
        if "epoch" in record:  # the others say what will be done
            records.append(record)

    def stop(record):
        keep(record)
        if records:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(teacher, task, data, tmp_path / "run", stop, Teaching(1.0, 1.0))
    path, sizes = distil(teacher, task, data, tmp_path / "run", keep, Teaching(1.0, 1.0))
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert 0 < records[-1]["teacher"] < records[0]["teacher"], "it has learned from it"
    net = load_net(path)
    assert net.spec.widths == (NARROWEST,) * 5, "half the teacher's widths, where nothing else is asked for"
    assert sizes["student"] < sizes["teacher"] / 2


def test_a_teacher_of_other_labels_is_one_line(tmp_path):
    path = tmp_path / "model.safetensors"
    save_net(tiny_net(streams="detail", classes=5, cuts=[]), path)
    with pytest.raises(ModelError, match=r"the teacher has 5 classes; wanted: 2 as in the train: section"):
        distil(path, load_task(str(write_task(tmp_path))), tmp_path, tmp_path / "run", print)
    assert not (tmp_path / "run").exists()


def test_a_student_is_a_trainer():
    assert Student.run is Student.__mro__[1].run, "nothing but the loss is its own"
