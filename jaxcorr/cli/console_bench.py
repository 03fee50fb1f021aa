"""What `jaxcorr bench` shows: tables of rates, ratios, latencies and memory; others measure."""

from collections.abc import Sequence
from typing import Any

from jaxcorr.cli.console import number, out, table

RECIPES = {"all": "jaxcorr, all steps", "last": "jaxcorr, last step", "torch": "PyTorch, last step"}
WAYS = {
    "predictor": "Predictor.step",
    "predictor_100_hz": "Predictor.step at 100 Hz",
    "predictor_100_hz_warm": "Predictor.step at 100 Hz after warm()",
    "predictor_1000_hz": "Predictor.step at 1 kHz",
    "predictor_1000_hz_warm": "Predictor.step at 1 kHz after warm()",
    "functional": "functional step",
    "onnxruntime": "onnxruntime, exported step",
    "c_step": "generated C step, by ctypes",
    "torch_eager": "PyTorch window, eager",
    "torch_script": "PyTorch window, TorchScript",
}


def show_machine(machine: dict[str, Any]) -> None:
    """Prints what figures belong to."""
    versions = ", ".join(
        f"{name} {machine['versions'][name]}"
        for name in ("jaxcorr", "jax", "flax", "numpy", "torch")
        if name in machine["versions"]
    )
    out.print(
        f"{machine['machine']['processor']}, {machine['usable_cores']} cores, devices "
        f"{', '.join(machine['devices'])}, load {machine['load_average']:.1f}; Python "
        f"{machine['python']}, {versions}"
    )


def show_compensation(result: dict[str, Any]) -> None:
    """Prints how long layers take offline and blocks take as they go."""
    show_machine(result["machine"])
    rows = []
    for layer in result["layers"]:
        offline, blocks = layer["offline"], layer["blocks"]
        accel = layer["accel_mm_s2"]
        rows.append(
            (
                "as in the file" if accel is None else f"{accel:g}",
                f"{layer['num_samples']:,}",
                number(offline["seconds"], 2),
                f"{offline['num_steps']}, {offline['outcome']}",
                number(blocks["p50_us"] / 1e3, 2),
                number(blocks["p99_us"] / 1e3, 2),
                number(blocks["max_us"] / 1e3, 2),
                number(blocks["block_us"] / 1e3, 0),
                f"{blocks['num_compensated']:,} of {blocks['num_blocks']:,}",
                f"{blocks['num_hurried']}, {blocks['num_late']}",
            )
        )
    columns = (
        "mm/s2",
        "samples",
        "offline s",
        "steps",
        "block p50 ms",
        "p99",
        "max",
        "has ms",
        "compensated",
        "hurried, late",
    )
    out.print(table("", columns, rows))


def show_training(result: dict[str, Any]) -> None:
    """Prints rates and ratios of every size, then the race to PyTorch's accuracy."""
    show_machine(result["machine"])
    rows = [_loop_row(entry, name) for entry in result["throughput"] for name in entry["loops"]]
    columns = (
        "training",
        "parameters",
        "devices",
        "targets/s",
        "x PyTorch",
        "pipeline % alone",
        "in loop",
        "compile s",
    )
    out.print(table("", columns, rows))
    race = result.get("time_to_torch_mae")
    if race is None:
        return
    reached = "was not reached" if race["seconds"] is None else f"took {race['seconds']:.1f} s"
    out.print(
        f"PyTorch ends {race['torch_seconds']:.0f} s ({race['torch_epochs']:.1f} epochs) with a "
        f"validation MAE of {1e3 * race['torch_val_mae_mm']:.2f} um; for jaxcorr that "
        f"[bold]{reached}[/bold], {race['epochs']} epochs"
    )


def _loop_row(entry: dict[str, Any], name: str) -> list[str]:
    kind, *precision = name.split("_")
    loop = entry["loops"][name]
    shares = [loop.get("pipeline_share_alone"), loop.get("pipeline_share_in_loop")]
    return [
        " ".join([f"{entry['model']}: {RECIPES[kind]}", *precision]),
        f"{entry['parameters']:,}",
        _or_blank(loop.get("num_devices"), 0),
        f"{loop['targets_per_s']:,.0f}",
        _or_blank(entry["ratios"].get(name), 1),
        *(_or_blank(None if share is None else 100 * share, 1) for share in shares),
        _or_blank(loop.get("compile_s"), 1),
    ]


def show_latency(result: dict[str, Any]) -> None:
    """Prints percentiles of every way to predict, a table a size."""
    show_machine(result["machine"])
    for entry in result["latency"]:
        rows = [
            [
                WAYS[name],
                *(f"{found[f'{key}_us']:.1f}" for key in ("p50", "p90", "p99", "p99_9", "max")),
                _or_blank(entry["ratios"].get(name), 1),
                f"{found['num_calls']:,}",
            ]
            for name, found in entry["ways"].items()
        ]
        columns = ("us", "p50", "p90", "p99", "p99.9", "max", "x predictor", "calls")
        floor, parts = entry["floor"], entry["parts"]
        out.print(table(f"{entry['model']}, {entry['parameters']:,} parameters", columns, rows))
        out.print(
            f"of {parts['step_us']:.1f} us: checks {parts['checks_us']:.1f}, dispatch "
            f"{parts['dispatch_us']:.1f}, transfer {parts['transfer_us']:.1f}, arithmetic "
            f"{parts['arithmetic_us']:.1f}, rest {parts['rest_us']:.1f}"
        )
        out.print(
            f"reading the parameters alone: {floor['from_memory_us']:.1f} us from memory "
            f"({floor['memory_gb_s']:.0f} GB/s), {floor['from_cache_us']:.1f} us from cache "
            f"({floor['cache_gb_s']:.0f} GB/s)"
        )


def show_endurance(result: dict[str, Any]) -> None:
    """Prints how far a long stream is from one unroll, and what memory it took."""
    show_machine(result["machine"])
    grown = result["grown_bytes"]
    memory = "unknown on this system" if grown is None else f"{grown / 2**20:+.1f} MiB"
    out.print(
        f"{result['num_steps']:,} steps and one unroll of them, {result['seconds']:.0f} s: at most "
        f"{result['worst_mm']:.1e} mm apart, memory {memory} over the last nine tenths"
    )


def show_contest(result: dict[str, Any]) -> None:
    """Prints what the same seconds gave jaxcorr and PyTorch."""
    show_machine(result["machine"])
    ours, torch, test = result["jaxcorr"], result["torch"], result["test"]
    rows = [
        _contest_row("jaxcorr, streaming", ours, ours["stream"]),
        _contest_row("jaxcorr, window from zero", ours, ours["window"]),
        _contest_row("PyTorch, window from zero", torch, torch["window"]),
    ]
    axes = [name for name in torch["window"] if name != "overall"]
    columns = ["", "s", "epochs", "targets/s", "MAE um", "R2", *(f"R2 {name}" for name in axes)]
    title = f"test: {test['num_traces']} traces, {test['num_rows']:,} samples"
    out.print(table(title, columns, rows))


def _contest_row(name: str, side: dict[str, Any], found: dict[str, Any]) -> Sequence[str]:
    return [
        name,
        f"{side['seconds']:.1f}",
        f"{side['epochs']:.1f}",
        f"{side['targets_per_s']:,.0f}",
        f"{1e3 * found['overall']['mae_mm']:.2f}",
        *(number(found[axis]["r2"], 4) for axis in found),
    ]


def show_data(result: dict[str, Any]) -> None:
    """Prints a row for each set of layers: what a sample costs, and the peak of memory."""
    show_machine(result["machine"])
    rows = [
        [
            f"{found['layers']:,}",
            f"{found['samples']:,}",
            f"{found['begin_s']:.1f}",
            *(
                f"{found[f'{key}_us']:.2f}"
                for key in ("load", "begin", "train", "batch", "validate")
            ),
            f"{found['targets_per_s']:,.0f}",
            f"{found['peak_mib']:,.0f}",
        ]
        for found in result["sets"]
    ]
    columns = (
        "layers",
        "samples",
        "begin s",
        "load us",
        "begin us",
        "train us",
        "batch us",
        "validate us",
        "targets/s",
        "peak MiB",
    )
    out.print(table("us are of one sample or target", columns, rows))


def _or_blank(value: float | None, digits: int) -> str:
    return "" if value is None else number(value, digits)
