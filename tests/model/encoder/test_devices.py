import os

import pytest
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.devices import choose_device, describe_device, use_threads
from behavior_spark.model.encoder.encoder import EncoderOptions
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.training.finetune import finetune


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture
def gpus(monkeypatch):
    """As on a machine with three GPUs."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Test 9000")


@pytest.mark.parametrize("address", [None, "0", "2"])
@pytest.mark.parametrize("machine", ["no_gpu", "gpus"])
def test_cpu_is_the_cpu_whatever_there_is(request, machine, address):
    request.getfixturevalue(machine)
    assert choose_device("cpu", address=address, task=5) == "cpu"


@pytest.mark.parametrize("machine", ["no_gpu", "gpus"])
def test_auto_without_an_address_leaves_the_choice_to_the_encoder(request, machine):
    request.getfixturevalue(machine)
    assert choose_device("auto", address=None, task=5) is None


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_gpu_that_the_cluster_gave_and_torch_does_not_find_is_named(no_gpu, wanted):
    with pytest.raises(ModelError, match=r"(?s)torch finds none.*address 7 from Spark.*CUDA"):
        choose_device(wanted, address="7", task=0)


def test_cuda_that_torch_does_not_find_is_refused_not_replaced_by_the_cpu(no_gpu):
    with pytest.raises(ModelError, match=r"(?s)torch finds none.*text\.device is cuda"):
        choose_device("cuda", address=None, task=0)


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_the_address_that_the_cluster_gave_is_used(gpus, wanted):
    for task in range(4):
        assert choose_device(wanted, address="2", task=task) == "cuda:2"
        assert choose_device(wanted, address="0", task=task) == "cuda:0"


def test_tasks_without_an_address_are_dealt_over_the_gpus(gpus):
    dealt = [choose_device("cuda", address=None, task=task) for task in range(7)]
    assert dealt == [f"cuda:{number}" for number in (0, 1, 2, 0, 1, 2, 0)]


def test_the_device_is_described_in_words(request):
    request.getfixturevalue("no_gpu")
    assert describe_device() == f"cpu, {torch.get_num_threads()} threads"
    request.getfixturevalue("gpus")
    assert describe_device() == "cuda: Test 9000"


NAMES = ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")


@pytest.fixture
def unset(monkeypatch):
    """No thread settings; afterwards torch and the environment are as before."""
    before = torch.get_num_threads()
    for name in NAMES:
        monkeypatch.setenv(name, "x")  # so that it is put back even where it was not set
        monkeypatch.delenv(name)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("count", "parallel"), [(1, "false"), (2, "true")])
def test_torch_and_tokenizers_get_so_many_threads(unset, count, parallel):
    use_threads(count)
    assert torch.get_num_threads() == count
    assert [os.environ[name] for name in NAMES] == [str(count), parallel]


def test_settings_of_the_cluster_are_kept_and_torch_follows_the_call(unset, monkeypatch):
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    use_threads(2)
    assert [os.environ[name] for name in NAMES] == ["7", "false"]
    assert torch.get_num_threads() == 2


def test_torch_is_told_nothing_it_does_already(unset, monkeypatch):
    use_threads(1)
    told = []
    monkeypatch.setattr("torch.set_num_threads", told.append)
    use_threads(1)
    assert told == []
    use_threads(2)
    assert told == [2]


def test_a_gpu_that_is_not_there_is_said_by_training_too(no_gpu, tiny_folder, tmp_path):
    task = LabelledTexts(
        "mood", ["good", "fine", "bad", "poor"] * 3, ["up", "up", "down", "down"] * 3
    )
    with pytest.raises(ModelError, match="a GPU was asked for"):
        finetune(str(tiny_folder), EncoderOptions(), [task], tmp_path,
                 choose_precision=True, device="cuda")  # fmt: skip
