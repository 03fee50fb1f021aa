"""`identify` and `import`: what they print and write of measurements, and what they refuse."""

import json

import numpy as np
import pytest
import resonances

from jaxcorr.printer_spec import read_printer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    resonances.write_psd(folder / "resonances_x.csv", [(48.0, 0.08, 1.0)])
    two = [(42.0, 0.06, 0.6), (70.0, 0.06, 0.4)]
    resonances.write_psd(folder / "resonances_y.csv", two, direction="z")
    return folder


def test_resonance_files_become_a_printer_a_figure_and_a_report(run, folder, tmp_path):
    paths = [folder / f"resonances_{axis}.csv" for axis in "xy"]
    out, plot = tmp_path / "mine.toml", tmp_path / "fit.png"
    code, text, err = run("identify", *paths, "--mass-kg", 0.4, 0.6, "--out", out, "--plot", plot)
    assert (code, err) == (0, "")
    assert "48.0" in text
    assert "one mode does not do: it leaves" in text
    assert "the accelerometer's z moved most" in text
    assert "MZV" in text
    assert "Friction is not told" in text
    assert plot.stat().st_size > 10_000
    assert read_printer(str(out))["mass_kg"] == (0.4, 0.6)
    made = read_printer(str(out))
    assert made["second_frequency_hz"][1] == pytest.approx(70.0, rel=0.02)
    assert made["second_share"] == (0.0, pytest.approx(0.4, abs=0.05))
    # The file is a printer for other commands.
    part = tmp_path / "part.gcode"
    part.write_text("G1 X10 F3000\nG1 X0\n")
    assert run("plan", part, "--printer", out)[0] == 0


def test_numbers_for_programs(run, folder, tmp_path):
    path, out = folder / "resonances_x.csv", tmp_path / "numbers.json"
    code, text, _ = run("identify", path, "--json", "--out", out)
    assert code == 0
    numbers = json.loads(text)
    assert numbers == json.loads(out.read_text())
    mode = numbers[0]["modes"][0]
    assert mode["frequency_hz"] == pytest.approx(48.0, rel=1e-3)
    low, high = mode["damping_ratio_95"]
    assert low < mode["damping_ratio"] < high
    on_file = numbers[0]["shapers"]["mzv"]["on_file"]
    assert on_file["frequency_hz"] == pytest.approx(48.0, rel=0.05)


def test_known_masses_tell_what_moves(run, tmp_path):
    """1 / f^2 is a line over the mass; any two of three tests predict the third."""
    masses, paths = (0.0, 0.5, 1.2), []
    for mass in masses:
        hz = 45.0 * (1.5 / (1.5 + mass)) ** 0.5
        paths.append(tmp_path / f"{mass}_resonances_y.csv")
        resonances.write_psd(paths[-1], [(hz, 0.08, 1.0)], direction="y")
    added = [text for mass in masses for text in ("--added-kg", mass)]
    code, text, _ = run("identify", *paths, "--modes", 1, *added, "--json")
    assert code == 0
    weighing = json.loads(text)[-1]
    assert weighing["moving_kg"] == pytest.approx(1.5, rel=0.02)
    assert weighing["worst_share"] < 0.005
    _, text, _ = run("identify", *paths[:2], "--modes", 1, *added[:4])
    assert "y: 1.5" in text
    code, _, err = run("identify", *paths[:2], "--modes", 1, *added[:2])
    assert code == 2
    assert "--added-kg: expected one for each of 2 files, got 1" in err
    code, _, err = run("identify", *paths[1::-1], "--modes", 1, *added[:4])
    assert "expected a frequency of y that falls as the mass rises" in err


def test_ringing_becomes_a_printer(run, tmp_path):
    out = tmp_path / "rings.toml"
    code, text, _ = run("identify", "--ringing-mm", 1.9, "--speed-mm-s", 100, "--out", out)
    assert code == 0
    assert "52.63 Hz" in text
    assert "damping ratio is not told" in text
    assert read_printer(str(out))["stiffness_n_m"] == pytest.approx((38275.5, 49211.3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "got neither"),
        (["a.mat", "--ringing-mm", "2", "--speed-mm-s", "100"], "got both"),
        (["--ringing-mm", "2"], "together, got one"),
        (["a.mat", "b.csv"], "expected traces or resonance files"),
        (["a.mat", "--plot", "a.png"], "--plot: expected resonance files"),
        (["a.csv", "--plot", "a.txt"], "expected a file ending in"),
        (["a.csv", "--out", "a.txt"], r"ends in .toml or .json"),
        (["a.csv"], "a.csv: expected a readable file"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(run, arguments, message):
    code, out, err = run("identify", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_printer_file_needs_both_axes(run, folder, tmp_path):
    out = tmp_path / "mine.toml"
    code, _, err = run("identify", folder / "resonances_x.csv", "--out", out)
    assert code == 2
    assert "expected one file of x and one of y" in err
    assert not out.exists()


def test_the_help_says_what_an_accelerometer_does_not_tell(run):
    text = " ".join(run("identify", "--help")[1].split())
    assert "An accelerometer does not tell friction" in text
    assert "Nor does it tell mass from stiffness" in text


@pytest.fixture
def log(tmp_path):
    """A second of a sine in m at 200 Hz, and an axis that lags."""
    t = np.arange(0, 4, 0.005)
    columns = np.stack([t, 0.02 * np.sin(3 * t), 0.02 * np.sin(3 * (t - 0.004))], axis=1)
    path = tmp_path / "log.csv"
    np.savetxt(path, columns, delimiter=",", header="t,x_cmd,x_act", comments="")
    return path


NAMED = ("--time", "t", "--command", "x_cmd", "--actual", "x_act", "--units", "m")


def test_a_log_becomes_traces_and_the_command_to_train(log, tmp_path, run):
    out = tmp_path / "traces"
    code, shown, _ = run("import", log, *NAMED, "--rate-hz", "100", "--out", out)
    assert code == 0
    assert "800 samples became 3 traces of 401 samples at 100 Hz; 3 begin in motion" in shown
    assert f"""--set 'data.traces=["{out}/*.mat"]'""" in shown
    assert """--set 'data.features=["x_ref", "vx_ref"]'""" in shown
    code, shown, _ = run("import", log, *NAMED, "--json", "--out", tmp_path / "more")
    assert json.loads(shown)["logs"][0]["rate_hz"] == 200


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "expected --command and --actual, or --format, got neither; its columns are t, x_cmd"),
        (("--command", "x_cmd"), "--actual: expected one for each --command, got 0 for 1"),
        ((*NAMED, "--axis", "a", "--axis", "b"), "--axis: expected 1 names, got 2"),
        ((*NAMED, "--axis", "a-b"), "--axis: expected letters, digits and _, got 'a-b'"),
        ((*NAMED, "--axis", "v1"), "--axis: expected a name that is no speed's, got 'v1'"),
        ((*NAMED[:-1], "yd"), "--units: expected one of mm, m, um, in, got 'yd'"),
        ((*NAMED, "--unit-mm", "2"), "--unit-mm: expected --units or it"),
        ((*NAMED, "--time-units", "h"), "--time-units: expected one of s, ms, us, got 'h'"),
        ((*NAMED, "--rate-hz", "0"), "--rate-hz: expected a number > 0, got 0"),
        ((*NAMED, "--shortest-s", "90"), "--shortest-s: expected a number > 0 and at most"),
        (("--format", "duet"), "expected a log of the format duet"),
    ],
)
def test_bad_options_of_an_import_are_refused_in_one_line(log, tmp_path, run, argv, message):
    code, _, shown = run("import", log, *argv, "--out", tmp_path / "traces")
    assert code == 2
    assert message in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "traces").exists()
