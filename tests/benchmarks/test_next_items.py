"""The benchmark of next items runs, small: all three tables, without a look at test answers."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from behavior_spark.model.sequence.training import TrainingOptions
from benchmarks import next_items


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A log of 30 items on a circle, each with the word of its third."""
    folder = tmp_path / "amazon_beauty"
    folder.mkdir()
    random = np.random.default_rng(0)
    starts = random.integers(0, 30, 200)
    rows = [[1 + (start + step) % 30 for step in range(6)] for start in starts]
    with gzip.open(folder / "Beauty.txt.gz", "wt") as file:
        file.writelines(f"{user} {' '.join(map(str, row))}\n" for user, row in enumerate(rows, 1))
    with gzip.open(folder / "datamaps.json.gz", "wt") as file:
        json.dump({"id2attribute": {"1": "first", "2": "second", "3": "third"}}, file)
    with gzip.open(folder / "item2attributes.json.gz", "wt") as file:
        json.dump({str(item): [1 + (item - 1) // 10] for item in range(1, 31)}, file)
    options = TrainingOptions(batch=16, negatives=0, rate=1e-2, own_dropout=0.1, epochs=6)
    monkeypatch.setattr(
        next_items,
        "CHOSEN",
        replace(next_items.CHOSEN, shape={"width": 16, "dropout": 0.1}, training=options),
    )
    monkeypatch.setenv("BEHAVIOR_DATA", str(tmp_path))
    threads = torch.get_num_threads()
    yield str(tmp_path / "models")
    torch.set_num_threads(threads)


def table(text):
    """First figure of each row, by its name."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    figures = [row for row in rows if row[1].strip()[:1].isdigit()]
    return {row[0].strip(): row[1].split()[0] for row in figures}


def test_the_tables_of_validation_test_and_cold_items(small, tmp_path, capsys):
    asked = ["--folder", small, "--threads", "1"]
    next_items.main([*asked, "--ids-alone"])
    validation = table(capsys.readouterr().out)
    assert float(validation["Markov chain, decayed"]) == 1.0
    assert float(validation["network, ids and words"]) > float(validation["popularity"])
    assert "network, ids alone" in validation
    assert not (tmp_path / "models" / "refitted").exists(), "test answers were not looked at"
    next_items.main([*asked, "--test"])
    shown = capsys.readouterr().out
    assert "Test: 200 users" in shown
    assert float(table(shown)["network, ids and words"]) > float(table(shown)["popularity"])
    next_items.main([*asked, "--cold"])
    cold = table(capsys.readouterr().out)
    assert set(cold) == {
        "by words, among all items",
        "by words, among cold items",
        "words of the last item, among cold items",
        "chance, among cold items",
    }
