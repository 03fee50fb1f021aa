"""What a new user tries in the first hour at the shell, and what has to come.

Tried by hand besides, on a path with spaces and other letters, and found good or mended: folders
that cannot be written (every command that writes: one line, exit code 2), no git, no Octave and no
C compiler (said in the run and in the export), no GPU, no PyTorch, a terminal of 60 columns (tables
go on below), G-code of 100 MB (`plan` 11 s of CPU and 1.3 GB, three layers simulated in 0.9 GB,
Ctrl-C within 0.4 s), Ctrl-C at 19 moments of the first nine seconds of a training.
"""

import gzip
import json
import os
import signal
import subprocess
import sys

import numpy as np
import oscillator
import pytest
import scipy.io
import toy
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.markup import escape

from jaxcorr import interrupts
from jaxcorr.cli import app, console
from jaxcorr.cli import options as cli_options
from jaxcorr.data import trace
from jaxcorr.training import run_folder

HEAVY = {"jax", "flax", "torch", "matplotlib", "onnx", "h5py", "orbax", "optuna", "grain"}
NUMBERS = {"numpy", "scipy"}
GCODE = "G28\nG1 Z0.2 F600\nG1 X10 Y5 F600 E1\nG1 X20 E2\n"


def start(*argv, **options):
    """Runs `python -m jaxcorr ARGV` as a process of its own."""
    command = [sys.executable, "-m", "jaxcorr", *map(str, argv)]
    options = {"capture_output": True} | options
    return subprocess.run(command, text=True, timeout=60, check=False, **options)


# What loads, since that is what a command's first second goes to.


@pytest.mark.parametrize(
    ("argv", "unwanted", "code"),
    [
        (["--help"], HEAVY | NUMBERS | {"pydantic", "rich"}, 0),
        (["simulate", "--help"], HEAVY | NUMBERS | {"rich"}, 0),
        (["runs"], HEAVY | NUMBERS, 0),
        (["plan", "standard_trajectory"], HEAVY, 0),
        (["eval", "no-such-run"], HEAVY | NUMBERS, 2),
        (["train", "no-such.toml"], HEAVY | NUMBERS, 2),
        (["simulate", "no-such-part"], HEAVY | NUMBERS, 2),
        (["bench", "step", "--size", "huge"], HEAVY, 2),
    ],
)
def test_a_command_loads_what_it_needs(argv, unwanted, code, tmp_path):
    wrapped = (
        "import sys\n"
        "from jaxcorr.__main__ import main\n"
        f"sys.argv[1:] = {argv}\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=open('loaded', 'w'))\n"
    )
    done = subprocess.run([sys.executable, "-c", wrapped], cwd=tmp_path, capture_output=True)
    assert done.returncode == code, done.stderr
    loaded = set((tmp_path / "loaded").read_text().split())
    assert "jaxcorr.cli.app" in loaded
    assert loaded & unwanted == set()


def test_help_lists_every_command_with_a_whole_sentence():
    said = start("--help", env=os.environ | {"COLUMNS": "60"}).stdout
    assert max(map(len, said.splitlines())) <= 60
    listed = " ".join(said.partition("Commands:")[2].split())
    for name, command in typer.main.get_command(app.app).commands.items():
        assert f"{name} {(command.help or '').splitlines()[0]}" in listed


# Own trace files.


def bad_traces(folder):
    """Name -> what `inspect` says of it."""
    good = oscillator.make_layer(np.random.default_rng(0), 300)
    path = folder / "data_simulation_toy_all" / "good.mat"
    trace.write(path, good, {})
    whole = path.read_bytes()
    holes = good["error_x"].copy()
    holes[100:103] = np.nan

    def write(name, columns, struct=trace.STRUCT):
        scipy.io.savemat(path.parent / name, {struct: {k: v[:, None] for k, v in columns.items()}})

    write("wrong_struct.mat", good, "sim")
    write("wrong_field.mat", {k.replace("error_", "error"): v for k, v in good.items()})
    write("wrong_rate.mat", good | {"time": good["time"] / 2})
    write("holes.mat", good | {"error_x": holes})
    write("micrometres.mat", good | {"error_x": 1e6 * good["error_x"]})
    (path.parent / "half.mat").write_bytes(whole[: len(whole) // 2])
    (path.parent / "text.mat").write_text("time,x,y\n0,1,2\n")
    (path.parent / "empty.mat").write_bytes(b"")
    (path.parent / "v73.mat").write_bytes(b" " * 512 + b"\x89HDF\r\n\x1a\n" + bytes(100))
    return {
        "wrong_struct.mat": "expected one struct 'simulation_data', got sim",
        "wrong_field.mat": "expected field 'error_x' in simulation_data, got only",
        "wrong_rate.mat": "time: expected 100 Hz +-1%, got 200 Hz",
        "holes.mat": "error_x: expected finite values, got 3 NaN (first at sample 101)",
        "micrometres.mat": "error_x: expected at most 10 mm",
        "half.mat": "expected a whole .mat file, got a damaged one",
        "text.mat": "expected a MATLAB file of version 5, 7 or 7.3, got other content (15 bytes)",
        "empty.mat": "got an empty file",
        "v73.mat": "expected a whole .mat file, got a damaged one",
    }


def test_every_bad_trace_gets_its_own_line_and_stops_no_other(run, tmp_path):
    said = bad_traces(tmp_path)
    code, out, err = run("inspect", tmp_path / "data_simulation_toy_all")
    assert (code, err) == (2, "")
    for name, problem in said.items():
        (line,) = (one for one in out.splitlines() if f"{name}: " in one)
        assert problem in line
    assert f"1 of {len(said) + 1} files can be trained on, 300 samples" in out


@pytest.mark.parametrize("name", ["my data", "Mäßdåten", "data [2]", "[red]"])
def test_any_name_of_a_folder_will_do(run, layers, tmp_path, name):
    (first, *_) = trace.find([layers])
    folder = tmp_path / name
    folder.mkdir()
    (folder / "layer.mat").write_bytes(first.read_bytes())
    for pattern in (folder, folder / "layer.mat", folder / "*.mat"):
        code, out, _ = run("inspect", pattern)
        assert code == 0
        assert f"/{name}\n" in out.splitlines(keepends=True)[0]
        assert "layer.mat" in out
    (folder / "part.gcode").write_text(GCODE)
    code, out, err = run("plan", folder / "part.gcode")
    assert code == 0
    assert f"{folder}/part.gcode: your own file" in err


# Own G-code.


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.gcode", b"", "expected at least one move, got an empty file."),
        ("notes.gcode", b"; nothing\n", "expected at least one move, got 1 lines without one."),
        ("page.gcode", b"<html>404</html>", "expected at least one move, got 1 lines without one."),
        ("part.bgcode", b"GCDE\1\0\0\0", "part.bgcode: expected 10 bytes more, got the end"),
        (
            "wide.gcode",
            GCODE.encode("utf-16"),
            "expected G-code as text, got UTF-16 text.",
        ),
        ("cubic.gcode", b"G28\nG18\nG2 X1 I1\n", "cubic.gcode:2: expected"),
        ("far.gcode", b"G28\nG1 X99999 F600\n", "far.gcode:2: expected X within +-10000 mm"),
        ("cut.gcode.gz", gzip.compress(GCODE.encode(), mtime=0)[:30], "Compressed file ended"),
        ("long.gcode", b"G1 X1 " * 200_000, "expected a line of at most 1048576 characters"),
    ],
)
def test_bad_gcode_is_one_line(run, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    for command in (("plan",), ("simulate", "--out", tmp_path / "out")):
        code, out, err = run(*command, tmp_path / name)
        assert (code, out) == (2, "")
        assert said in err.splitlines()[-1]
        assert "Traceback" not in err
    assert not list(tmp_path.glob("out/*/*"))


# Terminals, pipes and disks.


@given(
    st.lists(
        st.lists(st.text("ab[]9 .", min_size=1, max_size=14), min_size=5, max_size=5), max_size=4
    ),
    st.integers(40, 200),
)
def test_a_table_is_whole_at_any_width(rows, width):
    names = ("file", "samples", "peak mm/s", "RMS x um", "verdict")
    shown = Console(width=width, soft_wrap=True, highlight=False)
    with shown.capture() as capture:
        shown.print(console.table("title", names, [[escape(cell) for cell in row] for row in rows]))
    lines = capture.get().splitlines()
    assert all(len(line) <= width for line in lines)
    for i, name in enumerate(names):
        # Each column stands somewhere in one piece, under its name.
        (head,) = (at for at, line in enumerate(lines) if name in line) if i else (1,)
        for offset, row in enumerate(rows, 1):
            assert row[i].strip() in lines[head + offset]


def test_a_long_name_in_a_narrow_table_is_broken_between_its_words():
    shown = Console(width=40)
    cells = [["data_simulation_boat/layer01_p30.mat", "1,024"], ["x" * 24, "7"]]
    with shown.capture() as capture:
        shown.print(console.table("", ("file", "samples"), cells))
    lines = [line.split() for line in capture.get().splitlines()[1:]]
    assert lines[:2] == [["data_simulation_", "1,024"], ["boat/layer01_p30.mat"]]
    assert lines[2:] == [["x" * 20, "7"], ["x" * 4]]


def test_piped_output_is_clean_and_separate(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "part.gcode").write_text(GCODE)
    code, out, err = run("simulate", "part.gcode", "--layers", "1", "--json")
    # The layer has enough samples to train on; that it hardly shakes is said.
    assert code == len(json.loads(out)["problems"])
    assert err == "part.gcode: your own file\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_no_success():
    with open("/dev/full", "w") as full:
        done = start(
            "plan", "standard_trajectory", capture_output=False, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert "got 'No space left on device'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m jaxcorr plan 3dbenchy | head -1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert " s (" in done.stdout
    assert "Traceback" not in done.stderr


def test_names_that_are_no_utf_8_are_refused_before_anything(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["jaxcorr", "train", os.fsdecode(b"specs/\xff.toml")])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    assert "expected arguments in UTF-8, got 'specs/\\udcff.toml'." in capsys.readouterr().err


# Completion.


def test_runs_specs_and_parts_complete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("20260101-000000-a", "20260102-000000-b", toy.NASTY):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "resolved.json").write_text("{}")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "mine.toml").write_text("")
    completed = {
        "jaxcorr tra": ["train"],
        "jaxcorr eval ": [run_folder.LATEST, "20260102-000000-b", "20260101-000000-a"],
        "jaxcorr eval 20260101": ["20260101-000000-a"],
        "jaxcorr train ": ["specs/mine.toml"],
        "jaxcorr plan be": ["bearing5"],
        "jaxcorr bench st": ["step"],
    }
    for words, wanted in completed.items():
        place = str(len(words.split(" ")) - 1)
        asked = {"COMP_WORDS": words, "COMP_CWORD": place, "_JAXCORR_COMPLETE": "complete_bash"}
        assert start(env=os.environ | asked).stdout.split() == wanted, words
    assert not (tmp_path / "hacked").exists()
    assert cli_options.complete_part("x") == []


# Ctrl-C.


@pytest.mark.parametrize(
    ("body", "code", "printed"),
    [
        ("import swallows", 130, ""),
        ("try:\n    send()\nexcept KeyboardInterrupt:\n    print('mine')", 0, "mine\n"),
        (
            "import gc\ndef _xla_gc_callback(*_):\n    gc.callbacks.clear()\n    send()\n"
            "gc.callbacks.append(_xla_gc_callback)\n"
            "try:\n    gc.collect()\n    import time\n    time.sleep(9)\n"
            "except KeyboardInterrupt:\n    print('mine')",
            0,
            "mine\n",
        ),
    ],
)
def test_ctrl_c_ends_an_import_at_once(tmp_path, body, code, printed):
    send = "import os, signal\ndef send():\n    os.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "sender.py").write_text(send)
    swallows = "from sender import send\ntry:\n    send()\nexcept BaseException:\n    pass\n"
    (tmp_path / "swallows.py").write_text(swallows)
    begin = (
        "import signal\n"
        "from jaxcorr import interrupts\n"
        "from sender import send\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "interrupts.watch()\n"
    )
    command = [sys.executable, "-c", begin + body]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, printed), done.stderr


@pytest.mark.parametrize(("late", "code"), [("print(2)", 7), ("os.kill(os.getpid(), 2)", 130)])
def test_a_command_hears_ctrl_c_to_its_end(late, code):
    body = (
        "import atexit, os, sys, types\n"
        "from jaxcorr import __main__, cli, interrupts\n"
        "from jaxcorr.cli.app import leave\n"
        "def main():\n"
        "    interrupts.end()\n"
        f"    atexit.register(lambda: {late})\n"
        "    print(1)\n"
        "    sys.exit(7)\n"
        "cli.app = sys.modules['jaxcorr.cli.app'] = types.SimpleNamespace(main=main, leave=leave)\n"
        # Python destroys what is left of a module last of all; here there is no such last.
        "last = type('Last', (), {'__del__': lambda self: print(3)})()\n"
        "__main__.main()"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert code == 130 or done.stdout == "1\n2\n"


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.watch()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
