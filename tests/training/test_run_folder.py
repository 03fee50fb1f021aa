"""Run folders: made once, found by any name that is meant, files whole or not there."""

import datetime
import json
import os
import subprocess

import evaluations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr import files, spec
from jaxcorr.errors import InputError
from jaxcorr.training import locks, run_folder
from jaxcorr.training.run_folder import Run


def made(folder, *names):
    found = []
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "resolved.json").write_text("{}")
        found.append(Run(folder / name))
    return found


def fill(folder):
    (folder / "resolved.json").write_text("{}")


def test_two_runs_of_one_second_get_two_folders(tmp_path):
    made_runs = [run_folder.create(tmp_path / "runs", "a b/c", fill) for _ in range(3)]
    assert len({run.id for run in made_runs}) == 3
    assert all(run_folder.is_run(run.path) and "-a-b-c" in run.id for run in made_runs)
    assert run_folder.create(tmp_path, "", fill).id.endswith("-run")


def test_a_run_that_is_being_made_is_none_and_a_killed_one_goes_with_the_next(tmp_path):
    killed = tmp_path / f".20260101-000000-a.{files.HOST}.999999999.partial"
    made(tmp_path, killed.name)

    def look(folder):
        assert not killed.exists()
        fill(folder)
        assert run_folder.list_all(tmp_path) == []

    run = run_folder.create(tmp_path, "a", look)
    assert list(tmp_path.iterdir()) == [run.path]


@pytest.mark.parametrize("name", ["..", "../../x", "/etc", "a\nb", "ünï"])
def test_no_name_leaves_the_folder(tmp_path, name):
    assert run_folder.create(tmp_path, name, fill).path.resolve().parent == tmp_path


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    rule = r"expected a folder that can be made, got 'Not a directory'\. Choose another with --runs"
    with pytest.raises(InputError, match=rule):
        run_folder.create(tmp_path / "file", "a", fill)


def test_a_run_is_found_by_path_id_start_and_latest(tmp_path, monkeypatch):
    first, second = made(tmp_path / "runs", "20260101-000000-b", "20260102-000000-a")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "20270101-000000-unfinished").mkdir()
    for text in (str(first.path), f"runs/{first.id}", first.id, "20260101", "runs/20260101"):
        assert run_folder.find(text).path.resolve() == first.path
    with pytest.raises(InputError, match="latest: expected a run with a model, got 2 without"):
        run_folder.find("latest")
    for run in (first, second):
        (run.checkpoints / "7").mkdir(parents=True)
        for text in ("latest", "runs/latest", str(tmp_path / "runs" / "latest")):
            assert run_folder.find(text).path.resolve() == run.path
    assert run_folder.find("latest", tmp_path / "runs") == second
    assert run_folder.list_all(tmp_path / "runs") == [first, second]
    assert run_folder.list_all(tmp_path / "nowhere") == []
    # The link is for shells; what `latest` means does not hang on it.
    for run in (second, first):
        run_folder.point_latest(run)
    assert (tmp_path / "runs" / "latest").resolve() == first.path
    assert run_folder.find("runs/latest").path.resolve() == second.path
    assert run_folder.list_all(tmp_path / "runs") == [first, second]


def test_a_run_that_leads_elsewhere_or_holds_a_pipe_is_refused(tmp_path):
    (run,) = made(tmp_path / "runs", "20260101-000000-a")
    (run.path / "own").symlink_to("resolved.json")
    (tmp_path / "alias").symlink_to(run.path)
    assert run_folder.find(str(tmp_path / "alias")).path.resolve() == run.path
    (run.path / "test.npz").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"got a link that leads out of it: test\.npz"):
        run_folder.find(str(run.path))
    (run.path / "test.npz").unlink()
    (run.path / "tb").mkdir()
    os.mkfifo(run.path / "tb" / "events")
    with pytest.raises(InputError, match="got a pipe or a device: tb/events"):
        run_folder.find(run.id, tmp_path / "runs")


def test_an_id_that_starts_another_is_itself(tmp_path):
    short, _ = made(tmp_path, "20260101-000000-a", "20260101-000000-a-2")
    assert run_folder.find("20260101-000000-a", tmp_path) == short


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026", r"2026: expected one run, got 2 that match: 20260101-000000-a, 20260102-0+-b\. R"),
        ("x", r"x: expected one run, got none\. Runs: 20260101-000000-a, 20260102-000000-b\."),
        ("", r": expected a run folder with resolved\.json, got a folder without\."),
        (
            "nowhere/latest",
            r"nowhere/latest: expected one run, got none\. Runs: none yet; train one",
        ),
    ],
)
def test_no_run_or_several_are_refused(tmp_path, monkeypatch, text, message):
    made(tmp_path, "20260101-000000-a", "20260102-000000-b")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run_folder.find(text, tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "specs").mkdir()
    with pytest.raises(InputError, match=r"specs: expected a run folder with resolved.json, got a"):
        run_folder.find(str(tmp_path / "specs"))


TABLE = evaluations.resolved(
    spec.from_table({"data": {"traces": ["a"]}, "train": {"epochs": 5, "patience": 2}}, "here")
)


def test_a_run_keeps_every_default_as_it_was(tmp_path):
    files.write_json(tmp_path / "resolved.json", TABLE)
    found = Run(tmp_path)
    assert found.spec() == spec.from_table(TABLE["spec"], "here")
    assert found.resolved().model_dump(mode="json") == TABLE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{", "expected JSON, got Invalid JSON: EOF"),
        ("[" * 100_000, "expected JSON, got Invalid JSON: recursion limit"),
        ("[]", "expected an object, got"),
        ({"spec": None}, "expected 'spec' to be an object, got None"),
        ({"num_devices": "2"}, "expected 'num_devices' to be a valid integer, got '2'"),
        ({"num_inputs": 10**12}, "expected 'num_inputs' to be less than or equal to 10000, got 1"),
        ({"split": {"train": []}}, r"expected key 'split\.val', got none"),
        ({"created": "today"}, "expected 'created' to be a valid datetime"),
        ({"machine": {}}, r"expected key 'machine\.system', got none"),
        ({"lr": 1}, "expected known keys, got 'lr'"),
        ({"spec": {"data": {"traces": ["a"]}, "train": {"epochs": "x" * 10**6}}}, "epochs: expect"),
    ],
)
def test_a_key_of_another_type_is_named_in_one_short_line(tmp_path, change, said):
    text = change if isinstance(change, str) else json.dumps(TABLE | change)
    (tmp_path / "resolved.json").write_text(text)
    with pytest.raises(InputError, match=rf"resolved\.json.*{said}") as caught:
        Run(tmp_path).spec()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"resolved\.json: expected a readable file, got 'No such"):
        Run(tmp_path).resolved()


ROW = {name: 1.0 for name in ("train_loss", "train_mae_mm", "grad_norm", "weight_norm")}
ROW |= {"learning_rate": 0.1, "val_mae_mm": 0.5, "val_rmse_mm": 0.6, "val_r2": None}


def row(epoch, **changes):
    return {"epoch": epoch, "step": 10 * epoch} | ROW | changes


@given(st.integers(0, 4), st.integers(0, 30))
def test_rows_survive_a_last_line_cut_short(tmp_path_factory, num_rows, cut):
    run = Run(tmp_path_factory.mktemp("rows"))
    assert run.read_history() == []
    rows = [row(i + 1) for i in range(num_rows)]
    text = "".join(json.dumps(each) + "\n" for each in rows)
    run.history.write_text(text)
    assert run.read_history() == rows
    kept = text[: max(0, len(text) - cut)]
    run.history.write_text(kept)
    found = run.read_history()
    assert found == rows[: len(found)]
    assert len(found) >= kept.count("\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("5", "expected a valid dictionary|expected an object"),
        ('{"epoch": 1}', "expected key 'step', got none"),
        (json.dumps(row(1, val_mae_mm="small")), "expected 'val_mae_mm' to be a valid number, got"),
        (
            json.dumps(row(1, train_loss=float("nan"))),
            "'train_loss' to be a finite number, got nan",
        ),
        ("{", "expected JSON"),
        (json.dumps(row(1) | {"more": "x" * 70_000}), "expected at most 64 KiB, got 68 KiB"),
    ],
)
def test_a_row_of_another_type_is_refused_by_its_line(tmp_path, line, said):
    Run(tmp_path).history.write_text(f"{json.dumps(row(1))}\n{line}\n")
    with pytest.raises(InputError, match=rf"history\.jsonl:2: .*({said})"):
        Run(tmp_path).read_history()


def test_the_machine_is_described_with_versions_and_commit():
    found = run_folder.describe_machine()
    found.model_dump_json()
    assert set(run_folder.PACKAGES) < found.versions.keys()
    assert found.machine.cores >= 1
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    assert (found.git_commit or "").rstrip("+") == head


METRICS = evaluations.TABLE


def make(folder, name, maes, metrics=None):
    made = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)
    path = folder / name
    path.mkdir()
    (path / "resolved.json").write_text(json.dumps(TABLE | {"created": made.isoformat()}))
    rows = [row(i + 1, val_mae_mm=mae) for i, mae in enumerate(maes)]
    (path / "history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    if metrics:
        (path / "metrics.json").write_text(json.dumps(metrics))
    return path


def state(folder):
    (row,) = run_folder.list_runs(folder)
    return row.state


def test_no_folder_has_no_runs(tmp_path):
    assert run_folder.list_runs(tmp_path / "runs") == []


def test_figures_are_those_of_the_runs_own_files(tmp_path):
    make(tmp_path, "20260101-000000-a", [0.5, 0.2, 0.3, 0.4])
    make(tmp_path, "20260102-000000-b", [0.5, 0.2, 0.3], METRICS)
    first, second = run_folder.list_runs(tmp_path)
    assert (first.epochs, first.val_mae_mm, first.test_mae_mm) == (4, 0.2, None)
    assert (second.epochs, second.test_mae_mm, second.test_r2) == (3, 0.002, 0.99)
    assert first.age_s == pytest.approx(7200, abs=60)


def test_a_path_alone_has_a_figure_and_counts_for_patience(tmp_path):
    alone = make(tmp_path, "20260101-000000-a", [])
    later = make(tmp_path, "20260102-000000-b", [0.5, 0.4])
    for path in (alone, later):
        (path / "path_alone.json").write_text(
            '{"val_mae_mm": 0.3, "val_rmse_mm": 0.4, "val_r2": 0.9}'
        )
    first, second = run_folder.list_runs(tmp_path)
    assert (first.epochs, first.val_mae_mm, first.state) == (0, 0.3, "interrupted")
    # Both epochs are no better than the path: out of patience.
    assert (second.epochs, second.val_mae_mm, second.state) == (2, 0.3, "trained")


@pytest.mark.parametrize(
    ("maes", "metrics", "expected"),
    [
        ([], None, "interrupted"),
        ([0.5, 0.4], None, "interrupted"),
        ([0.5, 0.4, 0.4], None, "interrupted"),
        ([0.5, 0.4, 0.4, 0.6], None, "trained"),  # two epochs no better: out of patience
        ([0.5, 0.4, 0.3, 0.2, 0.1], None, "trained"),
        ([0.5, 0.4], METRICS, "evaluated"),
    ],
)
def test_the_state_says_how_far_a_run_came(tmp_path, maes, metrics, expected):
    make(tmp_path, "20260101-000000-a", maes, metrics)
    assert state(tmp_path) == expected


def test_a_run_that_a_process_trains_is_running(tmp_path):
    path = make(tmp_path, "20260101-000000-a", [0.5], METRICS)
    with locks.hold(path / locks.TRAINING):
        assert state(tmp_path) == "running"
    assert state(tmp_path) == "evaluated"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("resolved.json", "{"),
        ("resolved.json", "[]"),
        ("resolved.json", json.dumps(TABLE | {"spec": 5})),
        ("metrics.json", '{"test": {}}'),
        ("metrics.json", '{"test": 5}'),
        ("history.jsonl", '{"epoch": 1}\n'),
        ("history.jsonl", "5\n"),
        ("path_alone.json", '{"val_mae_mm": -1}'),
    ],
)
def test_a_damaged_run_is_called_so_and_hides_no_other(tmp_path, name, content):
    bad = make(tmp_path, "20260101-000000-a", [0.5], METRICS if name == "metrics.json" else None)
    make(tmp_path, "20260102-000000-b", [0.5], METRICS)
    (bad / name).write_text(content)
    assert [row.state for row in run_folder.list_runs(tmp_path)] == ["damaged", "evaluated"]


def test_a_path_that_no_checkpoint_can_have_is_refused(tmp_path):
    for name in ("20260101-000000-a\nb", "20260101-000000-a\\b"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "resolved.json").write_text("{}")
        with pytest.raises(
            InputError, match=r"a path without backslashes and .* Rename the folder"
        ):
            run_folder.find(str(folder))
