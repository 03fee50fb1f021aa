"""Words of an evaluation: the same digits everywhere, sentences that follow from the figures."""

import evaluations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr import files
from jaxcorr.evaluation import wording


@pytest.mark.parametrize(
    ("value_mm", "text"),
    [(0.0026712, "2.67"), (0.2672, "267.20"), (-0.000001, "0.00"), (None, "n/a")],
)
def test_micrometres_have_two_decimals(value_mm, text):
    assert wording.um(value_mm) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.99831, "0.9983"), (-0.00002, "0.0000"), (-3.25, "-3.2500"), (None, "n/a")],
)
def test_ratios_have_four_decimals(value, text):
    assert wording.ratio(value) == text


def test_print_has_its_own_signs():
    text = wording.typeset("MAE 2.00 um, R2 0.99; 5.0 us of R25 and maximum")
    assert text == "MAE 2.00 µm, R² 0.99; 5.0 µs of R25 and maximum"


@given(st.floats(0, 2))
def test_a_share_is_shown_as_per_cent(share):
    assert float(wording.percent(share).removesuffix("%")) == pytest.approx(100 * share, abs=0.0051)


def test_the_first_sentence_names_the_best_baseline_and_the_ceiling():
    plant = evaluations.AGAINST | {"name": "physics", "rmse_ratio": 1.234}
    plant["intervals"] = plant["intervals"] | {"rmse_ratio": [1.191, 1.268]}
    text = wording.verdict(evaluations.judged(plant, ceiling_rmse_ratio=1.456, advice="plant"))
    assert text.startswith(
        "The network does worse than the identified plant (the best baseline): its RMSE is 1.23 "
        "times the baseline's (95% interval 1.19 to 1.27), and 1.46 times that of the noise "
        "ceiling. It meets its targets for MAE, R2 and time, but does not beat the identified "
        "plant beyond chance; use the plant alone: model.path = 'plant', train.epochs = 0 "
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("better", "The network beats a regression on smooth functions of velocity (the best ba"),
        ("level", "The network is level with a regression on smooth functions of velocity (the"),
        ("unknown", "The network was given too few samples to tell it from a regression on smooth"),
    ],
)
def test_the_relation_is_that_of_the_verdict(outcome, words):
    against = evaluations.AGAINST | {"outcome": outcome}
    assert wording.standing(evaluations.judged(against).verdict).startswith(words)


def test_a_largest_residual_far_beyond_the_baselines_is_said():
    wild = evaluations.BEATEN | {"outcome": "wild", "largest_ratio": 2.5}
    evaluation = evaluations.judged(wild)
    said = wording.standing(evaluation.verdict)
    assert "far worse at its worst: its RMSE is 0.50 times" in said
    assert said.endswith("its largest residual 2.5 times.")
    assert "smooth functions of velocity in its largest resid" in wording.recommendation(evaluation)


def test_only_a_model_that_beats_the_best_baseline_meets_all_targets():
    won, lost = evaluations.BEATEN, evaluations.AGAINST
    good = wording.recommendation(evaluations.judged(won, advice="model"))
    assert good == "It meets all targets, and no baseline does better."
    missed = wording.recommendation(evaluations.judged(won, is_met=False, advice="model"))
    assert missed == "It misses its target for R2; no baseline does better."
    both = wording.recommendation(evaluations.judged(lost, is_met=False))
    assert both == (
        "It misses its target for R2, and does not beat a regression on smooth functions of "
        "velocity beyond chance; use the smooth regression alone: model.path = 'smooth', "
        "train.epochs = 0."
    )
    assert "all targets" not in missed + both
    assert "all targets" not in wording.recommendation(evaluations.judged(lost))


def test_a_network_beside_a_path_stands_against_it_too():
    level = evaluations.AGAINST | {"name": "physics", "outcome": "level", "rmse_ratio": 0.9964}
    level["intervals"] = level["intervals"] | {"rmse_ratio": [0.9876, 1.0012]}
    how = {"path": "plant", "against_path": level, "advice": "plant"}
    evaluation = evaluations.judged(level, **how)
    assert wording.standing(evaluation.verdict) == (
        "The network beside the identified plant is level with the identified plant (the best "
        "baseline, and its own path) within chance: its RMSE is 0.996 times the baseline's (95% "
        "interval 0.988 to 1.001)."
    )
    assert wording.path_sentence(evaluation.verdict) == ""
    assert wording.recommendation(evaluation).endswith(
        "use the plant alone: this spec with train.epochs = 0."
    )
    other = evaluations.judged(**how, beats_baselines=False, meets_all_targets=False)
    assert "is level with the identified plant within" in wording.path_sentence(other.verdict)
    assert "but does not beat the identified plant bey" in wording.recommendation(other)


def test_a_path_alone_is_called_so():
    evaluation = evaluations.judged(path="plant", has_network=False, advice="model")
    assert wording.standing(evaluation.verdict) == (
        "The identified plant alone, without a network, beats a regression on smooth functions of "
        "velocity (the best other baseline): its RMSE is 0.50 times the baseline's (95% interval "
        "0.40 to 0.60)."
    )
    level = evaluations.AGAINST | {"outcome": "level"}
    draw = evaluations.judged(level, path="plant", has_network=False, advice="model")
    assert wording.recommendation(draw).endswith("beyond chance; either can be used.")
    rows = wording.baselines_table(evaluation).rows
    assert "this run, the plant alone" in [row[0] for row in rows]


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (0.0712, [0.0664, 0.0761], "0.071 times the baseline's (95% interval 0.066 to 0.076)"),
        (0.9912, [0.9836, 0.9988], "0.991 times the baseline's (95% interval 0.984 to 0.999)"),
        (0.5, None, "0.50 times the baseline's."),
    ],
)
def test_decimals_show_on_which_side_of_one_a_ratio_lies(value, interval, text):
    against = evaluations.BEATEN | {"rmse_ratio": value}
    against["intervals"] = against["intervals"] | {"rmse_ratio": interval}
    assert text in wording.standing(evaluations.judged(against).verdict)


def test_a_baseline_without_error_cannot_be_beaten():
    against = evaluations.AGAINST | {"name": "zero", "rmse_ratio": None}
    text = wording.standing(evaluations.judged(against).verdict)
    assert text.endswith("no prediction (the best baseline), which makes no error here.")


def test_what_was_predicted_is_told_with_counts():
    text = wording.accuracy_sentence(evaluations.make())
    assert text == (
        "The error is predicted to 2.00 um on average (R2 0.9900), over 1,234 samples of 2 traces "
        "(1 layer), streamed one by one."
    )


def test_nothing_is_said_of_what_is_not_known():
    evaluation = evaluations.make()
    assert wording.ceiling_sentence(evaluation) == wording.dynamic_sentence(evaluation) == ""
    assert all(not one.best for one in wording.headlines(evaluation))


def test_headlines_have_their_interval_and_the_best_that_is_possible():
    mae, rmse, r2, correlation = wording.headlines(evaluations.make(ceiling=evaluations.CEILING))
    assert (mae.name, mae.value, mae.interval) == ("MAE", "2.00 um", "1.90 to 2.10")
    assert (mae.best, r2.best) == ("best possible 1.00 um", "best possible 0.9995")
    assert (rmse.interval, correlation.interval, correlation.best) == ("2.90 to 3.10", "", "")


def test_repeats_and_pieces_in_motion_are_told():
    measured = evaluations.CEILING | {"is_measured": True, "num_samples": 80}
    measured |= {"explained_share": None, "mae_share": None}
    text = wording.ceiling_sentence(evaluations.make(ceiling=measured))
    assert text.endswith("(the traces repeat the same plan up to 6 times: 80 samples).")
    begun = evaluations.TABLE["test"] | {"num_in_motion": 2, "num_before": 40}
    text = wording.accuracy_sentence(evaluations.make(test=begun))
    assert (
        " 2 traces begin in motion: what came before is not known there, so the first 200 ms,"
        in (text)
    )
    assert text.endswith("predicted but not scored (40 samples).")


def test_the_ceiling_is_told_with_its_shares():
    text = wording.ceiling_sentence(evaluations.make(ceiling=evaluations.CEILING))
    assert "MAE 1.00 um, RMSE 1.50 um and R2 0.9995 (the same layers simulated 6 times" in text
    assert "explains 99.05% of the variance" in text
    assert text.endswith("its MAE is 2.00 times the best possible.")
    unknown = evaluations.CEILING | {"explained_share": None, "mae_share": None}
    assert "explains" not in wording.ceiling_sentence(evaluations.make(ceiling=unknown))


def test_baselines_stand_in_the_order_of_their_rmse():
    table = wording.baselines_table(evaluations.make(ceiling=evaluations.CEILING))
    order = ["noise ceiling", "linear_smooth", "network", "linear_fir", "zero"]
    assert [row[0] for row in table.rows] == order
    assert table.rows[0] == ["noise ceiling", "1.00", "1.50", "0.9995", "", ""]
    assert table.rows[-1] == ["zero", "2.00", "90.00", "0.9900", "n/a", "20.00"]


def test_every_baseline_is_explained():
    axis = {
        "frequency_hz": 12.0,
        "damping_ratio": 0.15,
        "friction_mm": 0.1,
        "friction_velocity_mm_s": 2.0,
        "unexplained_share": 0.01,
    }
    text = wording.baselines_sentence(evaluations.make(identified={"x": axis}))
    assert text.startswith("zero: no prediction; linear_fir: a linear regression")
    assert text.endswith("friction of 100.0 um, 1.00% of the variance unexplained).")
    assert wording.baselines_sentence(evaluations.make()).endswith(
        "on smooth functions of velocity."
    )


def test_every_table_is_as_wide_as_its_headings():
    evaluation = evaluations.make(window=evaluations.BY_AXIS)
    accuracy, targets = wording.accuracy_table(evaluation), wording.targets_table(evaluation)
    traces, bands = wording.traces_table(evaluation), wording.breakdown_tables(evaluation)
    tables = [accuracy, targets, traces, *bands, wording.latency_table(evaluation)]
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    headings = ["overall", "95% interval", "x", "y", "overall, window from zero"]
    assert [row[0] for row in accuracy.rows] == headings
    interval = ["1.90 to 2.10", "2.90 to 3.10", "0.9800 to 0.9950", "n/a", ""]
    assert accuracy.rows[1][1:] == interval
    assert traces.rows == [["boat layer 1", "5", "100.00", "2.00", "3.00", "0.9900"]]
    assert [table.caption for table in bands] == ["by speed"]
    assert targets.rows[1] == ["R2", "at least 0.9950", "0.9900", "missed"]
    assert targets.rows[2] == ["time of a call, p99", "at most 1000.0 us", "50.0 us", "met"]


def test_percentiles_and_times_are_named():
    evaluation = evaluations.make()
    residuals = "Absolute residuals: 50% within 1.00 um, 99% within 10.00 um."
    assert wording.percentile_sentence(evaluation) == residuals
    assert wording.latency_sentence(evaluation).endswith(
        "takes 50.0 us: 5% of the limit of 1 ms and 0.5% of the sampling period of 10 ms."
    )
    table = wording.latency_table(evaluation)
    assert dict(zip(table.columns, table.rows[0], strict=True))["sampling period"] == "10000.0"


def test_the_dynamic_part_says_where_its_offset_comes_from():
    source = {"offset": "friction as the traces have it", "share_of_variance": 0.1}
    dynamic = evaluations.DYNAMIC | source | {"x": evaluations.DYNAMIC}
    text = wording.dynamic_sentence(evaluations.make(dynamic=dynamic))
    assert "(friction as the traces have it), 45.00 um RMS" in text
    assert text.endswith("R2 0.9700.")


def test_a_card_shows_the_table_and_sentences_of_the_evaluation(tmp_path):
    path = tmp_path / "metrics.json"
    assert wording.for_card(path) is None
    files.write_json(path, evaluations.TABLE)
    evaluation = evaluations.make()
    judgement = wording.for_card(path)
    assert judgement is not None
    assert judgement.rows == wording.accuracy_table(evaluation).rows
    assert judgement.verdict == wording.verdict(evaluation)
    assert judgement.sentences[0] == wording.accuracy_sentence(evaluation)
    assert judgement.latency == wording.latency_sentence(evaluation)
