"""Accelerometer files of axes that are known, simulated apart from the package at a fine rate."""

import numpy as np
from scipy.signal import cont2discrete, lfilter, welch

RATE_HZ = 1613.0  # of a sensor that should have 1600
FINE = 4
LSB_MM_S2 = 38.26  # of an ADXL345; its noise is about as large


def sweep(rate_hz):
    """The acceleration of Klipper's test as its documentation has it, to 133.3 Hz."""
    ends, values, time_s, frequency_hz, sign = [], [], 0.0, 5.0, 1.0
    while frequency_hz <= 133.33:
        for direction in (sign, -sign):
            time_s += 0.25 / frequency_hz
            ends.append(time_s)
            values.append(direction * 75.0 * frequency_hz)
        frequency_hz += 0.5 / frequency_hz
        sign = -sign
    middle_s = (np.arange(int(time_s * rate_hz)) + 0.5) / rate_hz
    return np.array(values)[np.searchsorted(ends, middle_s)]


def accelerate(modes, rate_hz=RATE_HZ):
    """What an axis of modes (frequency, damping ratio, share) does with the test's command."""
    command = sweep(FINE * rate_hz)
    total = (1.0 - sum(share for *_, share in modes)) * command
    for frequency_hz, ratio, share in modes:
        w = 2.0 * np.pi * frequency_hz
        system = ([2.0 * ratio * w, w**2], [1.0, 2.0 * ratio * w, w**2])
        above, below, _ = cont2discrete(system, 1.0 / (FINE * rate_hz))
        total = total + share * lfilter(above[0], below, command)
    return total[::FINE]


def measured(modes, direction="x", noise_mm_s2=LSB_MM_S2, rate_hz=RATE_HZ, seed=0):
    """Time and three accelerations, with gravity, noise and steps of the sensor."""
    moved = accelerate(modes, rate_hz)
    values = np.tile(0.03 * moved[:, None], 3)
    values[:, "xyz".index(direction)] = moved
    values[:, 2] += 9806.65
    values += noise_mm_s2 * np.random.default_rng(seed).standard_normal(values.shape)
    if noise_mm_s2:
        values = LSB_MM_S2 * np.round(values / LSB_MM_S2)
    return np.column_stack([100.0 + np.arange(len(values)) / rate_hz, values])


def spectra(series, rate_hz=RATE_HZ):
    """Frequency and three spectra, taken by SciPy."""
    size = 2 ** int(np.ceil(np.log2(0.5 * rate_hz)))
    frequency_hz, psd = welch(
        series[:, 1:], rate_hz, np.kaiser(size, 6.0), detrend="constant", axis=0
    )
    known = frequency_hz < 200.0
    return frequency_hz[known], psd[known]


def write_psd(path, modes, **options):
    """Writes what Klipper writes of a test."""
    frequency_hz, psd = spectra(measured(modes, **options))
    rows = [
        f"{f:.1f}," + ",".join(f"{value:.3e}" for value in (*row, row.sum()))
        for f, row in zip(frequency_hz, psd, strict=True)
    ]
    path.write_text("\n".join(["freq,psd_x,psd_y,psd_z,psd_xyz", *rows, ""]))
    return path
