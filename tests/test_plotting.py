"""Figures show the numbers that they were given, in the units that they name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxcorr import plotting
from jaxcorr.errors import InputError

ROWS = [
    {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "train_mae_mm": 0.02 / epoch,
        "val_mae_mm": 0.01 + 0.001 * abs(epoch - 4),
        "learning_rate": 1e-3 * (6 - epoch),
    }
    for epoch in range(1, 7)
]


@pytest.fixture
def figures(monkeypatch) -> list[Any]:
    """The figures drawn, in place of their files."""
    drawn: list[Any] = []
    monkeypatch.setattr(plotting, "save", lambda figure, *_paths, **_options: drawn.append(figure))
    return drawn


def test_history_shows_loss_mae_and_learning_rate(tmp_path, figures):
    plotting.draw_history(ROWS, tmp_path / "curves.png")
    loss, mae, rate = figures[0].axes
    epochs = [1, 2, 3, 4, 5, 6]
    assert np.array_equal(
        loss.lines[0].get_xydata(), np.c_[epochs, [r["train_loss"] for r in ROWS]]
    )
    training, _, validation, best = mae.lines
    val_um = [1e3 * row["val_mae_mm"] for row in ROWS]
    assert np.allclose(training.get_ydata(), [1e3 * r["train_mae_mm"] for r in ROWS])
    assert np.allclose(validation.get_ydata(), val_um)
    assert validation.get_label() == "validation, best 10.00 µm at 4"
    assert np.allclose(best.get_xydata(), [[4, 10.0]])
    assert np.allclose(rate.lines[0].get_ydata(), [row["learning_rate"] for row in ROWS])
    assert [axis.get_ylabel() for axis in (loss, mae, rate)] == [
        "training loss",
        "MAE / µm",
        "learning rate",
    ]


def test_history_without_validation_and_of_one_epoch_is_drawn(tmp_path, figures):
    row = {k: v for k, v in ROWS[0].items() if k != "val_mae_mm"}
    plotting.draw_history([row], tmp_path / "curves.png")
    line, circle = figures[0].axes[1].lines
    assert line.get_label() == "training, best 20.00 µm at 1"
    assert np.allclose(circle.get_xydata(), [[1, 20.0]])


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_figure_is_a_whole_file_or_none(tmp_path, suffix, magic):
    path = tmp_path / f"curves{suffix}"
    plotting.draw_history(ROWS, path)
    assert path.read_bytes().startswith(magic)
    assert list(tmp_path.iterdir()) == [path]


def test_several_files_of_one_figure_are_laid_out_alike(tmp_path):
    plotting.draw_history(ROWS, tmp_path / "a.svg", tmp_path / "b.svg")
    first, second = ((tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("name", ["curves.gif", "none/curves.png"])
def test_other_endings_and_folders_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"expected a file ending in \.png, \.svg, \.pdf"):
        plotting.draw_history(ROWS, tmp_path / name)


def test_sweep_shows_each_trial_over_each_key(tmp_path, figures):
    rates = [1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 7e-3, 1e-2, 1e-2]
    values = {"a.rate": rates, "b.size": [32, 8, 8, 32, 8, 32, 8, 32], "c.loss": ["b", "a"] * 4}
    mae_um = np.array([9.0, 8.0, 7.0, 5.0, 6.0, 8.0, 9.0, 20.0])
    is_complete = np.array([True] * 6 + [False] * 2)
    plotting.draw_sweep(values, mae_um, is_complete, tmp_path / "sweep.png")
    rate, size, loss = figures[0].axes
    assert [axis.get_xlabel() for axis in figures[0].axes] == list(values)
    assert rate.get_xscale() == "log"
    points = np.concatenate([dots.get_offsets() for dots in rate.collections])
    assert np.allclose(points, np.c_[rates, mae_um])
    assert [len(dots.get_offsets()) for dots in rate.collections] == [6, 2]
    assert len(rate.collections[1].get_facecolors()) == 0
    for axis, labels in ((size, ["8", "32"]), (loss, ["a", "b"])):
        assert [tick.get_text() for tick in axis.get_xticklabels()] == labels
    # Sizes stand at 0 (8) and 1 (32); a median for each, then the star of the best.
    medians = [tuple(line.get_xydata()[0]) for line in size.lines]
    assert medians == [(0.0, 7.5), (1.0, 8.5), (1.0, 5.0)]


def test_sweep_over_one_key_is_drawn(tmp_path):
    plotting.draw_sweep({"a.x": [1, 2]}, np.array([1.0, 2.0]), np.full(2, True), tmp_path / "s.png")
    assert Path(tmp_path / "s.png").stat().st_size > 1000


def test_spectrum_of_a_sine_shows_its_amplitude():
    time = np.arange(2000) / 100.0
    frequency_hz, amplitude = plotting.amplitude_spectrum(
        3.0 * np.sin(2 * np.pi * 12.5 * time), 100.0
    )
    assert amplitude.max() == pytest.approx(3.0, rel=0.01)
    assert frequency_hz[amplitude.argmax()] == pytest.approx(12.5, abs=0.2)
