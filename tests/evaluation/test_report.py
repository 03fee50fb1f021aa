"""The report: whole or not at all, self-contained, complete as far as the figures go."""

import errno
import html.parser
import os
from pathlib import Path

import pytest

from jaxcorr import plotting
from jaxcorr.errors import InputError
from jaxcorr.evaluation import report
from jaxcorr.training import run_folder
from jaxcorr.training.run_folder import Run

FIGURES = [
    "trajectory_comparison",
    "per_axis_error",
    "error_distribution",
    "error_correlation",
    "spectrum",
    "residual_vs_speed",
    "error_heatmap",
    "worst_moments",
    "training_curves",
]
SECTIONS = [
    "baselines",
    "training",
    "accuracy",
    "figures",
    "breakdown",
    "realtime",
    "limits",
    "spec",
]


class Page(html.parser.HTMLParser):
    """What a page holds: tags with their attributes, and its text."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def quick(monkeypatch):
    """One figure in place of nine."""
    monkeypatch.setattr(
        report,
        "_drawings",
        lambda _tracks, rows: [lambda: report.error_figures.training_curves(rows)],
    )


def test_the_folder_holds_the_page_and_each_figure_in_three_forms(judged, built):
    assert built == judged[0].path / "report" / "index.html"
    expected = ["index.html", *(f"{name}{end}" for name in FIGURES for end in plotting.FORMATS)]
    assert sorted(os.listdir(built.parent)) == sorted(expected)
    leftovers = [name for name in os.listdir(judged[0].path) if name.startswith(".report")]
    assert leftovers == []
    assert built.stat().st_size < 3_000_000


def test_the_page_needs_nothing_but_itself(built):
    page = Page(built)
    assert not page.all("script")
    images = page.all("img")
    assert len(images) == len(FIGURES)
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in images)
    links = [value for _, attrs in page.tags for key, value in attrs.items() if key == "href"]
    assert links == ["data:,"]
    style = built.read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_can_be_read_without_seeing_it(judged, built):
    page = Page(built)
    assert page.all("html")[0]["lang"] == "en"
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert {cell["scope"] for cell in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table")) >= 5
    assert judged[0].id in page.text


def test_the_page_says_what_was_found(judged, built):
    run, evaluation, samples, _ = judged
    page = Page(built)
    assert [one["id"] for one in page.all("section")] == SECTIONS
    assert [one["id"] for one in page.all("figure")] == FIGURES
    text = " ".join(page.text.split())
    first = report.wording.typeset(report.wording.standing(evaluation.verdict))
    assert text.split(run.id)[2].startswith(f" {first}")  # after the title and the heading
    assert report.wording.typeset(report.wording.recommendation(evaluation)) in text
    assert f"R² {report.wording.ratio(evaluation.test.overall.r2)}" in text
    assert "1 test trace that it was not trained on" in text
    assert samples.names[0].rsplit("/")[-1] in text
    assert (run.resolved().git_commit or "").rstrip("+") in text
    assert "20 calls after warm-up" in text
    assert "window = 20" in text  # the spec as given


@pytest.mark.usefixtures("quick")
def test_a_run_without_velocities_or_history_gets_a_page_of_what_it_has(judged):
    run, evaluation, samples, predicted = judged
    less = evaluation.model_copy(update={"breakdown": {}, "dynamic": None, "window": None})
    history = run.history.read_text()
    try:
        run.history.unlink()
        page = Page(report.build(run, less, samples, predicted, "less"))
    finally:
        run.history.write_text(history)
    sections = [one["id"] for one in page.all("section")]
    assert sections == [name for name in SECTIONS if name != "breakdown"]
    assert not page.all("figure")
    assert "0 of at most" in page.text


@pytest.mark.usefixtures("quick")
def test_a_sentence_is_no_markup(judged):
    run, evaluation, samples, predicted = judged
    intervals = evaluation.intervals.model_copy(update={"method": "of <nothing> & all"})
    other = evaluation.model_copy(update={"intervals": intervals})
    page = Page(report.build(run, other, samples, predicted, "sentence"))
    assert "Intervals: of <nothing> & all" in page.text


@pytest.mark.usefixtures("quick")
def test_a_new_report_replaces_the_old_one_whole(judged):
    folder = judged[0].path / "twice"
    folder.mkdir()
    (folder / "of an older version").touch()
    report.build(*judged, "twice")
    assert sorted(os.listdir(folder)) == [
        "index.html",
        "training_curves.pdf",
        "training_curves.png",
        "training_curves.svg",
    ]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("when", ["drawing", "naming"])
def test_a_full_disk_is_one_line_and_the_old_report_stays(judged, monkeypatch, when):
    run = judged[0]
    folder = run.path / f"kept {when}"
    folder.mkdir()
    (folder / "index.html").write_text("old")
    before = sorted(os.listdir(run.path))
    rename = Path.rename

    def fail(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail_partial(path, target):
        return fail() if path.suffix == ".partial" else rename(path, target)

    if when == "drawing":
        monkeypatch.setattr(report.plotting, "save", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail_partial)
    with pytest.raises(InputError, match=r"got 'No space left on device'\. Make room") as refusal:
        report.build(*judged, folder.name)
    assert "\n" not in str(refusal.value)
    assert (folder / "index.html").read_text() == "old"
    assert sorted(os.listdir(run.path)) == before


def test_an_interrupted_build_leaves_the_old_report(judged, monkeypatch):
    folder = judged[0].path / "stopped"
    folder.mkdir()
    (folder / "index.html").write_text("old")

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "_draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        report.build(*judged, "stopped")
    assert (folder / "index.html").read_text() == "old"
    assert not [name for name in os.listdir(judged[0].path) if name.endswith(".partial")]


def test_a_spec_in_other_letters_is_shown_and_an_altered_history_refused(tmp_path):
    run = Run(tmp_path)
    (tmp_path / "spec.toml").write_bytes(b"# 5 \xb5m")
    assert report._spec_text(run) == "# 5 \ufffdm"
    report.refuse_altered(run)
    run.history.write_text("[]\n")
    with pytest.raises(InputError, match=r"history\.jsonl:1: expected"):
        report.refuse_altered(run)


def test_a_run_that_is_not_there_is_refused(judged, tmp_path):
    with pytest.raises(InputError, match="expected a readable file"):
        report.build(Run(tmp_path), *judged[1:])
    assert run_folder.list_all(tmp_path) == []
