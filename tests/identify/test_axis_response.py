"""One mode or two, where shapers are set, and what is refused for a reason."""

import numpy as np
import pytest
import resonances

from jaxcorr.errors import InputError
from jaxcorr.identify import accelerometer, axis_response

ONE = [(48.0, 0.08, 1.0)]
TWO = [(42.0, 0.06, 0.6), (70.0, 0.06, 0.4)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tests")
    resonances.write_psd(folder / "resonances_x.csv", ONE)
    resonances.write_psd(folder / "resonances_y.csv", TWO, direction="z")
    return folder


@pytest.fixture(scope="module")
def both(folder):
    return axis_response.identify_files([folder / f"resonances_{axis}.csv" for axis in "xy"])


def test_one_mode_where_it_does_and_otherwise_two(both):
    x, y = both
    assert (x.spectrum.axis, x.moved, len(x.fit.modes), x.one_mode) == ("x", "x", 1, None)
    assert (y.spectrum.axis, y.moved, len(y.fit.modes)) == ("y", "z", 2)
    assert y.one_mode.fit.residual > axis_response.ONE_MODE_RESIDUAL


def test_so_many_modes_as_are_asked_for(both):
    with pytest.raises(InputError, match=r"expected the spectrum of 1 mode, .*got 0\.8"):
        axis_response.identify(both[1].spectrum, 1)
    two = axis_response.identify(both[0].spectrum, 2)
    assert (len(two.fit.modes), two.one_mode) == (2, None)
    assert two.fit.residual <= both[0].fit.residual


def test_a_known_mass_on_the_bed_tells_what_moves():
    """The way of the help: 2.1 kg on a spring, and 1 kg more on it."""
    frequencies = []
    for added_kg in (0.0, 1.0):
        w = np.sqrt(120_000.0 / (2.1 + added_kg))
        modes = [(w / (2 * np.pi), 0.08, 1.0)]
        frequency_hz, psd = resonances.spectra(resonances.measured(modes))
        spectrum = make_spectrum(psd[:, 0], float(frequency_hz[1]))
        frequencies.append(axis_response.identify(spectrum, 1).fit.modes[0].frequency_hz)
    bare, loaded = frequencies
    assert 1.0 / ((bare / loaded) ** 2 - 1.0) == pytest.approx(2.1, rel=0.005)


def test_shapers_are_set_on_the_model_as_on_the_file(both):
    for one in both:
        for kind in axis_response.SHAPERS:
            on_file, on_model = one.on_file[kind], one.on_model[kind]
            assert on_model.frequency_hz == pytest.approx(on_file.frequency_hz, abs=0.41)
            assert on_model.vibrations == pytest.approx(on_file.vibrations, abs=0.01)


def test_a_printer_has_the_modes_of_both_axes(both):
    found = axis_response.printer_of(both)
    second_x, second_y = found.second
    assert second_x is None
    assert second_y.share + found.stiff_share[1] + both[1].fit.modes[0].share == pytest.approx(1.0)
    assert found.frequency_hz == pytest.approx((48.0, 42.0), rel=2e-3)
    assert found.damping_ratio == pytest.approx((0.08, 0.06), rel=0.02)
    assert found.friction_mm is None
    assert axis_response.printer_of(both[:1]) is None
    assert axis_response.printer_of([both[0], both[0]]) is None


def test_names_without_an_axis_come_in_order(folder):
    text = (folder / "resonances_x.csv").read_text()
    paths = [folder / f"test{i}.csv" for i in (1, 2, 3)]
    for path in paths:
        path.write_text(text)
    found = axis_response.identify_files(paths[:2])
    assert [one.spectrum.axis for one in found] == ["x", "y"]
    with pytest.raises(InputError, match="_x or _y in the name of the third file"):
        axis_response.identify_files(paths)


def make_spectrum(psd, spacing_hz=1.5):
    columns = np.stack([psd, 0.01 * psd, 0.01 * psd], axis=1)
    frequency_hz = spacing_hz * np.arange(len(psd))
    path = accelerometer.Path("resonances_x.csv")
    return accelerometer.Spectrum(path, "x", frequency_hz, spacing_hz, columns)


F = 1.5 * np.arange(134)


@pytest.mark.parametrize(
    "psd",
    [np.ones(134), F + 0.1, np.exp(-F / 40), F**4],
    ids=["noise", "follows", "falls", "rises"],
)
def test_a_spectrum_without_a_peak_is_refused(psd):
    with pytest.raises(InputError, match=r"expected a peak between 12 and 120 Hz"):
        axis_response.identify(make_spectrum(psd))


def test_what_no_two_modes_explain_is_refused():
    rough = np.exp(2.5 * np.random.default_rng(1).standard_normal(134))
    psd = (F + 1.0) * rough
    psd[40] = 2.0 * psd.max()
    with pytest.raises(InputError, match=r"expected the spectrum of 2 modes, .*got \d"):
        axis_response.identify(make_spectrum(psd))


def test_all_files_that_are_refused_are_named_at_once(folder):
    paths = [folder / "missing_x.csv", folder / "resonances_x.csv", folder / "missing_y.csv"]
    with pytest.raises(InputError) as refused:
        axis_response.identify_files(paths)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        str(paths[0]),
        str(paths[2]),
    ]
