"""AUC that the feature group ``user_vector`` adds on Online Retail, both years, paired.

    python -m benchmarks.user_vectors --folder build/user_vectors --frames /tmp/seasons
    python -m benchmarks.user_vectors --folder build/user_vectors --frames /tmp/seasons --test

The rule of the family: a sequence model learns from what was bought before the first training day
of a night, and reads each user's purchases up to each of the night's days. Here one model serves
all days of a command, trained before the first training day of the first of them, which is earlier
than the rule asks for the later ones. Trees learn from six days 30 days apart, with and without the
vectors, and rank the users of a day that was not learned from. Other features are all of both
years (`benchmarks.season_frames` builds them). Brackets are 95 % bootstrap intervals over users;
those of all days draw a user with all his days. Prints Markdown. `benchmarks.taste --group
user_vector` measures the family as Spark builds it, on any log.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.user_vectors import PROJECTION, UserVectors, with_user_vectors
from benchmarks.next_baskets import NEWEST, model_before
from benchmarks.next_items import trained
from benchmarks.retail_log import before, histories_batch, read_purchases
from benchmarks.season_frames import RANKED, frame_of
from benchmarks.seasons import TARGETS, TRAINING_DAYS
from benchmarks.taste import ranked_days, rows_of

EVERY, MEMORY_DAYS = dt.timedelta(days=30), 365
VALIDATION = tuple(RANKED[0] - EVERY * back for back in (3, 2, 1))


def training_days(day: dt.date) -> list[dt.date]:
    """The days that a night learns from."""
    return [day - EVERY * back for back in range(TRAINING_DAYS, 0, -1)]


def vectors_model(
    purchases: pd.DataFrame, as_of: dt.date, dimensions: int, folder: Path
) -> UserVectors:
    """A model of user vectors of what was bought before a day."""

    def make() -> SequenceModel:
        model = model_before(purchases, as_of, folder)
        _, batch = histories_batch(before(purchases, as_of, days=MEMORY_DAYS), newest=NEWEST)
        return with_user_vectors(model, model.vocabulary.histories(batch), dimensions=dimensions)

    return UserVectors.of(trained(folder, f"vectors-{dimensions}-before-{as_of}", make))


def vectors_at(
    days: Sequence[dt.date], purchases: pd.DataFrame, vectors: UserVectors
) -> pd.DataFrame:
    """``user_id, as_of`` and the vector of every user at every day."""
    parts = []
    for day in days:
        past = before(purchases, day, days=MEMORY_DAYS)
        users, batch = histories_batch(past, newest=NEWEST)
        numbers = vectors.vectors(vectors.model.vocabulary.histories(batch))
        names = [f"user_vector_{place}" for place in range(1, vectors.dimensions + 1)]
        parts.append(pd.DataFrame(numbers, columns=names).assign(user_id=users, as_of=day))
    return pd.concat(parts)


def frames_of(
    folder: Path, days: Sequence[dt.date], purchases: pd.DataFrame, vectors: UserVectors
) -> tuple[list[str], list[str], dict[dt.date, pd.DataFrame]]:
    """All features, those of vectors, and by day the rows of it and of its training days."""
    every_day = sorted({at for day in days for at in [*training_days(day), day]})
    of_users = vectors_at(every_day, purchases, vectors)
    group = [str(name) for name in of_users if str(name).startswith("user_vector_")]
    frames = {}
    for day in days:
        frame = frame_of(folder, "both", day if day in RANKED else RANKED[0])
        frame["as_of"] = pd.to_datetime(frame["as_of"]).dt.date
        wanted = frame["as_of"].isin([*training_days(day), day]) & (frame["recency_days"] <= 365)
        frames[day] = frame[wanted].merge(of_users, on=["user_id", "as_of"], how="left")
    keys = ("user_id", "as_of", "label_")
    return [n for n in map(str, frames[days[0]]) if not n.startswith(keys)], group, frames


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where trained models are kept")
    parser.add_argument("--frames", type=Path, required=True, help="of benchmarks.season_frames")
    parser.add_argument("--test", action="store_true", help="October 1 and November 1")
    parser.add_argument("--dimensions", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    days = RANKED if given.test else VALIDATION
    purchases = read_purchases()
    vectors = vectors_model(purchases, training_days(days[0])[0], given.dimensions, given.folder)
    spread = vectors.model.metadata[PROJECTION]["explained"]
    print(f"{given.dimensions} components hold {spread:.0%} of the spread of user vectors\n")
    names, group, frames = frames_of(given.frames, days, purchases, vectors)
    print("| target | day | users | AUC without vectors | with | gain |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for target in TARGETS:
        ranked = ranked_days(frames, names, group, f"label_{target}", given.seeds)
        print(*rows_of(target, ranked), sep="\n", flush=True)


if __name__ == "__main__":
    main()
