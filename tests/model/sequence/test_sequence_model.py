"""Sequence models on small made-up logs: what they learn, and what they promise."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.sequence.accuracy import mean_difference, recall_at
from behavior_spark.model.sequence.baselines import Popularity, judged
from behavior_spark.model.sequence.catalogue import ItemFacts
from behavior_spark.model.sequence.fitting import FitOptions, fit_sequence_model
from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.network import Network, Shape
from behavior_spark.model.sequence.retrieval import ranks
from behavior_spark.model.sequence.scoring import ScoreOptions, score
from behavior_spark.model.sequence.states import last_states
from behavior_spark.model.sequence.training import TrainingOptions
from behavior_spark.model.sequence.user_vectors import UserVectors, with_user_vectors
from behavior_spark.model.sequence.vocabulary import read_histories

ITEMS = 30
SMALL = FitOptions(
    shape={"width": 16, "length": 8, "dropout": 0.1, "similarity": "cosine"},
    training=TrainingOptions(batch=16, negatives=40, rate=1e-2, epochs=8, patience=3),
    held_users=200,
    refit=False,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny products are slower in many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planted(users: int, *, seed: int) -> pa.RecordBatch:
    """A chain: after item i comes i + 7 four times of five, else any item."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(users):
        items = [int(random.integers(ITEMS))]
        for _ in range(int(random.integers(3, 9))):
            follows = random.random() < 0.8
            items.append((items[-1] + 7) % ITEMS if follows else int(random.integers(ITEMS)))
        rows.append([f"item {i:02d}" for i in items])
    return pa.record_batch({"user_id": [f"u{n}" for n in range(users)], "items": rows})


def facts_of(names) -> ItemFacts:
    """The word of an item says what follows it: its number modulo 7."""
    return ItemFacts(words=[[f"number {int(name[-2:])}"] for name in names])


@pytest.fixture(scope="module")
def learned() -> SequenceModel:
    vocabulary, histories = read_histories([planted(400, seed=1), planted(200, seed=2)])
    facts = facts_of(vocabulary.items)
    return fit_sequence_model(
        vocabulary, histories, SMALL, facts=facts, trained_through="2026-01-01"
    )


def test_a_planted_chain_is_learned_better_than_popularity(learned):
    histories = learned.vocabulary.histories(planted(300, seed=3))
    past, answers = histories.without_newest(1), histories.newest(1).items.astype(np.int64)
    nothing = past.newest(0)
    ours = ranks(learned.vectors(past), learned.outputs, answers, seen=nothing)
    popular, _ = judged(Popularity.fit(past, items=ITEMS), past, answers, 1, items=ITEMS)
    gain = mean_difference(recall_at(ours, 1), recall_at(popular, 1))
    assert recall_at(ours, 1).mean() > 0.6
    assert gain.low > 0.4


def test_the_future_cannot_change_the_past():
    torch.manual_seed(0)
    shape = Shape(items=ITEMS, traits={"type": 3}, width=16, heads=2, blocks=2, length=6)
    network = Network(shape).eval()
    for block in network.blocks:
        torch.nn.init.normal_(block.distances)
    items = torch.randn(3, 10, 16)
    types = torch.randint(0, 4, (3, 10))
    states = network.states(items, {"type": types})
    for event in range(1, 10):
        other, other_types = items.clone(), types.clone()
        other[:, event:] = torch.randn(3, 10 - event, 16)
        other_types[:, event:] = torch.randint(0, 4, (3, 10 - event))
        changed = network.states(other, {"type": other_types})
        torch.testing.assert_close(changed[:, :event], states[:, :event])
        assert not torch.allclose(changed[:, event], states[:, event])


def test_a_user_does_not_depend_on_other_users_or_their_order(learned):
    batch = planted(50, seed=4)
    order = np.random.default_rng(0).permutation(50)
    rows = score(learned, batch).to_pylist()
    shuffled = score(learned, batch.take(pa.array(order))).to_pylist()
    alone = score(learned, batch.slice(7, 1)).to_pylist()
    for expected, got in [
        *zip((rows[i] for i in order), shuffled, strict=True),
        (rows[7], alone[0]),
    ]:
        assert got["items"] == expected["items"]
        np.testing.assert_allclose(got["scores"], expected["scores"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(got["vector"], expected["vector"], rtol=1e-4, atol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state():
    vocabulary, histories = read_histories([planted(100, seed=1)])
    state = torch.random.get_rng_state()
    options = FitOptions(
        shape=SMALL.shape, training=TrainingOptions(epochs=2, negatives=20), networks=2
    )
    first = fit_sequence_model(vocabulary, histories, options)
    second = fit_sequence_model(vocabulary, histories, options)
    assert first.digest == second.digest
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.width == 32
    assert not np.allclose(first.outputs[:, :16], first.outputs[:, 16:])


def test_a_saved_model_gives_the_same_answers_and_a_changed_one_is_refused(learned, tmp_path):
    folder = learned.save(tmp_path / "model")
    loaded = SequenceModel.load(folder)
    batch = planted(20, seed=5)
    assert score(loaded, batch).equals(score(learned, batch))
    assert loaded.digest == learned.digest
    assert loaded.trained_through == "2026-01-01"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="damaged or was changed"):
        SequenceModel.load(folder)
    with pytest.raises(ModelError, match="cannot read"):
        SequenceModel.load(tmp_path / "nothing")


def test_no_history_and_an_unknown_item_have_a_stated_answer(learned):
    batch = pa.record_batch(
        {
            "user_id": [1, 2, 3, 4],
            "items": [["item 03"], ["item 03", "never seen"], ["never seen"], None],
        }
    )
    known, with_unknown, unknown, nothing = score(learned, batch, ScoreOptions(k=40)).to_pylist()
    assert with_unknown["items"] == known["items"]
    assert (known["unknown_events"], with_unknown["unknown_events"]) == (0, 1)
    assert len(known["items"]) == ITEMS - 1, "all but the one that was seen"
    assert "item 03" not in known["items"]
    for row, count in ((unknown, 1), (nothing, 0)):
        assert (row["items"], row["scores"], row["vector"]) == ([], [], None)
        assert (row["known_events"], row["unknown_events"]) == (0, count)


def test_a_reason_is_the_event_without_which_the_score_is_lowest(learned):
    batch = planted(30, seed=6)
    rows = score(learned, batch, ScoreOptions(k=3, occluded=20)).to_pylist()
    for row, events in zip(rows, batch["items"].to_pylist(), strict=True):
        events = events[-8:]
        for item, reason, influence in zip(
            row["items"], row["reason_items"], row["influences"], strict=True
        ):
            lost = {}
            code = learned.vocabulary.codes_of(pa.array([item]))[0]

            def of(items, code=code):
                part = pa.record_batch({"items": pa.array([items], pa.list_(pa.string()))})
                return float(
                    (learned.vectors(learned.vocabulary.histories(part)) @ learned.outputs[code])[0]
                )

            for place, event in enumerate(events):
                without = of(events) - of(events[:place] + events[place + 1 :])
                lost[event] = max(lost.get(event, 0.0), without)
            assert influence == pytest.approx(max(lost.values()), abs=1e-3)
            if influence > 1e-2:
                assert lost[reason] == pytest.approx(max(lost.values()), abs=1e-3)


def test_an_item_without_history_is_ranked_by_its_words():
    names = [f"{kind} {number}" for kind in ("tea", "cup", "pen") for number in range(8)]
    follows = {"tea": "cup", "cup": "pen", "pen": "tea"}
    random = np.random.default_rng(0)
    rows = []
    for _ in range(400):
        kind, items = random.choice(list(follows)), []
        for _ in range(6):
            items.append(f"{kind} {random.integers(7)}")  # number 7 of each kind never occurs
            kind = follows[kind]
        rows.append(items)
    vocabulary, histories = read_histories([pa.record_batch({"items": rows})])
    options = FitOptions(
        shape=SMALL.shape,
        training=TrainingOptions(batch=32, negatives=0, rate=3e-3, own_dropout=0.5, epochs=20),
        refit=False,
    )
    facts = ItemFacts(words=[[name.split()[0]] for name in vocabulary.items])
    model = fit_sequence_model(vocabulary, histories, options, facts=facts)
    new = tuple(name for name in names if name.endswith("7"))
    grown = model.with_items(new, ItemFacts(words=[[name.split()[0]] for name in new]))
    batch = pa.record_batch({"user_id": [1, 2], "items": [["pen 1", "tea 2"], ["tea 0", "cup 7"]]})
    after_tea, after_new_cup = score(grown, batch, ScoreOptions(k=24)).to_pylist()
    place = {name: after_tea["items"].index(name) for name in new if name in after_tea["items"]}
    assert place["cup 7"] < min(place["tea 7"], place["pen 7"])
    assert after_new_cup["unknown_events"] == 0
    assert after_new_cup["items"][0].startswith("pen")
    with pytest.raises(ModelError, match="new items must be new"):
        grown.with_items(("cup 7",), facts_of(["cup 7"]))


def test_types_times_and_values_of_events_are_learned_from():
    """The type of the last event alone decides what follows."""
    random = np.random.default_rng(0)
    rows = {"items": [], "event_types": [], "event_times": [], "values": []}
    for _ in range(500):
        kinds = random.choice(["view", "cart"], 4).tolist()
        items = [str(random.integers(10)), *("A" if kind == "view" else "B" for kind in kinds)]
        rows["items"].append(items)
        rows["event_types"].append([*kinds, "view"])
        rows["event_times"].append([int(t) for t in np.sort(random.integers(0, 10**6, 5))])
        rows["values"].append([1.0, None, -3.0, 2.0, 5.0])
    columns = {name: pa.array(values) for name, values in rows.items()}
    columns["event_times"] = columns["event_times"].cast(pa.list_(pa.timestamp("s")))
    vocabulary, histories = read_histories([pa.record_batch(columns)])
    assert vocabulary.traits.keys() == {"type", "gap", "value"}
    model = fit_sequence_model(vocabulary, histories, SMALL)
    batch = pa.record_batch(
        {
            "user_id": ["view", "cart"],
            "items": [["3"], ["3"]],
            "event_types": [["view"], ["cart"]],
            "event_times": pa.array([[0], [0]]).cast(pa.list_(pa.timestamp("s"))),
            "values": [[1.0], [1.0]],
        }
    )
    viewed, carted = score(model, batch).to_pylist()
    assert (viewed["items"][0], carted["items"][0]) == ("A", "B")


def test_nothing_to_learn_from_is_said():
    for rows in ([["a"]], [["a", "b"]], [[]]):
        vocabulary, histories = read_histories(
            [pa.record_batch({"items": pa.array(rows, pa.list_(pa.string()))})]
        )
        with pytest.raises(ModelError, match="no user has three events"):
            fit_sequence_model(vocabulary, histories, SMALL)
    with pytest.raises(ModelError, match="no events to learn next items from"):
        read_histories([])


def test_users_of_any_length_get_the_state_of_their_newest_events(learned):
    long = learned.vocabulary.histories(planted(5, seed=8))
    doubled = learned.vocabulary.histories(
        pa.record_batch(
            {"items": [["item 01"] * 30 + r for r in planted(5, seed=8)["items"].to_pylist()]}
        )
    )
    reach = learned.networks[0].shape.length
    np.testing.assert_allclose(
        last_states(learned.networks[0], doubled),
        last_states(learned.networks[0], doubled.newest(reach)),
    )
    assert len(long) == len(doubled)


def test_a_user_vector_is_the_same_to_the_bit_whoever_is_computed_with_him(learned, tmp_path):
    histories = learned.vocabulary.histories(planted(700, seed=5))
    model = with_user_vectors(learned, histories, dimensions=4)
    assert model.digest != learned.digest, "the components are a part of the model"
    vectors = UserVectors.of(SequenceModel.load(model.save(tmp_path / "model")))
    whole = vectors.vectors(histories)
    assert whole.shape == (700, vectors.dimensions)
    order = np.random.default_rng(0).permutation(700)
    np.testing.assert_array_equal(vectors.vectors(histories.take(order)), whole[order])
    for rows in ([3], [699, 0], list(range(100))):
        np.testing.assert_array_equal(vectors.vectors(histories.take(np.array(rows))), whole[rows])
    spread = whole.var(axis=0)
    assert (np.diff(spread) < 0).all() and spread[-1] > 0, "the first component tells most"
    # Six decimals of what the network says in single precision too.
    single = (learned.vectors(histories) - vectors.mean) @ vectors.components.T
    np.testing.assert_allclose(single, whole, atol=1e-4)


def test_a_user_without_a_known_item_has_no_vector_and_too_many_dimensions_are_refused(learned):
    batch = pa.record_batch({"items": [["item 01", "nobody's"], ["nobody's"], []]})
    histories = learned.vocabulary.histories(batch)
    model = with_user_vectors(
        learned, learned.vocabulary.histories(planted(50, seed=6)), dimensions=2
    )
    vectors = UserVectors.of(model).vectors(histories)
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, True]
    with pytest.raises(ModelError, match="of 17 dimensions"):
        with_user_vectors(learned, histories, dimensions=17)
    with pytest.raises(ModelError, match="gives no user vectors"):
        UserVectors.of(learned)
