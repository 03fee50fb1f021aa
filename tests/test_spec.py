"""Specs: defaults in one place, every mistake at once, overrides by the same rules."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr import schema, spec
from jaxcorr.errors import InputError
from jaxcorr.printer_spec import Simulation
from jaxcorr.training import devices

FOLDER = Path(__file__).parent.parent / "specs"
SPECS = sorted(p for p in FOLDER.glob("*.toml") if not p.stem.startswith("sweep"))
MINIMAL = '[data]\ntraces = ["a/*.mat"]\n'


def load(tmp_path, text, *overrides):
    path = tmp_path / "s.toml"
    path.write_text(text)
    return spec.load(path, overrides)


def refusal(tmp_path, text, *overrides):
    """The lines of a refusal, without the file's name."""
    with pytest.raises(InputError) as caught:
        load(tmp_path, text, *overrides)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_a_spec_needs_only_its_traces(tmp_path):
    found = load(tmp_path, MINIMAL)
    assert found.data.traces == ("a/*.mat",)
    assert found.data.features == ("x_ref", "y_ref", "vx_ref", "vy_ref")
    assert (found.model.hidden_size, found.model.num_layers) == (96, 2)
    assert (found.loss.name, found.loss.mae_ratio) == ("hybrid", 0.7)


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_shipped_specs_are_valid_and_say_what_they_are_for(path):
    spec.load(path)
    header = path.read_text().split("[", maxsplit=1)[0]
    assert re.search(r"^# Question: .+", header, re.M)
    assert f"just train specs/{path.name}" in header


@pytest.mark.parametrize("rate_hz", [20, 2000])
def test_measured_traces_may_have_any_rate(rate_hz):
    """As `just import` says to train on what it wrote."""
    loaded = spec.load(FOLDER / "own_traces.toml", [f"data.sample_rate_hz={rate_hz}"])
    assert loaded.data.window == rate_hz // 2


def test_a_spec_survives_its_own_table(tmp_path):
    text = MINIMAL + '[data.split]\nby = "part"\ntest_parts = ["boat"]\n[train]\nname = "n"\n'
    found = load(tmp_path, text)
    assert spec.from_table(spec.to_table(found), "again") == found


def test_a_spec_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, MINIMAL).train.epochs = 3


BAD = [
    ("window = 0", "[data] window: expected an integer >= 2, got 0."),
    ("stride = 2.0", "[data] stride: expected an integer, got 2.0."),
    ("stride = true", "[data] stride: expected an integer, got True."),
    ('batch_size = "32"', "[data] batch_size: expected an integer, got '32'."),
    ("horizon = 1001", "[data] horizon: expected an integer <= 1000, got 1001."),
    ('supervision = "some"', "[data] supervision: expected one of 'all', 'last', got 'some'."),
    ("balance_parts = 1", "[data] balance_parts: expected true or false, got 1."),
    ("targets = []", "[data] targets: expected a list with at least one entry, got []."),
    ('targets = "error_x"', "[data] targets: expected a list, got 'error_x'."),
    ("targets = [1]", "[data] targets: expected a string, got 1."),
    (
        'targets = ["error_x", "error_x"]',
        "[data]: expected features and targets to be distinct, got 'error_x' twice.",
    ),
    (
        'features = ["vx_ref", "vy_ref", "x_ref", "y_ref"]',
        ": expected data.features to be positions, then their velocities, for model.inputs = "
        "'kinematic', got ['vx_ref', 'vy_ref', 'x_ref', 'y_ref'].",
    ),
    (
        'window = 19\n[model]\npath = "smooth"',
        ": expected data.window >= 20 for model.path = 'smooth', got 19. Change one of",
    ),
    ("windw = 5", "[data]: unknown key 'windw'; did you mean 'window'? Known keys: traces, feat"),
    ("split = 5", "[data] split: expected a section, got 5."),
    ("[loss]\nmae_ratio = 1.5", "[loss] mae_ratio: expected a number <= 1, got 1.5."),
    ("[loss]\nmae_ratio = nan", "[loss] mae_ratio: expected a finite number, got nan."),
    ("[optimizer]\nlearning_rate = 0", "[optimizer] learning_rate: expected a number > 0, got 0."),
    ("[optimizer]\nclip_norm = true", "[optimizer] clip_norm: expected a number, got True."),
    (
        "[train]\nseed = 2147483648",
        "[train] seed: expected an integer < 2147483648, got 21474836",
    ),
    (
        "[train]\nlr = 1e-3",
        "[train]: unknown key 'lr'; did you mean 'learning_rate' in [optimizer]? Known keys: name",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nmass_kg = [0.0, 1.0]",
        "[data.simulate] mass_kg: expected a number > 0, got 0.0.",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nmass_kg = [0.4]",
        "[data.simulate] mass_kg: expected a list with more than 1 entries, got [0.4].",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nprobe_um = [2000.0]",
        "[data.simulate] probe_um: expected a number <= 1000, got 2000.0.",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nsources_off = ['wobble']",
        "[data.simulate] sources_off: expected one of 'junction_deviation', 'resonance', ",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nrate_hz = 300.0\nplant_rate_hz = 2000.0",
        "[data.simulate]: expected rate_hz to divide plant_rate_hz = 2000, got 300.",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nfloor_hz = 1500.0",
        "[data.simulate]: expected floor_hz < 1000, got 1500.",
    ),
    (
        "[data.simulate]\nparts = ['boat']\nplant_rate_hz = 100.0",
        "[data.simulate]: expected plant_rate_hz >= 762 for this friction, got 100.",
    ),
    ("[trian]\nepochs = 5", ": unknown key 'trian'; did you mean 'train'? Known keys: data, model"),
    ("[foo]", ": unknown key 'foo'. Known keys: data, model, loss, optimizer, train, targets."),
    ("[data.split]\ntrain = 0.9", "[data.split]: expected train + val + test to be 1, got 1.1."),
    ("[data.split]\ntrain = 0\nval = 0.9", "[data.split]: expected train > 0, got 0."),
    (
        '[data.split]\ntest_parts = ["a"]',
        "[data.split]: expected by = 'part' where test_parts is given, got by = 'trace'.",
    ),
    (
        '[data.split]\nby = "part"\ntest_traces = ["a/*"]',
        "[data.split]: expected by = 'trace' where test_traces is given, got by = 'part'.",
    ),
    (
        "[data.augment]\nnoise = 1",
        "[data.augment]: unknown key 'noise'; did you mean 'input_noise'",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_mistake_is_named_with_section_key_rule_and_value(tmp_path, text, message):
    (line,) = refusal(tmp_path, MINIMAL + text)
    assert line.startswith("s.toml" + ("" if message[0] == ":" else " ") + message)
    assert line.endswith(".")


def test_all_mistakes_are_reported_at_once(tmp_path):
    text = "[data]\nstride = 0\n[train]\nlr = 1\nepochs = -1\n[model]\ndropout = 1"
    lines = refusal(tmp_path, text)
    assert len(lines) == 5
    assert lines[0] == "s.toml [data]: expected key 'traces', got none. Add it."
    assert lines[2] == "s.toml [model] dropout: expected a number < 1, got 1. Change the value."


def test_what_is_no_spec_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.toml").write_bytes("# Größe".encode("latin-1"))
    (tmp_path / "cut.toml").write_text("[data\n")
    for name, message in {
        "none.toml": r"expected a spec file, got none\. Look in specs/\.",
        "folder": r"expected a spec file, got a folder\. Look in specs/\.",
        "latin.toml": r"expected UTF-8 text, got byte 0xf6 at offset 4\. Save the file as UTF-8\.",
        "cut.toml": r"expected TOML, got .*line 1.*\. Mend that line\.",
    }.items():
        with pytest.raises(InputError, match=rf"^{tmp_path}/{name}: {message}$"):
            spec.load(tmp_path / name)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("train.epochs=5", lambda s: s.train.epochs == 5),
        ("train.epochs = 5", lambda s: s.train.epochs == 5),
        ("data.split.seed=3", lambda s: s.data.split.seed == 3),
        ("train.name=a run", lambda s: s.train.name == "a run"),
        ('train.name="5"', lambda s: s.train.name == "5"),
        ("data.traces=b/*.mat", lambda s: s.data.traces == ("b/*.mat",)),
        ('data.traces=["b", "c=d"]', lambda s: s.data.traces == ("b", "c=d")),
        ("optimizer.learning_rate=1e-3", lambda s: s.optimizer.learning_rate == 1e-3),
    ],
)
def test_overrides_are_toml_values_or_plain_texts(tmp_path, override, read):
    assert read(load(tmp_path, MINIMAL, override))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=5", "--set 'epochs=5': expected section.key=value, got 'epochs=5'. Example: "),
        ("train.epochs", "--set 'train.epochs': expected section.key=value"),
        ("train.=5", "--set 'train.=5': expected section.key=value"),
        ("train.epochs=-1", "s.toml [train] epochs: expected an integer >= 0, got -1."),
        ("train.epoch=1", "s.toml [train]: unknown key 'epoch'; did you mean 'epochs'?"),
        ("data.stride.x=1", "--set 'data.stride.x=1': expected 'stride' to be a section, got 4."),
    ],
)
def test_overrides_are_checked_as_the_file_is(tmp_path, override, message):
    (line,) = refusal(tmp_path, MINIMAL + "stride = 4\n", override)
    assert line.startswith(message)


NAMES = st.text(max_size=3) | st.sampled_from(["x_ref", "vx_ref", "a|b", "boat"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(["traces", "features", "split", "window", "simulate", "seed"]) | NAMES
SECTIONS = st.sampled_from(["data", "model", "train"]) | NAMES
TABLES = st.dictionaries(SECTIONS, VALUES | st.dictionaries(KEYS, VALUES, max_size=3), max_size=4)


@given(TABLES)
def test_any_table_gives_a_spec_or_a_line_for_each_mistake(table):
    lines = []
    try:
        found = spec.from_table(table, "s.toml")
        assert spec.from_table(spec.to_table(found), "again") == found
    except InputError as error:
        lines = str(error).splitlines()
    assert all(line.startswith("s.toml") and line[-1] == "." for line in lines)


@given(st.text(max_size=20))
def test_any_text_is_a_name(text):
    table = {"data": {"traces": ["a"]}, "train": {"name": text}}
    assert spec.from_table(table, "s.toml").train.name == text


def test_rules_across_keys_are_checked_beside_wrong_keys(tmp_path):
    table = '[data]\ntraces = ["x"]\nfeatures = ["x_ref", "y_ref"]\nstride = 0\n'
    lines = refusal(tmp_path, table + "[data.split]\ntrain = 0.9\nseed = -1\n")
    found = "\n".join(lines)
    assert len(lines) == 4
    for text in ("stride: expected", "seed: expected", "train + val + test to be 1", "positions"):
        assert text in found


def test_every_malformed_override_is_named(tmp_path):
    (tmp_path / "s.toml").write_text(MINIMAL)
    with pytest.raises(InputError, match=r"(?s)'foo'.*'=3'"):
        spec.load(tmp_path / "s.toml", ["foo", "train.epochs=2", "=3"])


def test_a_run_is_judged_on_its_own_printer_or_a_named_one():
    table = {"traces": ["none"], "sample_rate_hz": 200.0}
    made = {"parts": ["boat"], "printer": "ender3_v2", "seed": 3}
    simulated = spec.from_table({"data": table | {"simulate": made}}, "spec")
    assert simulated.data.simulate.rate_hz == 200.0
    own = spec.printer_of(simulated)
    assert (own.printer, own.rate_hz, own.seed) == ("ender3_v2", 200.0, 3)
    reference = Simulation(rate_hz=200.0, steps_per_mm=(80.0, 80.0))
    assert spec.printer_of(simulated, "reference") == reference
    foreign = spec.from_table({"data": table}, "spec")
    assert spec.printer_of(foreign, "reference") == reference
    with pytest.raises(InputError, match=r"a printer to judge on, got neither\. Name one"):
        spec.printer_of(foreign)


def test_knots_are_as_far_apart_as_samples_or_further():
    table = {"traces": ["none"], "sample_rate_hz": 200.0, "simulate": {"parts": ["boat"]}}
    close = spec.from_table({"data": table}, "spec").data
    assert close.knots_hz == close.simulate.knots_hz == 200.0
    apart = spec.from_table({"data": table | {"knot_rate_hz": 50.0}}, "spec")
    assert apart.data.knots_hz == apart.data.simulate.knots_hz == 50.0
    assert spec.printer_of(apart).knots_hz == spec.printer_of(apart, "ender3_v2").knots_hz == 50.0
    for rate_hz in (60.0, 400.0):
        message = rf"expected knot_rate_hz to divide rate_hz = 200, got {rate_hz:g}\."
        with pytest.raises(InputError, match=message):
            spec.from_table({"data": table | {"knot_rate_hz": rate_hz}}, "spec")
        foreign = {"traces": ["none"], "sample_rate_hz": 200.0, "knot_rate_hz": rate_hz}
        with pytest.raises(InputError, match=message.replace(" rate_hz", " sample_rate_hz")):
            spec.from_table({"data": foreign}, "spec")
    simulate = {"parts": ["boat"], "knot_rate_hz": 100.0}
    message = r"expected knot_rate_hz to be simulate.knot_rate_hz = 100, got 50\."
    with pytest.raises(InputError, match=message):
        spec.from_table({"data": table | {"knot_rate_hz": 50.0, "simulate": simulate}}, "spec")


def test_traces_are_made_at_the_rate_that_they_are_read_at():
    simulate = {"parts": ["boat"], "rate_hz": 100.0}
    message = r"\[data\]: expected sample_rate_hz to be simulate.rate_hz = 100, got 200\."
    table = {"traces": ["none"], "sample_rate_hz": 200.0, "simulate": simulate}
    with pytest.raises(InputError, match=message):
        spec.from_table({"data": table}, "spec")


def test_a_corexy_is_told_by_the_printer_or_by_a_key():
    table: dict[str, Any] = {"traces": ["none"]}

    def kinematics(**keys):
        return spec.kinematics_of(spec.from_table({"data": table | keys}, "spec").data)

    simulate = {"parts": ["boat"], "printer": "corexy"}
    assert kinematics() == "cartesian"
    assert kinematics(kinematics="corexy") == "corexy"
    assert kinematics(simulate=simulate) == "corexy"
    assert kinematics(simulate=simulate, targets=["error_y"]) == "cartesian"
    with pytest.raises(InputError, match=r"kinematics to be simulate.kinematics = 'corexy', got"):
        kinematics(simulate=simulate, kinematics="cartesian")
    with pytest.raises(InputError, match=r"targets of x and y for kinematics = 'corexy', got \["):
        kinematics(kinematics="corexy", targets=["error_y"])


@pytest.mark.parametrize("rate_hz", [20, 30.0, 62.5, 1500.0, 2000.0])
def test_any_rate_is_integrated_at_a_multiple(rate_hz):
    table = {"traces": ["none"], "sample_rate_hz": rate_hz, "simulate": {"parts": ["boat"]}}
    made = spec.from_table({"data": table}, "spec").data.simulate
    assert made.plant_rate_hz >= 2000.0
    assert made.every * rate_hz == made.plant_rate_hz


@pytest.mark.parametrize("rate_hz", [19.0, 2001.0])
def test_rates_beyond_those_tried_are_refused(rate_hz):
    with pytest.raises(InputError, match=r"sample_rate_hz: expected a number [<>]= (20|2000), got"):
        spec.from_table({"data": {"traces": ["none"], "sample_rate_hz": rate_hz}}, "spec")


def test_lengths_in_ms_are_written_in_samples(tmp_path):
    in_ms = {"window_ms": 500, "stride_ms": 62.5, "horizon_ms": -10, "sample_rate_hz": 200.0}
    made = spec.from_table({"data": {"traces": ["none"]} | in_ms}, "spec")
    assert (made.data.window, made.data.stride, made.data.horizon) == (100, 12, -2)
    assert spec.from_table(spec.to_table(made), "again") == made
    (tmp_path / "s.toml").write_text(MINIMAL)
    changed = spec.load(tmp_path / "s.toml", ["data.window=30", "data.window_ms=400"])
    assert changed.data.window == 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 50, "window_ms": 500}, r"expected window or window_ms, got 50 and 500\."),
        ({"window_ms": 12}, r"window: expected an integer >= 2, got 1\."),
        ({"stride_ms": "12"}, "numbers for stride_ms and sample_rate_hz, got '12', 100.0"),
        ({"horizon_ms": 1e308}, "horizon_ms of fewer samples"),
        ({"batch_size_ms": 1}, "unknown key 'batch_size_ms'"),
    ],
)
def test_bad_lengths_in_ms_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        spec.from_table({"data": {"traces": ["none"]} | changes}, "spec")


def numbers_of(section, place=""):
    """The keys of a spec that are numbers."""
    for name, field in section.model_fields.items():
        kind = type(field.default) if name != "data" else spec.Data
        if hasattr(kind, "model_fields"):
            yield from numbers_of(kind, f"{place}{name}.")
        elif kind in (int, float):
            yield f"{place}{name}"


@pytest.mark.parametrize("key", [*numbers_of(spec.Spec)])
def test_every_number_has_a_bound_that_a_machine_can_bear(tmp_path, key):
    for text in ("1e18", f"1{'0' * 18}", f"-1{'0' * 18}", "9" * 5000):
        (line,) = refusal(tmp_path, MINIMAL, f"{key}={text}")
        assert key.rpartition(".")[2] in line
        assert len(line) < 300
    with contextlib.suppress(InputError):
        devices.check_memory(load(tmp_path, MINIMAL, f"{key}=1000000"))


def test_a_size_is_refused_with_the_memory_that_it_needs(tmp_path):
    large = load(tmp_path, MINIMAL, "model.hidden_size=1000000", "data.batch_size=100000")
    with pytest.raises(
        InputError, match=r"weights, .* GiB for a batch, .* Lower model\.hidden_size"
    ):
        devices.check_memory(large)
    devices.check_memory(load(tmp_path, MINIMAL))


def test_no_more_than_a_screen_of_mistakes_is_listed(tmp_path):
    path = tmp_path / "many.toml"
    path.write_text("\n".join(f"k{i} = 1" for i in range(99)))
    with pytest.raises(InputError) as caught:
        spec.load(path)
    *listed, last = str(caught.value).splitlines()
    assert len(listed) == schema.MOST_PROBLEMS
    assert re.fullmatch(r".*many\.toml: and \d+ more\.", last)
    path.write_text("#" * (schema.MOST_TOML_BYTES + 1024))
    with pytest.raises(InputError, match="of at most 256 KiB, got 257 KiB"):
        spec.load(path)
