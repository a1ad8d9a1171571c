"""The benchmarks of next baskets and of user vectors run, small, on a planted log."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.training import TrainingOptions
from benchmarks import next_baskets, retail_log, user_vectors

FIRST = dt.datetime(2011, 4, 1, 9)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sixty users who buy two items of their own every week, and one that is new to them."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(60):
        own = random.choice(40, 2, replace=False)
        fresh = 40 + random.permutation(60)
        for week in range(28):
            at = FIRST + dt.timedelta(days=7 * week + int(random.integers(7)), minutes=user)
            rows += [(f"{week}{user:03d}", f"I{i}", f"ITEM {i % 5}", 1, at, 2.0, 100.0 + user)
                     for i in (*own, fresh[week])]  # fmt: skip
    rows.append(("C1", "I1", "ITEM 1", -1, FIRST, 2.0, 100.0))
    rows.append(("999", "I1", None, 1, FIRST, 2.0, None))
    names = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice",
             "CustomerID"]  # fmt: skip
    lines = pd.DataFrame(rows, columns=names)
    for part, name in zip((lines[:100], lines[100:]), retail_log.FILES, strict=True):
        (tmp_path / name).parent.mkdir()
        part.to_parquet(tmp_path / name)
    options = TrainingOptions(batch=16, negatives=0, rate=1e-2, epochs=2)
    small = replace(next_baskets.CHOSEN, shape={"width": 8}, training=options, held_users=50)
    monkeypatch.setattr(next_baskets, "CHOSEN", small)
    monkeypatch.setenv("BEHAVIOR_DATA", str(tmp_path))
    threads = torch.get_num_threads()
    yield tmp_path / "models"
    torch.set_num_threads(threads)


def test_recall_is_the_share_of_a_basket_that_is_in_the_list():
    answers = Histories.of_lists([[1, 2], [3, 0], [4]])
    baskets = next_baskets.Baskets(["a", "b", "c"], answers, answers)
    lists = np.array([[2, 1], [3, 5], [0, 1]])
    assert baskets.recall(lists).tolist() == [1.0, 0.5, 0.0]


def test_own_past_items_win_where_everybody_buys_the_same_again(folder, capsys):
    next_baskets.main(["--folder", str(folder)])
    shown = capsys.readouterr().out
    rows = [line.strip("|").split("|") for line in shown.splitlines() if "| all days" in line]
    recall = {row[1].strip(): float(row[2].split()[0]) for row in rows}
    assert recall["own past items, most bought"] >= 2 / 3 - 1e-9, "two of three, by hand"
    assert recall["own past items, most bought"] > recall["popularity, 30 days"]
    assert {"sequence model", *next_baskets.MIXTURES} < recall.keys()
    new = shown[shown.index("New items") :]
    assert "own past" not in new and "| sequence model |" in new
    assert {path.name for path in folder.iterdir()} == {"before-2011-07-03"}


def test_vectors_of_a_day_come_from_what_was_bought_before_it(folder, capsys):
    purchases, early = retail_log.read_purchases(), dt.date(2011, 6, 1)
    folder.mkdir()
    vectors = user_vectors.vectors_model(purchases, early, 3, folder)
    day = dt.date(2011, 8, 2)
    whole = user_vectors.vectors_at([early, day], purchases, vectors)
    past = user_vectors.vectors_at([early, day], purchases[purchases["day"] < day], vectors)
    pd.testing.assert_frame_equal(whole, past)
    assert len(whole) == 120 and whole.notna().all(axis=None)
    assert user_vectors.training_days(dt.date(2011, 7, 3))[0] == dt.date(2011, 1, 4)
