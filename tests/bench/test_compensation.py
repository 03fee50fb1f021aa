"""The bench of compensation: times that add up, on a plan of a few moves."""

import pytest

from jaxcorr.bench import compensation
from jaxcorr.cli import bench
from jaxcorr.printer import gcode, planner
from jaxcorr.printer.planner import plan_layer
from jaxcorr.training import restore

SQUARE = "G90\nM83\n;LAYER_CHANGE\nG1 X20 E1 F3600\nG1 Y15 E1\nG1 X0 E1\nG1 Y0 E1"


@pytest.fixture(scope="module")
def measured(trained):
    plan = plan_layer(gcode.parse(SQUARE, "square.gcode"), 0)
    loaded = restore.load_weights(trained.run)
    return compensation.measure(loaded, plan, 200.0, 50.0, num_layers=2), plan


def test_every_block_of_the_layer_is_timed(measured):
    result, plan = measured
    assert result["num_samples"] == int(100 * plan.total_s + 1e-6) + 1
    blocks = result["blocks"]
    assert blocks["num_blocks"] == blocks["num_calls"] == 2 * -(-result["num_samples"] // 5)
    outcomes = ("compensated", "late", "unconverged", "distrusted")
    assert sum(blocks[f"num_{name}"] for name in outcomes) == blocks["num_blocks"]
    assert blocks["block_us"] == 50_000.0
    assert blocks["p99_share"] == pytest.approx(blocks["p99_us"] / 50_000.0)
    assert 0 < blocks["p50_us"] <= blocks["p99_us"] <= blocks["max_us"]


def test_the_offline_solver_is_timed_apart_from_compilation(measured):
    offline = measured[0]["offline"]
    assert min(offline["seconds"], offline["first_seconds"]) > 0
    assert offline["after_mm"] < offline["before_mm"]
    assert offline["num_steps"] > 0
    motion_s = measured[0]["num_samples"] / 100.0
    assert offline["seconds_a_minute"] * motion_s == pytest.approx(60.0 * offline["seconds"])


def test_reference_starts_and_ends_at_rest_where_the_plan_does(measured):
    reference = planner.reference_rows(measured[1], 100.0)
    assert reference[0].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert abs(reference[-1, 2:]).max() < 10.0
    assert abs(reference[-1, :2]).max() < 0.1


def test_the_table_names_what_was_measured(measured, capsys):
    machine = {
        "versions": {},
        "machine": {"processor": "p"},
        "usable_cores": 2,
        "devices": ["cpu"],
        "load_average": 0.0,
        "python": "3.11",
    }
    result = {"machine": machine, "layers": [{"accel_mm_s2": 500.0, **measured[0]}]}
    bench.show_compensation(result)
    said = capsys.readouterr().out
    assert "block p50 ms" in said
    assert f"of {measured[0]['blocks']['num_blocks']:,}" in said
