"""Two runs on the same traces: equal to themselves, told apart when one is worse, refused else."""

import copies
import numpy as np
import pytest

from jaxcorr import files
from jaxcorr.evaluation import compare
from jaxcorr.models import bulk
from jaxcorr.training import restore


@pytest.fixture
def copy(trained, tmp_path):
    """Makes copies of the finished run, with changes as `copies.change` takes them."""
    return lambda name, *args, **changes: copies.change(
        trained.run, tmp_path / name, *args, **changes
    )


def test_a_run_does_not_differ_from_itself(trained, copy):
    found = compare.compare(trained.run, copy("twin"))
    assert found["sentence"] == "A and B do not differ beyond chance (95%) on these traces."
    for entry in found["metrics"].values():
        assert (entry["difference"], entry["differs"]) == (0.0, False)
        assert entry["a"] == entry["b"]
    assert (found["num_traces"], found["num_samples"], found["a_better_on"]) == (1, 300, 0)
    loaded = restore.load_weights(trained.run)
    residual = bulk.stream(loaded.spec, loaded.weights, trained.data.test)
    residual = residual - trained.data.test.targets
    assert found["metrics"]["mae_mm"]["a"] == pytest.approx(np.abs(residual).mean(), rel=1e-6)


UNSEEN = {"train": [], "val": []}


def test_a_worse_run_is_told_from_a_better_one(layers, copy, monkeypatch):
    stream_fn = bulk.stream

    def spoil(spec, weights, samples):
        answers = stream_fn(spec, weights, samples)
        return answers if spec.train.name else 0.5 * answers

    monkeypatch.setattr(bulk, "stream", spoil)
    good, bad = copy("good", split=UNSEEN), copy("bad", split=UNSEEN)
    resolved = good.resolved()
    resolved["spec"]["train"]["name"] = "good"
    files.write_json(good.path / "resolved.json", resolved)
    found = compare.compare(good, bad, [layers])
    assert found["num_traces"] == 6
    assert found["a_better_on"] == 6
    assert found["sentence"].startswith("Beyond chance (95%), A is better in MAE, RMSE and R2")
    assert found["metrics"]["rmse_mm"]["interval"][1] < 0
    turned = compare.compare(bad, good, [layers])
    assert turned["sentence"].startswith("Beyond chance (95%), A is worse in MAE, RMSE and R2")
    difference = found["metrics"]["r2"]["difference"]
    assert turned["metrics"]["r2"]["difference"] == pytest.approx(-difference)


def test_horizons_may_differ_but_not_in_silence(trained, copy):
    samples = trained.data.test
    later = {
        "features": samples.features[:-1],
        "targets": samples.targets[1:],
        "num_rows": samples.num_rows - 1,
    }
    found = compare.compare(trained.run, copy("later", {"horizon": 1}, **later))
    assert (found["horizon_a"], found["horizon_b"], found["num_samples"]) == (0, 1, 299)
    assert "They look ahead by 0 and 1 samples, and the further, the harder" in found["sentence"]
    assert "look ahead" not in compare.compare(trained.run, trained.run)["sentence"]


def test_verdict_needs_blocks_to_judge_by():
    entry = {"difference": 1.0, "differs": None}
    assert "too few samples" in compare.judge(dict.fromkeys(compare.JUDGED, entry))
