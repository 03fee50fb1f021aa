"""MATLAB files of any version are read by name; what is no column of numbers stops nobody."""

import fcntl
import os
import re
import struct
import time
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
from toy import circle

from jaxcorr import files
from jaxcorr.data import mat_file, trace
from jaxcorr.errors import InputError

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array_of(number, sides, name, *parts, flags=0):
    head = element(6, struct.pack("<II", number | flags, 0))
    head += element(5, struct.pack(f"<{len(sides)}i", *sides)) + element(1, name)
    return element(14, head + b"".join(parts))


def object_of(name, kind):
    """What MATLAB writes in the place of an object, such as a string or a timetable."""
    mark = np.array([0xDD000000, 2, 1, 1, 1, 1], np.uint32).tobytes()
    texts = [element(1, text) for text in (name, b"MCOS", kind)]
    flags = element(6, struct.pack("<II", 17, 0))
    return element(14, flags + b"".join(texts) + array_of(13, (6, 1), b"", element(6, mark)))


def write_v7(path, *arrays):
    packed = [zlib.compress(array) for array in arrays]
    path.write_bytes(HEADER + b"".join(struct.pack("<II", 15, len(p)) + p for p in packed))
    return path


def struct_of(fields):
    names = b"".join(name.encode().ljust(32, b"\0") for name in fields)
    parts = (element(5, struct.pack("<i", 32)), element(1, names), *fields.values())
    return array_of(2, (1, 1), trace.STRUCT.encode(), *parts)


def column(values):
    values = np.asarray(values, float)
    return array_of(6, (len(values), 1), b"", element(9, values.tobytes()))


def write_hdf5(path, block=512, **others):
    with h5py.File(path, "w", userblock_size=block) as file:
        group = file.create_group(trace.STRUCT)
        for name, values in circle(20).items():
            group[name] = values.reshape(1, -1)
        for name, (values, kind, is_object) in others.items():
            group[name] = values
            group[name].attrs["MATLAB_class"] = np.bytes_(kind)
            if is_object:
                group[name].attrs["MATLAB_object_decode"] = np.int32(3)
    return path


def refusal(path):
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        trace.read(path)
    assert time.monotonic() - began < 2.0
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_other_fields_of_any_class_are_left_out_and_named(tmp_path):
    fields = {name: column(values) for name, values in circle(20).items()}
    fields |= {"when": object_of(b"", b"datetime"), "list": array_of(1, (1, 0), b"")}
    fields |= {"code": array_of(4, (1, 2), b"", element(16, b"ab")), "none": element(14, b"")}
    fields |= {"bed": column([220.0, 220.0]), "layer_num": column([3])}
    found = trace.read(write_v7(tmp_path / "a.mat", struct_of(fields)))
    assert set(found.fields) == {*circle(), "layer_num"}
    kinds = {"when": "datetime object", "list": "1x0 cell", "code": "str", "bed": "2 values"}
    assert found.left_out == kinds
    mark = np.array([[0xDD000000, 2, 1, 1, 1, 1]], np.uint32)
    others = {"part": (mark, "string", True), "bed": (np.zeros((2, 1)), "double", False)}
    found = trace.read(write_hdf5(tmp_path / "b.mat", **others), ("time", "x_ref"))
    assert set(found.fields) == {"time", "x_ref"}
    assert found.left_out["part"] == "string object"
    assert found.left_out["bed"] == "1x2 double"


def test_a_struct_with_a_cell_is_none_of_several_structs(tmp_path):
    path = write_hdf5(tmp_path / "cell.mat")
    with h5py.File(path, "a") as file:
        cell = file[trace.STRUCT].create_dataset("a_cell", (2, 1), h5py.ref_dtype)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        params = file[trace.STRUCT].create_group("params")
        params["source"] = np.frombuffer("Größe 1".encode("utf-16-le"), "<u2").reshape(-1, 1)
        params["source"].attrs["MATLAB_class"] = np.bytes_("char")
    found = trace.read(path)
    assert set(found.fields) == {*circle()}
    assert found.left_out == {"a_cell": "cell"}
    assert found.params == {"source": "Größe 1"}
    with h5py.File(path, "w") as file:  # of several structs MATLAB's fields have no class
        file.create_dataset(f"{trace.STRUCT}/time", (2, 1), h5py.ref_dtype)
    assert "got simulation_data struct array. Save the trace" in refusal(path)


def test_numbers_of_any_class_and_order_are_read(tmp_path):
    for order, mark in (("<", b"IM"), (">", b"MI")):
        values = np.array([1, 2, 3], f"{order}u1")
        parts = [struct.pack(f"{order}II", 6, 8) + struct.pack(f"{order}II", 6, 0)]
        parts += [struct.pack(f"{order}IIii", 5, 8, 3, 1)]
        parts += [struct.pack(f"{order}I", 1 << 16 | 1) + b"n\0\0\0"]  # a small element
        parts += [struct.pack(f"{order}I", 3 << 16 | 2) + values.tobytes() + b"\0"]
        body = b"".join(parts)
        version = struct.pack(f"{order}H", 0x0100)
        path = tmp_path / f"{mark.decode()}.mat"
        path.write_bytes(
            b"other text".ljust(124)
            + version
            + mark
            + struct.pack(f"{order}II", 14, len(body))
            + body
        )
        found = mat_file.read(path, lambda _, names: names).values["n"]
        np.testing.assert_array_equal(found, [1.0, 2.0, 3.0])
        assert found.dtype == np.float64


def test_a_block_of_the_users_in_front_of_hdf5_is_passed(tmp_path):
    for block in (0, 512, 1024, 4096):
        path = write_hdf5(tmp_path / f"{block}.mat", block)
        np.testing.assert_array_equal(trace.read(path).fields["x_ref"], circle(20)["x_ref"])


def test_nothing_that_is_all_but_empty_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LITTLE_BYTES", 1 << 20)
    zeros = array_of(6, (10**6, 1), b"error_x", element(9, bytes(8 * 10**6)))
    path = write_v7(tmp_path / "a.mat", struct_of({"error_x": zeros}))
    said = (
        r"expected at most 1 MiB of what is packed more than 100-fold, got 7 MiB\. If it is to be"
    )
    assert re.match(said, refusal(path))
    path = write_hdf5(tmp_path / "b.mat")
    with h5py.File(path, "a") as file:  # one value, for which a whole chunk is unpacked
        packed = file[trace.STRUCT].create_dataset(
            "extra", (1,), maxshape=(None,), chunks=(10**6,), dtype="f8", compression="gzip"
        )
        packed[0] = 1.0
    assert re.match(f"extra: {said}", refusal(path))


def test_each_reason_is_called_what_it_is(tmp_path):
    table = write_v7(tmp_path / "table.mat", object_of(trace.STRUCT.encode(), b"timetable"))
    assert "got simulation_data timetable object. Save the trace" in refusal(table)
    scipy.io.savemat(tmp_path / "4.mat", {"x": np.ones(3)}, format="4")
    assert "got one of version 4. Save it with" in refusal(tmp_path / "4.mat")
    (tmp_path / "text.mat").write_text("# Created by Octave 7.3.0\n# name: x\n")
    assert "got a text file of Octave's. Save it" in refusal(tmp_path / "text.mat")
    with h5py.File(tmp_path / "octave.mat", "w") as file:
        file.create_group("x").attrs["OCTAVE_NEW_FORMAT"] = np.uint8(1)
    assert "got HDF5 of Octave's own form. Save it with Octave's save -v7." in refusal(
        tmp_path / "octave.mat"
    )
    with write_hdf5(tmp_path / "open.mat").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as a program that writes it has it
        assert "got one that is open elsewhere. Close it there" in refusal(tmp_path / "open.mat")
    (tmp_path / "folder.mat").mkdir()
    assert refusal(tmp_path / "folder.mat").startswith("expected a readable .mat file, got 'a fold")
    os.mkfifo(tmp_path / "pipe.mat")
    assert "got 'a pipe or a device, no file'" in refusal(tmp_path / "pipe.mat")


def test_nothing_outside_a_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    path = write_hdf5(tmp_path / "a.mat")
    with h5py.File(path, "a") as file:
        group = file[trace.STRUCT]
        del group["x_ref"], group["y_ref"]
        group["x_ref"] = h5py.ExternalLink(str(tmp_path / "pipe"), "x")
        space = h5py.h5s.create_simple((20,))
        stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        stored.set_external(os.fsencode(tmp_path / "pipe"), 0, 160)
        h5py.h5d.create(group.id, b"y_ref", h5py.h5t.NATIVE_DOUBLE, space, stored)
    found = trace.read(path)
    assert found.left_out["x_ref"] == "link to elsewhere"
    assert found.left_out["y_ref"] == "dataset that is stored elsewhere"


def test_what_claims_too_much_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXCORR_MOST_MIB", "1")
    values = array_of(6, (400_000_000, 1), b"", struct.pack("<II", 9, 3_200_000_000))
    claim = write_v7(tmp_path / "claim.mat", struct_of({"time": values}))
    assert "expected at most 1 MiB in memory, got 3,052 MiB" in refusal(claim)
    bomb = struct_of({"notes": column(np.zeros(300_000)), "time": column([0.0])})
    assert "set JAXCORR_MOST_MIB to more" in refusal(write_v7(tmp_path / "bomb.mat", bomb))
    with h5py.File(tmp_path / "wide.mat", "w") as file:
        file.create_dataset(f"{trace.STRUCT}/time", (10**9,), "f4", compression="gzip")
    assert "got 7,629 MiB" in refusal(tmp_path / "wide.mat")
    with h5py.File(tmp_path / "chunk.mat", "w") as file:
        chunks = {"maxshape": (None,), "chunks": (10**8,), "compression": "gzip"}
        file.create_dataset(f"{trace.STRUCT}/time", (2,), "f8", **chunks)
    assert "got 763 MiB" in refusal(tmp_path / "chunk.mat")
    with h5py.File(tmp_path / "claim.mat", "w") as file:
        file.create_dataset(f"{trace.STRUCT}/time", (10**5,), "f8", chunks=True)
    assert "damaged one (/simulation_data/time claims 100,000 values and holds none)" in refusal(
        tmp_path / "claim.mat"
    )


def test_more_names_than_a_trace_has_are_refused_at_once(tmp_path):
    most = mat_file.MOST_NAMES
    one = {f"f{number}": element(14, b"") for number in range(most + 1)}
    said = "expected at most 1,000 variables and fields, got more. Save only those that are needed."
    assert refusal(write_v7(tmp_path / "fields.mat", struct_of(one))) == said
    many = [array_of(1, (1, 0), b"other")] * (most + 1)
    assert refusal(write_v7(tmp_path / "variables.mat", *many)) == said
    with h5py.File(tmp_path / "loop.mat", "w") as file:
        group = file.create_group(trace.STRUCT)
        group["time"] = np.zeros(2)
        group["params"] = group  # ends where structs in structs do
    assert set(trace.read(tmp_path / "loop.mat").fields) == {"time"}
    with h5py.File(tmp_path / "loop.mat", "a") as file:
        for name in "abcd":  # 4 to the 19th ways
            file[trace.STRUCT][name] = file[trace.STRUCT]
    assert refusal(tmp_path / "loop.mat") == said
    with h5py.File(tmp_path / "links.mat", "w") as file:
        inner = file.create_group(trace.STRUCT)
        for number in range(most + 1):
            inner[f"f{number}"] = h5py.SoftLink("/")
    assert refusal(tmp_path / "links.mat") == said
    with h5py.File(tmp_path / "links.mat", "a") as file:  # what nobody needs may have any number
        file.move(trace.STRUCT, "other")
        file[f"{trace.STRUCT}/time"] = np.zeros(2)
    assert set(trace.read(tmp_path / "links.mat").fields) == {"time"}
