#!/usr/bin/env python3
"""Times Retape against PyTorch on this machine and prints the result as a Markdown table.

The work is the same: whole training steps (forward, backward, AdamW, no clipping) on random tokens, no evaluation,
same model, same threads. Runs take turns (Retape, eager, compiled, Retape, ...), each a process of its own, so that a
machine that slows down slows all of them. A run's figure is the median of its steps; the table has the median of the
runs, and the spread is the fastest run over the slowest one of the same program: far from 1, the machine was busy with
something else and the table says little.

run_peers.py --python VENV/bin/python [--rounds 5] [--steps N] [--shape NAME ...] [--dtype NAME ...]
"""

import argparse
import array
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
WARMUP_STEPS = 2  # of every run, not measured; torch_gpt.py has as many
SHAPES = {
    "small": {"layers": 6, "heads": 6, "dim": 384, "seq": 256, "batch": 12, "vocab": 256},
    "124m": {"layers": 12, "heads": 12, "dim": 768, "seq": 512, "batch": 2, "vocab": 50257},
}
STEPS = {"small": 10, "124m": 5}
RUNNERS = ("Retape", "eager", "compiled")


class Failed(Exception):
    pass


def output_of(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_tokens(file, shape, steps):
    generator = random.Random(1)
    count = shape["batch"] * shape["seq"] * steps + 1
    tokens = array.array("H", (generator.randrange(shape["vocab"]) for _ in range(count)))
    if sys.byteorder == "big":
        tokens.byteswap()
    file.write_bytes(tokens.tobytes())


def run_retape(options, shape, dtype, steps, more_settings=()):
    """Tokens per second, from the step times of metrics.jsonl."""
    with tempfile.TemporaryDirectory(prefix="retape_peers_") as folder:
        tokens = pathlib.Path(folder) / "tokens.bin"
        out_dir = pathlib.Path(folder) / "run"
        write_tokens(tokens, shape, WARMUP_STEPS + steps)
        settings = {
            "run.out_dir": out_dir,
            "run.device": "cpu",
            "run.threads": options.threads,
            "model.layers": shape["layers"],
            "model.heads": shape["heads"],
            "model.dim": shape["dim"],
            "model.seq_len": shape["seq"],
            "model.vocab": shape["vocab"],
            "model.dtype": dtype,
            "data.train": tokens,
            "data.format": "u16",
            "data.order": "sequential",
            "data.val_fraction": 0,
            "train.steps": WARMUP_STEPS + steps,
            "train.batch_size": shape["batch"],
            "train.eval_every": 0,
            "train.resume": "never",
            "optimizer.schedule": "constant",
            "optimizer.grad_clip": 0,
        }
        command = [options.trainer]
        for key, value in [*settings.items(), *more_settings]:
            command += ["--set", f"{key}={value}"]
        output_of(command)
        rows = [json.loads(line) for line in (out_dir / "metrics.jsonl").read_text().splitlines()]
    step_ms = [row["step_ms"] for row in rows if "step_ms" in row]
    return shape["batch"] * shape["seq"] * 1e3 / statistics.median(step_ms[WARMUP_STEPS:])


def run_torch(options, shape, dtype, steps, flags):
    command = [options.python, HERE / "torch_gpt.py", "--threads", options.threads, "--steps", steps]
    for name, value in shape.items():
        command += [f"--{name}", value]
    command += ["--bf16"] if dtype == "bf16" else []
    command += flags
    command += ["--fused-adamw"] if options.fused_adamw else []
    return json.loads(output_of(command).splitlines()[-1])["tokens_per_s"]


def measure(options, name, dtype):
    """Tokens per second of each runner's runs."""
    shape, steps = SHAPES[name], options.steps or STEPS[name]
    results = {runner: [] for runner in RUNNERS}
    for turn in range(options.rounds):
        for runner in RUNNERS:
            if runner == "Retape":
                speed = run_retape(options, shape, dtype, steps)
            else:
                speed = run_torch(options, shape, dtype, steps, ["--compile"] if runner == "compiled" else [])
            results[runner].append(speed)
            print(f"{name} {dtype} {turn + 1}/{options.rounds}: {runner} {speed:.0f} tokens/s", file=sys.stderr)
    return results


def machine_line(options):
    cpu = platform.processor() or platform.machine()
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    torch = output_of([options.python, "-c", "import torch; print(torch.__version__)"]).strip()
    try:
        commit = output_of(["git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD"]).strip()
    except (Failed, OSError):
        commit = "of unknown commit"
    return (
        f"{cpu}, {options.threads} threads; Retape {commit}, PyTorch {torch}, Python {platform.python_version()}; "
        f"median of {options.rounds} interleaved runs"
    )


def sizes_of(name):
    shape = SHAPES[name]
    sizes = f"{shape['layers']} layers, dim {shape['dim']}, heads {shape['heads']}, T {shape['seq']}"
    return sizes + f", B {shape['batch']}, V {shape['vocab']}"


def row(name, dtype, results):
    speeds = {runner: statistics.median(runs) for runner, runs in results.items()}
    tokens = [f"{speeds[runner]:,.0f}" for runner in RUNNERS]
    ratios = [f"{speeds['Retape'] / speeds[peer]:.2f}x" for peer in RUNNERS[1:]]
    spread = max(max(runs) / min(runs) for runs in results.values())
    return f"| {' | '.join([sizes_of(name), dtype, *tokens, *ratios, f'{spread:.2f}'])} |"


def argument_parser(description, default_shapes):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="an interpreter that has torch")
    parser.add_argument("--trainer", type=pathlib.Path, default=REPOSITORY / "build/release/bin/trainer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: every core")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help=f"measured steps of a run; default: {STEPS}")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=default_shapes)
    parser.add_argument("--dtype", nargs="+", choices=("f32", "bf16"), default=("f32", "bf16"))
    parser.add_argument("--fused-adamw", action="store_true", help="PyTorch's fused optimizer, not its default one")
    return parser


def print_table(columns, rows):
    print(f"| {' | '.join(columns)} |")
    text = sum(column in ("model", "dtype", "program", "policy") for column in columns)
    print("|---" * text + "|" + "--:|" * (len(columns) - text))
    print("\n".join(rows))


def main():
    parser = argument_parser(__doc__, list(SHAPES))
    options = parser.parse_args()
    if not options.trainer.is_file():
        parser.error(f"{options.trainer}: no trainer there; `make build` makes it")
    try:
        machine = machine_line(options)
        rows = [row(name, dtype, measure(options, name, dtype)) for name in options.shape for dtype in options.dtype]
    except Failed as failure:
        sys.exit(f"run_peers: {failure}")
    print(f"{machine}\n")
    speeds = [f"{runner}, tokens/s" for runner in RUNNERS]
    print_table(["model", "dtype", *speeds, "over eager", "over compiled", "spread"], rows)


if __name__ == "__main__":
    main()
