#!/usr/bin/env python3
"""Times what activation checkpointing costs, in Retape and in PyTorch, and prints the result as a Markdown table.

Whole training steps as in run_peers.py, with everything kept and with blocks recomputed: Retape's policies, and
PyTorch's torch.utils.checkpoint around every block. Runs take turns. A cost is the median of a round's ratios to the
run of the same round, by the same program, that keeps everything; the spread is over the runs of one kind.

run_checkpointing.py --python VENV/bin/python [--rounds 5] [--steps N] [--shape NAME ...] [--dtype NAME ...]
"""

import statistics
import sys

import run_peers

TABLE = "activation_checkpointing"
SELECTIVE = [(f"{TABLE}.policy", "selective"), (f"{TABLE}.recompute", '["layer_norm","gelu"]')]
RETAPE = {"none": [], "selective": SELECTIVE, "full": [(f"{TABLE}.policy", "full")]}
TORCH = {"none": [], "full": ["--ckpt"]}
KINDS = [("Retape", policy) for policy in RETAPE] + [("PyTorch", policy) for policy in TORCH]


def step_ms(options, name, dtype, program, policy):
    shape, steps = run_peers.SHAPES[name], options.steps or run_peers.STEPS[name]
    if program == "Retape":
        speed = run_peers.run_retape(options, shape, dtype, steps, RETAPE[policy])
    else:
        speed = run_peers.run_torch(options, shape, dtype, steps, TORCH[policy])
    return shape["batch"] * shape["seq"] * 1e3 / speed


def rows_of(options, name, dtype):
    times = {kind: [] for kind in KINDS}
    for turn in range(options.rounds):
        for program, policy in KINDS:
            times[program, policy].append(step_ms(options, name, dtype, program, policy))
            done = f"{name} {dtype} {turn + 1}/{options.rounds}: {program} {policy}"
            print(f"{done} {times[program, policy][-1]:.0f} ms", file=sys.stderr)
    for program, policy in KINDS:
        runs = times[program, policy]
        costs = [run / kept for run, kept in zip(runs, times[program, "none"])]
        cells = [f"{statistics.median(runs):,.0f}", f"{statistics.median(costs):.3f}x", f"{max(runs) / min(runs):.2f}"]
        yield f"| {' | '.join([run_peers.sizes_of(name), dtype, program, policy, *cells])} |"


def main():
    options = run_peers.argument_parser(__doc__, ["124m"]).parse_args()
    try:
        machine = run_peers.machine_line(options)
        rows = [row for name in options.shape for dtype in options.dtype for row in rows_of(options, name, dtype)]
    except run_peers.Failed as failure:
        sys.exit(f"run_checkpointing: {failure}")
    print(f"{machine}\n")
    run_peers.print_table(["model", "dtype", "program", "policy", "ms per step", "cost", "spread"], rows)


if __name__ == "__main__":
    main()
