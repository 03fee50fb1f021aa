"""The command `export`. Arguments in, a checked folder and its summary out."""

import json
from pathlib import Path

from jaxcorr.cli.options import JsonOption, RunArgument, RunsOption, TracesOption


def export(
    run: RunArgument,
    runs: RunsOption = Path("runs"),
    traces: TracesOption = [],
    as_json: JsonOption = False,
) -> None:
    """Writes a run's model as ONNX, StableHLO, C and for MATLAB, each checked on whole traces."""
    from jaxcorr.training import run_folder as run_folders

    found = run_folders.find(run, runs)
    from jaxcorr.cli import console, console_export
    from jaxcorr.deploy import export
    from jaxcorr.training import experiment, path_first, restore

    loaded = restore.load_weights(found)
    if not loaded.is_finished:
        best = path_first.name_best(loaded.spec, loaded.best_epoch)
        console.err.print(f"training has not ended; using its best so far, {best}")
    samples = experiment.test_samples(found, loaded.spec, traces)
    manifest = export.export(found, loaded, samples)
    if as_json:
        print(json.dumps(manifest | {"folder": str(found.export)}))
    else:
        console_export.show_export(found.export, manifest)
