"""Files of figures, whole or none, and the amplitude spectrum."""

import numpy as np
import pytest

from jaxcorr import plotting
from jaxcorr.errors import InputError


def draw(*paths):
    plotting.check_paths(*paths)
    with plotting.style():
        figure, axis = plotting.new_figure(1, 1, 2.0)
        axis.plot([1, 2], [3, 4], label="a line")
        plotting.legend_above(axis, 1)
        plotting.save(figure, *paths)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_figure_is_a_whole_file_or_none(tmp_path, suffix, magic):
    path = tmp_path / f"curves{suffix}"
    draw(path)
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_several_files_of_one_figure_are_laid_out_alike(tmp_path):
    draw(tmp_path / "a.svg", tmp_path / "b.svg")
    first, second = ((tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("name", ["curves.gif", "none/curves.png"])
def test_other_endings_and_folders_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"expected a file ending in \.png, \.svg, \.pdf"):
        draw(tmp_path / name)


def test_spectrum_of_a_sine_shows_its_amplitude():
    time = np.arange(2000) / 100.0
    frequency_hz, amplitude = plotting.amplitude_spectrum(
        3.0 * np.sin(2 * np.pi * 12.5 * time), 100.0
    )
    assert amplitude.max() == pytest.approx(3.0, rel=0.01)
    assert frequency_hz[amplitude.argmax()] == pytest.approx(12.5, abs=0.2)


@pytest.mark.parametrize(("values", "scale"), [([1.83, 1.80], "linear"), ([80.0, 2.0], "log")])
def test_decades_are_shown_where_there_are_some(values, scale):
    _, axis = plotting.new_figure(1, 1, 1.0)
    axis.plot(values)
    plotting.spread(axis)
    assert axis.get_yscale() == scale
