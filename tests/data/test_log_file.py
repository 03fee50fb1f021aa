"""Logs as machines write them: tables of every kind, formats, refusals."""

import numpy as np
import pytest
import scipy.io

from jaxcorr.data import log_file
from jaxcorr.errors import InputError

VALUES = np.array([[0.0, 1.5, -2.0], [0.001, 1.25, 2.0]])


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "t,x cmd,b\n0,1.5,-2\n0.001,1.25,2\n",
        "t\tx cmd\tb\n0\t1,5\t-2\n0,001\t1,25\t2\n",
        '\ufeff# a comment\n"t";"x cmd";"b"\r\n0;1,5;-2\r\n\r\n0,001;1,25;2\r\n',
    ],
    ids=["commas", "tabs, decimal commas", "semicolons, a mark, quotes"],
)
def test_tables_are_read_as_people_save_them(tmp_path, text):
    path = write(tmp_path / "log.csv", text)
    assert log_file.names_of(path) == ["t", "x cmd", "b"]
    log = log_file.read(path, ["b", "t", "x cmd"])
    np.testing.assert_array_equal(
        np.stack([log.columns[n] for n in ("t", "x cmd", "b")], 1), VALUES
    )


def test_columns_without_names_have_numbers(tmp_path):
    path = write(tmp_path / "log.txt", "0 1.5 -2 \n0.001 1.25 2 \n")
    assert log_file.names_of(path) == ["1", "2", "3"]
    np.testing.assert_array_equal(log_file.read(path, ["3"]).columns["3"], [-2, 2])


def test_arrays_and_structs_are_columns_by_name(tmp_path):
    columns = {"t": VALUES[:, 0], "x": VALUES[:, 1]}
    np.savez(tmp_path / "log.npz", **columns, text="no column")
    scipy.io.savemat(tmp_path / "log.mat", {"rec": columns, "gain": 3.0, "image": np.eye(2)})
    assert log_file.names_of(tmp_path / "log.npz") == ["t", "x"]
    assert log_file.names_of(tmp_path / "log.mat") == ["rec.t", "rec.x"]
    log = log_file.read(tmp_path / "log.mat", ["rec.x"])
    np.testing.assert_array_equal(log.columns["rec.x"], columns["x"])


def test_v73_files_are_read(tmp_path):
    import h5py

    with h5py.File(tmp_path / "log.mat", "w") as file:
        file["qm"] = VALUES[:, 1:2].T  # MATLAB's columns come in reverse order of dimensions
    log = log_file.read(tmp_path / "log.mat", ["qm"])
    np.testing.assert_array_equal(log.columns["qm"], VALUES[:, 1])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("log.csv", "", r"log\.csv: expected a table of numbers, got no line\. Record it again\."),
        ("log.csv", "t,x\n", r"log\.csv: expected samples after the header, got none\."),
        ("log.csv", "t,x\n0,1\n1,x\n2,3\n", r"log\.csv:3: expected numbers in t, x, got '1,x'\."),
        ("log.csv", "t,x\n0,1\n1\n2,3\n", r"log\.csv:3: expected numbers in t, x, got '1'\."),
        ("log.csv", "t,x\n0,1\nData lost\n1,2\n", r"log\.csv:4: expected the log to end after"),
        ("log.csv", "t,xx\n0,1\n", r"a column 'x', got t, xx\. Did you mean 'xx'\?"),
        ("log.xls", "t", r"expected a file that ends in \.csv, .*, got 'log\.xls'\."),
        ("log.mat", "t", r"expected a MATLAB file of version 5, 7 or 7\.3, got other content"),
        ("log.npz", "t", r"log\.npz: expected a whole \.npz file, got a damaged one"),
    ],
)
def test_bad_logs_are_refused_in_one_line(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message) as refused:
        log_file.read(write(tmp_path / name, text), ["t", "x"])
    assert "\n" not in str(refused.value)


def test_columns_of_two_recordings_are_refused(tmp_path):
    np.savez(tmp_path / "log.npz", t=np.arange(3.0), x=np.arange(4.0))
    with pytest.raises(InputError, match=r"x: expected 3 samples as in t, got 4\."):
        log_file.read(tmp_path / "log.npz", ["t", "x"])


def test_what_duet_says_at_the_end_is_a_remark(tmp_path):
    text = (
        "Sample,Timestamp,Measured Motor Steps,Target Motor Steps\n"
        "0,12.00,0.25,0.00\n1,13.00,0.50,1.00\nBuffer overflowed\n"
    )
    path = write(tmp_path / "duet.csv", text)
    layout = log_file.layout_of("duet", path)
    log = log_file.read(path, [layout.time, *layout.axes[0][1:]])
    assert log.remarks == ("line 4: Buffer overflowed",)
    assert layout.time_unit_s == 1e-3
    np.testing.assert_array_equal(log.columns[layout.axes[0].actual], [0.25, 0.5])


def test_halsampler_has_pairs_of_pins_and_perhaps_a_tag(tmp_path):
    plain = write(tmp_path / "plain.txt", "1.0 1.1 2.0 2.1\n1.0 1.1 2.0 2.1\n")
    layout = log_file.layout_of("halsampler", plain)
    assert layout.axes == (("x", "1", "2"), ("y", "3", "4"))
    assert (layout.time, layout.log_rate_hz) == (None, 1000.0)
    tagged = write(tmp_path / "tagged.txt", "7 1.0 1.1\n8 1.0 1.1\n")
    layout = log_file.layout_of("halsampler", tagged)
    assert (layout.axes, layout.time, layout.time_unit_s) == ((("x", "2", "3"),), "1", 1e-3)


def test_sinumerik_axes_are_numbered(tmp_path):
    header = "CYCLE,DES_POS|1,DES_POS|2,ENC_POS|1,ENC_POS|2,LOAD|1\n"
    layout = log_file.layout_of("sinumerik", write(tmp_path / "hf.csv", header + "1,0,0,0,0,0\n"))
    assert [axis.name for axis in layout.axes] == ["x", "y"]
    assert layout.axes[1] == ("y", "DES_POS|2", "ENC_POS|2")
    assert (layout.time, layout.time_unit_s) == ("CYCLE", 2e-3)


def test_other_formats_and_other_files_are_refused(tmp_path):
    path = write(tmp_path / "log.csv", "t,x\n0,1\n")
    with pytest.raises(InputError, match="--format: expected one of duet, halsampler"):
        log_file.layout_of("marlin", path)
    with pytest.raises(InputError, match=r"a log of the format emps, got the columns t, x\."):
        log_file.layout_of("emps", path)


def test_arrays_that_claim_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXCORR_MOST_MIB", "1")
    np.savez_compressed(tmp_path / "log.npz", t=np.zeros(300_000), x=np.zeros(300_000))
    with pytest.raises(InputError, match="at most 1 MiB in memory, got 5 MiB"):
        log_file.read(tmp_path / "log.npz", ["t", "x"])
