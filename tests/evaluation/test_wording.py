"""What a report says: digits that count, sentences that follow from the figures."""

import oscillator
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.evaluation import about_run, wording
from jaxcorr.evaluation.wording import Table

METRICS = {"mae_mm": 0.002, "rmse_mm": 0.003, "r2": 0.99, "correlation": 0.995, "max_mm": 0.02}
FOUND = {
    "test": {
        "num_traces": 2,
        "num_samples": 1234,
        "overall": METRICS,
        "x": METRICS,
        "percentiles": {"p50_mm": 0.001, "p99_9_mm": 0.01},
    },
    "latency": {"p50_us": 20.0, "p99_us": 50.0, "max_us": 400.0, "num_calls": 10_000},
    "targets": {
        "mae_mm": {"goal": 0.025, "value": 0.002, "is_met": True},
        "r2": {"goal": 0.995, "value": 0.99, "is_met": False},
        "inference_ms": {"goal": 1.0, "value": 0.05, "is_met": True},
    },
    "meets_all_targets": False,
}


@pytest.mark.parametrize(
    ("value_mm", "text"),
    [
        (0.0026712, "2.67"),
        (0.0267, "26.7"),
        (0.2672, "267"),
        (1.2345, "1,234"),
        (0.0000512, "0.051"),
        (0.0, "0"),
        (None, "undefined"),
    ],
)
def test_micrometres_have_three_digits(value_mm, text):
    assert wording.um(value_mm) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99831, "0.9983"),
        (0.99953, "0.99953"),
        (0.8712, "0.8712"),
        (-0.00002, "0.0000"),
        (-3.25, "-3.2500"),
        (1.0, "1.000000"),
        (None, "undefined"),
    ],
)
def test_ratios_have_two_digits_of_what_is_missing_to_one(value, text):
    assert wording.ratio(value) == text


@given(st.floats(0, 2))
def test_a_share_below_the_whole_never_reads_as_the_whole_unless_it_nearly_is(share):
    shown = float(wording.percent(share).removesuffix(" %"))
    assert shown == pytest.approx(100 * share, abs=0.05)
    assert (shown == 100.0) <= (abs(share - 1) < 1e-4)


def test_the_verdict_names_what_was_missed():
    text = wording.verdict(FOUND, "2 test traces")
    assert "the error of 2 test traces to 2.00 µm on average (R² 0.9900)" in text
    assert text.endswith("and misses its target for R².")
    met = FOUND | {"targets": {"mae_mm": FOUND["targets"]["mae_mm"]}}
    assert wording.verdict(met, "1 trace").endswith("meets all its targets.")


def test_an_older_run_has_no_section_that_it_cannot_fill():
    assert wording.baselines_table(FOUND) is None
    assert wording.traces_table(FOUND) is None
    assert wording.breakdown_tables(FOUND) == []
    sentences = ("ceiling_sentence", "interval_sentence", "dynamic_sentence")
    assert [getattr(wording, name)(FOUND) for name in sentences] == ["", "", ""]
    assert all(not one.interval and not one.share for one in wording.headlines(FOUND))


def test_headlines_have_their_interval_and_the_best_that_is_possible():
    extra = {
        "intervals": {"mae_mm": (0.0019, 0.0021), "r2": None},
        "ceiling": {"mae_mm": 0.001, "rmse_mm": 0.0015, "r2": 0.9995},
    }
    mae, rmse, r2, correlation = wording.headlines(FOUND | extra)
    assert (mae.value, mae.unit, mae.interval) == ("2.00", "µm", "1.90 to 2.10")
    assert (mae.share, r2.share) == ("best possible 1.00 µm", "best possible 0.99950")
    assert (rmse.interval, r2.interval, correlation.share) == ("", "", "")


def test_the_ceiling_is_told_with_its_shares():
    best = {"mae_mm": 0.001, "rmse_mm": 0.0015, "r2": 0.9995, "repetitions": 6}
    shares = {"r2_share": 0.99, "explained_share": 0.9905, "mae_share": 0.5}
    text = wording.ceiling_sentence(FOUND | {"ceiling": best | shares})
    assert "MAE 1.00 µm and R² 0.99950 (the same layers simulated 6 times" in text
    assert "explains 99.05 % of the variance" in text
    assert text.endswith("its MAE is 2.00 times the best possible.")
    unknown = {"r2_share": None, "explained_share": None, "mae_share": None}
    assert "explains" not in wording.ceiling_sentence(FOUND | {"ceiling": best | unknown})


def test_baselines_stand_in_the_order_of_their_rmse():
    worse, better = METRICS | {"rmse_mm": 0.09, "correlation": None}, METRICS | {"rmse_mm": 0.001}
    table = wording.baselines_table(
        FOUND | {"baselines": {"zero": {"overall": worse}, "new one": {"overall": better}}}
    )
    assert table is not None
    assert [row[0] for row in table.rows] == ["new one", "network", "no prediction (zero)"]
    assert table.rows[-1][1:] == ["2.00", "90.0", "0.9900", "undefined", "20.0"]
    best = {"mae_mm": 0.001, "rmse_mm": 0.0015, "r2": None, "repetitions": 6}
    ceiling = wording.baselines_table(
        FOUND | {"baselines": {"zero": {"overall": worse}}, "ceiling": best}
    )
    assert ceiling is not None
    assert ceiling.rows[0] == ["noise ceiling", "1.00", "1.50", "undefined", "–", "–"]


def check_shape(table: Table) -> None:
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_every_table_is_as_wide_as_its_headings():
    group = METRICS | {"num_samples": 5, "true_rms_mm": 0.1}
    full = FOUND | {
        "window": {"overall": METRICS},
        "per_trace": [group | {"name": "long folder/layer 1", "part": "boat"}],
        "breakdown": {"speed": [group | {"label": "0 to 1 mm/s"}], "feature_type": []},
    }
    tables = [
        *wording.accuracy_tables(full),
        *wording.breakdown_tables(full),
        wording.latency_table(full),
    ]
    traces = wording.traces_table(full)
    assert traces is not None
    assert traces.rows[0][0] == "boat layer 1"
    for table in [*tables, traces]:
        check_shape(table)
    assert [table.caption for table in wording.breakdown_tables(full)] == ["By speed"]
    accuracy, percentiles, targets = wording.accuracy_tables(full)
    assert [row[0] for row in accuracy.rows] == ["overall", "x", "from windows"]
    assert percentiles.columns[1:] == ["50 %", "99.9 %"]
    assert targets.rows[1] == ["R²", "at least 0.9950", "0.9900", "missed"]


def test_times_stand_beside_their_limits():
    found = FOUND | {"latency": FOUND["latency"] | {"limit_us": 1000.0, "period_us": 10_000.0}}
    assert wording.latency_sentence(found).endswith(
        "takes 50.0 µs: 5 % of the limit of 1 ms and 0.5 % of the sampling period of 10 ms."
    )
    assert wording.latency_sentence(FOUND).endswith("takes 50.0 µs.")
    table = wording.latency_table(found)
    assert dict(zip(table.columns, table.rows[0], strict=True))["sampling period"] == "10,000"


def test_the_dynamic_part_says_where_its_offset_comes_from():
    dynamic = {"r2": 0.97, "rms_mm": 0.045, "offset": "friction as the traces have it"}
    text = wording.dynamic_sentence(FOUND | {"dynamic": dynamic})
    assert "(friction as the traces have it), 45.0 µm RMS" in text
    assert text.endswith("R² 0.9700.")


@pytest.mark.parametrize(
    ("horizon", "text"),
    [
        (0, "0 samples: the error at the instant of the newest sample"),
        (1, "1 sample: the error 10 ms after the newest sample"),
        (-3, "-3 samples: the error 30 ms before the newest sample, whose plan is known"),
    ],
)
def test_the_horizon_is_told_in_time(horizon, text):
    spec = oscillator.make_spec(data={"horizon": horizon})
    assert about_run.horizon_text(spec) == text


def test_what_was_trained_is_told_with_counts_and_versions():
    resolved = {
        "split": {"train": ["a b/1", "a b/2"], "val": ["a b/3"], "test": []},
        "num_samples": {"train": 2000, "val": 100, "test": 0},
        "git_commit": "abc+",
        "versions": {"jax": "1.2"},
        "python": "3.11",
    }
    rows = dict(about_run.training_rows(oscillator.make_spec(), resolved, 12_345, 7, 5))
    assert rows["Split"].endswith(
        "train 2 traces, 2,000 samples; val 1 trace, 100 samples; test 0 traces, 0 samples"
    )
    assert "12,345 parameters" in rows["Network"]
    assert rows["Training"].endswith("7 of at most 12 epochs; the best is used: epoch 5")
    assert rows["Commit"] == "abc, with changes that were not committed"
    assert rows["Versions"] == "Python 3.11, jax 1.2"
    assert rows["Data"].endswith("100 Hz: a b")


@pytest.mark.parametrize(
    ("linear_path", "best_epoch", "end"),
    [
        ("binned", 0, " epochs; the best is used: the linear path alone"),
        ("binned", 3, " epochs; the best is used: epoch 3"),
        ("none", 0, " epochs; the best is used: the untrained network"),
        ("none", None, " epochs"),
    ],
)
def test_a_linear_path_is_named_and_counts_as_epoch_zero(linear_path, best_epoch, end):
    spec, resolved = oscillator.make_spec(model={"linear_path": linear_path}), {"split": {}}
    rows = dict(about_run.training_rows(spec, resolved, 1, 7, best_epoch))
    assert rows["Training"].endswith(f"7 of at most 12{end}")
    assert rows["Network"].endswith(", beside a linear path (binned)") == (linear_path != "none")


SPLIT = {"train": ["p/1", "p/2"], "val": ["p/3"], "test": ["p/4"]}


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("p/4",), "1 test trace that it was not trained on"),
        (("p/4", "p/2"), "2 traces (1 of them from its training and validation)"),
        (("q/1", "q/2"), "2 traces"),
    ],
)
def test_only_unseen_traces_are_called_so(names, text):
    assert about_run.judged_on(names, SPLIT) == text


def test_limits_follow_from_data_and_split():
    own = " ".join(about_run.limits(oscillator.make_spec(), ("p/4",), SPLIT))
    assert "other layers of the same parts" in own
    assert "of only 1 layer, so" in own
    assert "simulated" not in own
    by_part = oscillator.make_spec(data={"split": {"by": "part"}})
    assert "same parts" not in " ".join(about_run.limits(by_part, ("p/4",), SPLIT))
    variants = tuple(f"q/layer{i}{p}_ender3v2" for i in range(4) for p in ("", "_p30", "_p100"))
    assert "of only 4 layers, so" in " ".join(about_run.limits(by_part, variants, SPLIT))
    many = tuple(f"q/{i}" for i in range(20))
    foreign = " ".join(about_run.limits(by_part, many, SPLIT))
    assert "not the run's own test split" in foreign
    assert "only" not in foreign.split("not the run's")[0]
    simulated = oscillator.make_spec(data={"simulate": {"parts": ["boat"]}})
    assert "errors are simulated" in about_run.limits(simulated, ("p/4",), SPLIT)[0]
    assert "training has not ended" in about_run.limits(by_part, many, SPLIT, is_finished=False)[0]
    assert "ended" not in own


@given(st.floats(1e-6, 10.0))
def test_micrometres_keep_three_digits_or_a_nanometre(value_mm):
    shown = float(wording.um(value_mm).replace(",", ""))
    assert shown == pytest.approx(1e3 * value_mm, rel=0.0051, abs=0.00051)
