"""What a training says of itself: data, network, epochs and time, in words a person plans with."""

from __future__ import annotations

import re

import pytest

from medvis.cli.training import line_of
from medvis.learn.training.durations import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"), (40, "40 s"), (59.4, "59 s"), (60, "1 min"), (3599, "1 h"), (3570, "1 h"), (12 * 60, "12 min"),
        (18746, "5 h 12 min"), (12000, "3 h 20 min"), (10.4 * 3600, "10 h 20 min"), (86400, "1 day"),
        (86399, "1 day"), (2 * 86400 + 5 * 3600, "2 days 5 h"),
    ],
)  # fmt: skip
def test_a_duration_is_as_exact_as_an_estimate(seconds, text):
    assert duration(seconds) == text


def test_an_epoch_is_one_legible_line():
    record = {"epoch": 3, "of": 57, "size": 192, "loss": 0.51234, "dice": 0.31, "val_macro_f1": 0.7, "val_score": 0.7}
    line = line_of({**record, "precision": "bfloat16", "seconds": 41.2, "eta_s": 12000})
    assert line == (
        "epoch 3 of 57, 192 px: loss 0.5123 (dice 0.31); on val macro f1 0.7, score 0.7; 41 s, about 3 h 20 min left"
    )
    assert line_of({"variant": "full", "note": "a"}) == "variant full, note: a"
    assert line_of({"variant": "full", "Dice": 0.5}) == "variant full: Dice 0.5"


def test_the_first_batches_tell_the_time_and_later_runs_where_they_go_on(tmp_path):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from tiny_pictures import write_whole
    from tiny_task_whole import write_task

    from medvis.learn.run import train
    from medvis.learn.task_check import load_trainable

    class StoppedError(Exception):
        pass

    def stop(record):
        if record.get("epoch") == 1:
            raise StoppedError

    data, said = write_whole(tmp_path / "data"), []

    def explain(topic, text):
        said.append(f"{topic}: {text}")

    config = load_trainable(str(write_task(tmp_path)))
    with pytest.raises(StoppedError):
        train(config, data, tmp_path / "run", stop, explain)
    text = "\n".join(said)
    assert "data: train: 24 pictures (blob 12, clean 12), 24 with a mask, 24 groups\n" in text
    assert "data: val: 8 pictures (blob 4, clean 4), 8 with a mask, 8 groups\n" in text
    assert "data: test: 8 pictures (blob 4, clean 4), 8 with a mask, 8 groups; not looked at in training\n" in text
    assert "epochs: 2: 2 at 64×64 px; 6 batches of 4 each; measured on val every 1 epoch\n" in text
    assert re.search(r"network: detail stream alone, [\d,]+ parameters; it gives blob, clean and a mask\n", text)
    assert re.search(r"device: CPU, 1 thread of \d+ cores", text) and "run: a new training" in text
    assert re.search(r"time: about \d+ (s|min) left by the first 5 batches", text)
    for expected in ("run: resuming at epoch 2 of 2", "run holds the finished training, all 2 epochs"):
        said.clear()
        train(config, data, tmp_path / "run", lambda _: None, explain)
        assert expected in "\n".join(said)
