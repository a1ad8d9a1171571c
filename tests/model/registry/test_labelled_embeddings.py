"""Embeddings of labelled texts beside the models: exact, by encoder, and never in the way."""

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.registry.labelled_embeddings import LabelledEmbeddings
from behavior_spark.shared_folder import SharedFolder


def hashes_of(names):
    return [hashlib.sha256(str(name).encode()).hexdigest() for name in names]


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 30), unique=True), max_size=5))
def test_what_was_kept_in_any_parts_comes_back_exactly_and_nothing_else(tmp_path_factory, parts):
    kept = LabelledEmbeddings(SharedFolder(tmp_path_factory.mktemp("registry")))
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    for part in parts:
        kept.keep("a" * 16, hashes_of(part), vectors[part])
    known = {name for part in parts for name in part}
    names = dict(zip(hashes_of(range(40)), range(40), strict=True))
    back = kept.look_up("a" * 16, list(names))
    assert {names[name] for name in back} == known
    assert all(np.array_equal(vector, vectors[names[name]]) for name, vector in back.items())
    assert kept.look_up("b" * 16, list(names)) == {}


def test_a_text_without_embedding_is_not_kept_and_a_damaged_file_costs_time_alone(tmp_path):
    kept = LabelledEmbeddings(SharedFolder(tmp_path))
    vectors = np.ones((3, 4), dtype=np.float32)
    vectors[1] = np.nan
    kept.keep("a" * 16, hashes_of("xyz"), vectors)
    assert set(kept.look_up("a" * 16, hashes_of("xyz"))) == set(hashes_of("xz"))
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-8])
    assert kept.look_up("a" * 16, hashes_of("xyz")) == {}
