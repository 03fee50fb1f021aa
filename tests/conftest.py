"""Shape annotations checked at run time, shared compilations and runs, how thorough the tests are.

With JAXCORR_THOROUGH=1, as continuous integration sets it, processes are killed and texts mutated
more often. Most optimizations of the compiler are left out: they take half of the time of tests
whose programs run for milliseconds.
`--hypothesis-profile=thorough` runs 10,000 cases of every property.
"""

import os

# Threads for small matrices only wait for each other, which takes a processor: 0.5 s for each run
# that is begun. It is read when numpy is loaded, which jaxtyping does.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import gc
import itertools
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings

# Before any test imports them: modules that declare shapes are checked, under pytest only.
ROOT = Path(__file__).parent.parent
SOURCES = (p for p in (ROOT / "jaxcorr").rglob("*.py") if "from jaxtyping" in p.read_text())
SHAPED = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES]
NUMBERS = "beartype.BeartypeConf(is_pep484_tower=True)"  # an int is a float, as for pyright
jaxtyping.install_import_hook(SHAPED, f"beartype.beartype(conf={NUMBERS})")

# One worker takes all of these: what one test has traced and compiled, and the toy's runs and
# reports, are there for the next. They are half of the time; the other worker takes other files.
TOGETHER = (
    "training", "cli", "studies", "evaluation", "deploy", "compensation", "test_survival.py",
    "test_report_browser.py",
)  # fmt: skip

# These take longest, the longest first: begun early, they leave no worker waiting for another.
SLOW = (
    "bench/test_training", "test_survival", "training/test_loop", "test_matlab",
    "studies/test_sweep", "deploy/test_export", "models/test_network", "cli/test_compensate",
    "training/test_hosts", "evaluation/test_error_figures",
    "test_report_browser", "evaluation/test_report", "evaluation/test_evaluate",
    "training/test_experiment", "cli/test_train", "compensation/test_model_map",
    "studies/test_loss_table", "compensation/test_compensator", "training/test_devices",
    "cli/test_app", "test_deployed", "compensation/test_naive",
)  # fmt: skip

settings.register_profile("thorough", max_examples=10_000, deadline=None)
settings.register_profile("quick", max_examples=50, deadline=None)
THOROUGH = os.environ.get("JAXCORR_THOROUGH") == "1"
if not THOROUGH:
    settings.load_profile("quick")
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# XLA's elder emitters take half of the time of the ones that go through MLIR (a toy's training
# 0.5 s, not 1.25 s), and one module of LLVM less than several.
FASTER = "--xla_cpu_parallel_codegen_split_count=1"
if version("jaxlib").startswith("0.10."):  # later ones end the process, which may say nothing
    FASTER += " --xla_cpu_use_fusion_emitters=false"
if FASTER not in os.environ.get("XLA_FLAGS", ""):  # a worker has them from who started it
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FASTER}"

# Some tests train on several devices; a toy's batch of 8 windows stays on one unless told.
os.environ["JAX_NUM_CPU_DEVICES"] = "4"

# What one test, or a process that it starts, has compiled is there for the next: two thirds of the
# time of many. Of several workers all share the folder of the process that started them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="jaxcorr-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{COMPILED.name}/programs"
    # Where Python keeps no bytecode, each worker and process takes 3 to 10 s to compile imports.
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / "build/bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

gc.set_threshold(50_000)  # JAX's many objects live on; looking at them takes 4% of the time


def pytest_collection_modifyitems(items):
    """Puts the slow files first; xdist keeps the order where it is told to."""
    places = {Path(__file__).parent / f"{name}.py": place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path, len(SLOW)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """As `--dist loadfile`, but for files of TOGETHER."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "together" if Path(file).parts[1:2] in {(name,) for name in TOGETHER} else file

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_sessionfinish():
    """Nothing that is left is looked at again: pytest would, five times, for 1 s each."""
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _any_plant_does(request):
    """Unless a module says PLANTS_ARE_FOUND; most look at other things."""
    import toy

    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(request.module, "PLANTS_ARE_FOUND"):
            toy.take_any_plant(patch.setattr)
        yield


@pytest.fixture(scope="session", autouse=True)
def _programs_are_shared():
    """Equal ones, of all tests of a worker."""
    import shared_programs

    shared_programs.share()


@pytest.fixture(scope="session")
def is_thorough():
    """True where many repetitions are asked for, false where a few have to do."""
    return THOROUGH


@pytest.fixture(scope="session")
def layers(tmp_path_factory):
    """The pattern of six traces that can be learned."""
    import oscillator

    return oscillator.write_layers(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="session")
def fitted(layers, tmp_path_factory):
    """A finished toy run with its data, and the events of its training."""
    import oscillator
    import toy

    with pytest.MonkeyPatch.context() as patch:
        toy.take_any_plant(patch.setattr)
        begun = oscillator.begin(layers, tmp_path_factory.mktemp("trained"))
        return begun, oscillator.fit(begun)


@pytest.fixture(scope="session")
def trained(fitted):
    """That run; a test that changes the folder takes a copy."""
    return fitted[0]


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs `jaxcorr ARGV` in this process; returns exit code, stdout and stderr."""
    from jaxcorr.cli import app

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["jaxcorr", *map(str, argv)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(autouse=True)
def _signals_as_python_has_them():
    """Whatever an earlier test did with Ctrl-C, none finds it and none leaves it behind."""

    def reset():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    reset()
    yield
    reset()


@pytest.fixture(scope="session")
def judged(trained, tmp_path_factory):
    """A copy of the toy run under a stranger's name, evaluated; see copies."""
    import copies
    import toy

    # No checkpoint is read below the rest of it.
    name = "".join(filter(str.isprintable, toy.NASTY)).replace("\\", "")
    return copies.judge(trained, tmp_path_factory.mktemp("a folder") / name)


@pytest.fixture(scope="session")
def built(judged):
    """The page of its report, which no test changes."""
    from jaxcorr.evaluation import report

    return report.build(*judged)


@pytest.fixture(scope="session")
def run_apart(tmp_path_factory):
    """Runs `jaxcorr ARGV` in a process of its own; returns exit status and output, see there."""
    import processes

    folder, number = tmp_path_factory.mktemp("processes"), itertools.count()
    yield lambda *argv, **request: processes.run(folder / f"log{next(number)}", *argv, **request)
    processes.stop()
