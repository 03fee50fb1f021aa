"""Both kinds of Klipper's files, and what is refused in them."""

import numpy as np
import pytest
import resonances

from jaxcorr.errors import InputError
from jaxcorr.identify import accelerometer, shapers

MODES = [(48.0, 0.08, 1.0)]
HEADER = "freq,psd_x,psd_y,psd_z,psd_xyz"


@pytest.fixture(scope="module")
def series():
    return resonances.measured(MODES)


@pytest.fixture
def psd_file(tmp_path, series):
    """A file of spectra, and its lines."""
    frequency_hz, psd = resonances.spectra(series)
    rows = [
        f"{f:.1f},{x:.3e},{y:.3e},{z:.3e},{x + y + z:.3e}"
        for f, (x, y, z) in zip(frequency_hz, psd, strict=True)
    ]
    return tmp_path / "resonances_x_20240101.csv", [HEADER, *rows]


def write_series(path, series, head):
    with path.open("w") as file:
        file.write(head)
        np.savetxt(file, series, fmt="%.6f", delimiter=",")
    return path


@pytest.mark.parametrize(
    "head",
    [
        "#time,accel_x,accel_y,accel_z\n",
        "##drops=0,overflows=0,time_per_sample=0.000312\n#time,accel_x,accel_y,accel_z\n",
        "time,accel_x,accel_y,accel_z\r\n",
    ],
)
def test_a_raw_series_gives_klippers_spectrum(tmp_path, series, head):
    path = write_series(tmp_path / "raw_data_x_first.csv", series, head)
    found = accelerometer.read(path)
    frequency_hz, psd = resonances.spectra(series)
    assert (found.axis, found.moved) == ("x", 0)
    np.testing.assert_allclose(found.frequency_hz, frequency_hz, rtol=1e-5)
    np.testing.assert_allclose(found.psd, psd, rtol=1e-3)


def test_spectra_are_read_with_their_exact_spacing(psd_file, series):
    path, lines = psd_file
    path.write_text("\n".join([*lines, ""]))
    found = accelerometer.read(path)
    assert (found.axis, found.moved) == ("x", 0)
    assert found.spacing_hz == pytest.approx(resonances.RATE_HZ / 1024, rel=1e-4)
    np.testing.assert_allclose(found.psd, resonances.spectra(series)[1], rtol=1e-3)


@pytest.mark.parametrize("marker", ["", "shapers:,"])
def test_spectra_beside_shapers_had_been_divided(psd_file, marker):
    path, lines = psd_file
    path.write_text("\n".join(lines))
    plain = accelerometer.read(path)
    divided = plain.psd * shapers.command_weight(plain.frequency_hz)[:, None]
    rows = [
        f"{f:.1f},{x:.6e},{y:.6e},{z:.6e},{x + y + z:.6e}{',' * bool(marker)},0.500,0.250"
        for f, (x, y, z) in zip(plain.frequency_hz, divided, strict=True)
    ]
    path.write_text("\n".join([f"{HEADER},{marker}zv(48.2),mzv(49.0)", *rows]))
    np.testing.assert_allclose(accelerometer.read(path).psd, plain.psd, rtol=1e-5)


def test_the_direction_that_moved_may_be_another_than_the_axis(tmp_path):
    path = resonances.write_psd(tmp_path / "resonances_y_bed.csv", MODES, direction="z")
    found = accelerometer.read(path)
    assert (found.axis, found.moved) == ("y", 2)


@pytest.mark.parametrize(
    ("name", "axis"),
    [
        ("resonances_x_20220213_160124.csv", "x"),
        ("calibration_data_y_20220213.csv", "y"),
        ("cr10_bed_bare_resonances_y.csv", "y"),
        ("box_test.csv", ""),
    ],
)
def test_the_name_tells_the_axis(psd_file, name, axis):
    path, lines = psd_file
    (path.parent / name).write_text("\n".join(lines))
    assert accelerometer.read(path.parent / name).axis == axis


def test_a_test_along_a_diagonal_is_refused(tmp_path):
    with pytest.raises(InputError, match="along a diagonal"):
        accelerometer.read(tmp_path / "resonances_axis=1.000,1.000_belt.csv")


def nan_in_row_5(lines):
    return [*lines[:5], lines[5].replace(lines[5].split(",")[2], "nan"), *lines[6:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:0], "expected columns freq,psd_x"),
        (lambda lines: ["a,b", *lines[1:]], "expected columns freq,psd_x,.*got 'a,b'"),
        (lambda lines: lines[1:], "expected columns"),
        (lambda lines: lines[:1], "expected rows of numbers, got 0"),
        (lambda lines: lines[:2], "expected rows of numbers, got 1"),
        (lambda lines: [*lines[:9], "1.5,oops,1,1,1"], "expected rows of numbers.*'oops'"),
        (lambda lines: [*lines[:9], "1.5,2"], "expected rows of numbers"),
        (nan_in_row_5, r"csv:6: expected finite numbers, got NaN or infinity in 1 rows"),
        (lambda lines: lines[:40], "expected a spectrum up to 125 Hz"),
        (lambda lines: [lines[0], *lines[20:]], "expected frequencies from 0 Hz on"),
        (lambda lines: [lines[0], *lines[1::5]], "evenly spaced"),
        (lambda lines: [*lines[:9], lines[9].replace(",", ",-", 1), *lines[10:]], "above 0"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_other_spectra_are_refused(psd_file, change, message):
    path, lines = psd_file
    path.write_text("\n".join(change(lines)))
    with pytest.raises(InputError, match=message) as refused:
        accelerometer.read(path)
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value).splitlines()) == 1


def test_other_series_are_refused(tmp_path, series):
    path, head = tmp_path / "raw_data_x.csv", "#time,accel_x,accel_y,accel_z\n"
    write_series(path, series[:8000], head)
    with pytest.raises(InputError, match=r"expected 20 s or more .*got 8,000 samples of 5\.0 s"):
        accelerometer.read(path)
    write_series(path, series[::8], head)
    with pytest.raises(InputError, match=r"at 400 Hz or more, got .* at 202 Hz"):
        accelerometer.read(path)
    gap = np.concatenate([series[:40_000], series[50_000:60_000]])
    write_series(path, gap, head)
    with pytest.raises(InputError, match=r"Samples were lost"):
        accelerometer.read(path)


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    path = tmp_path / "resonances_x.csv"
    with pytest.raises(InputError, match="expected a readable file"):
        accelerometer.read(path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="expected text"):
        accelerometer.read(path)
