"""An evaluation with figures that are easy to recognize, and changes of it."""

import json
from typing import Any

from jaxcorr import spec as specs
from jaxcorr.metrics import Evaluation
from jaxcorr.spec import Spec

ACCURACY = {"mae_mm": 0.002, "rmse_mm": 0.003, "r2": 0.99, "correlation": 0.995, "max_mm": 0.02}
BY_AXIS = {"overall": ACCURACY, "x": ACCURACY, "y": ACCURACY}
GROUP = {"num_samples": 5, "mae_mm": 0.002, "rmse_mm": 0.003, "r2": 0.99, "true_rms_mm": 0.1}
CEILING = {"repetitions": 6, "r2": 0.9995, "rmse_mm": 0.0015, "mae_mm": 0.001}
CEILING |= {"explained_share": 0.9905, "mae_share": 0.5}
DYNAMIC = {"r2": 0.97, "rms_mm": 0.045, "rmse_mm": 0.003}
LEAD = {"rmse_ratio": [0.4, 0.6], "mae_ratio": [0.4, 0.6], "r2_difference": None}
BEHIND = {"rmse_ratio": [2.0, 4.0], "mae_ratio": None, "r2_difference": [-0.1, 0.1]}
AGAINST: dict[str, Any] = {
    "name": "linear_smooth",
    "outcome": "worse",
    "rmse_ratio": 3.0,
    "mae_ratio": 1.0,
    "r2_difference": 0.0,
    "largest_ratio": 1.5,
    "intervals": BEHIND,
}
BEATEN = AGAINST | {"outcome": "better", "rmse_ratio": 0.5, "intervals": LEAD}
VERDICT: dict[str, Any] = {
    "path": "none",
    "has_network": True,
    "against_best": AGAINST,
    "against_path": None,
    "ceiling_rmse_ratio": None,
    "meets_targets": False,
    "beats_baselines": False,
    "meets_all_targets": False,
    "advice": "smooth",
}
TABLE: dict[str, Any] = {
    "verdict": VERDICT,
    "test": BY_AXIS
    | {"num_traces": 2, "num_layers": 1, "num_samples": 1234, "num_before": 0, "num_in_motion": 0}
    | {"percentiles": {"p50_mm": 0.001, "p99_mm": 0.01}},
    "window": None,
    "horizon": 0,
    "period_us": 10_000.0,
    "intervals": {
        "mae_mm": [0.0019, 0.0021],
        "rmse_mm": [0.0029, 0.0031],
        "r2": [0.98, 0.995],
        "correlation": None,
        "confidence": 0.95,
        "method": "block bootstrap, 2000 resamples of whole layers",
        "num_blocks": 3,
    },
    "baselines": {
        "zero": BY_AXIS | {"overall": ACCURACY | {"rmse_mm": 0.09, "correlation": None}},
        "linear_fir": BY_AXIS | {"overall": ACCURACY | {"rmse_mm": 0.04}},
        "linear_smooth": BY_AXIS | {"overall": ACCURACY | {"rmse_mm": 0.001}},
    },
    "identified": {},
    "ceiling": None,
    "dynamic": None,
    "per_trace": [GROUP | {"name": "long folder/layer 1", "part": "boat"}],
    "breakdown": {"speed": [GROUP | {"label": "0 to 1 mm/s"}]},
    "latency": {
        "p50_us": 20.0,
        "p90_us": 30.0,
        "p99_us": 50.0,
        "p99_9_us": 90.0,
        "max_us": 400.0,
        "mean_us": 21.0,
        "calls_per_s": 47_000.0,
        "num_calls": 10_000,
        "limit_us": 1000.0,
        "period_us": 10_000.0,
    },
    "targets": {
        "mae_mm": {"goal": 0.025, "value": 0.002, "is_met": True},
        "r2": {"goal": 0.995, "value": 0.99, "is_met": False},
        "inference_ms": {"goal": 1.0, "value": 0.05, "is_met": True},
    },
    "best_epoch": 3,
    "is_finished": True,
}


def make(**changes: Any) -> Evaluation:
    """The evaluation with some of its keys replaced, as metrics.json has them."""
    return Evaluation.model_validate_json(json.dumps(TABLE | changes))


def judged(against: dict[str, Any] = BEATEN, is_met: bool = True, **changes: Any) -> Evaluation:
    """An evaluation with another verdict.

    Args:
        against: the best baseline.
        is_met: whether R2 meets its target, as MAE and time do.
        changes: other keys of the verdict.
    """
    targets = TABLE["targets"] | {"r2": {"goal": 0.9, "value": 0.99, "is_met": is_met}}
    beats = against["outcome"] == "better"
    verdict = {
        "against_best": against,
        "meets_targets": is_met,
        "beats_baselines": beats,
        "meets_all_targets": is_met and beats,
    }
    return make(verdict=VERDICT | verdict | changes, targets=targets)


def resolved(spec: Spec) -> dict[str, Any]:
    """What resolved.json says of a run of this spec."""
    return {
        "spec": specs.to_table(spec),
        "num_inputs": 6,
        "num_devices": 1,
        "split": {"train": ["a b/1", "a b/2"], "val": ["a b/3"], "test": []},
        "fingerprint": {"a b/1": "0" * 64},
        "num_samples": {"train": 2000, "val": 100, "test": 0},
        "versions": {"jax": "1.2"},
        "python": "3.11",
        "git_commit": "abc+",
        "machine": {"system": "some", "processor": "fast", "cores": 2},
        "created": "2026-01-02T03:04:05Z",
    }
