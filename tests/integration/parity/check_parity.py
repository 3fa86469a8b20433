#!/usr/bin/env python3
"""Trains on parity cases in f32 and in bf16 and compares metrics.jsonl with what the float64 reference measured.

check_parity.py --trainer build/release/bin/trainer --case DIR [--case DIR ...]

Prints the largest relative differences and the bounds; exits with 1 where one is over its bound, with 77 where a case
is not there.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import case_files

ABSENT = 77
# Largest relative differences. PyTorch in f32 is within 2e-7, 7e-7 and 5e-7 of such a reference. In so short a run the
# loss hardly moves, so in bf16 it is the gradients that would show a fault.
BOUNDS = {
    "f32": {"loss": 2e-6, "grad_norm": 5e-6, "grad_norms": 1e-5},
    "bf16": {"loss": 1e-2, "grad_norm": 2e-2, "grad_norms": 3e-2},
}


def settings(case, expected, dtype, out_dir):
    """The trainer's keys that make it do what the reference did."""
    config, optimizer = expected["config"], expected["optimizer"]
    return {
        "run.out_dir": out_dir,
        "run.device": "cpu",
        "run.log_gradients": "true",
        "model.init_from": case / "weights.safetensors",
        "model.layers": config["layers"],
        "model.heads": config["heads"],
        "model.dim": config["dim"],
        "model.seq_len": config["seq"],
        "model.vocab": config["vocab"],
        "model.dropout": 0.0,
        "model.dtype": dtype,
        "data.train": case / "tokens.bin",
        "data.format": "u16",
        "data.order": "sequential",
        "data.val_fraction": 0,
        "train.steps": config["steps"],
        "train.batch_size": config["batch"],
        "train.eval_every": 0,
        "train.resume": "never",
        "optimizer.lr": optimizer["lr"],
        "optimizer.schedule": optimizer["lr_schedule"],
        "optimizer.warmup_steps": optimizer["warmup_steps"],
        "optimizer.betas": optimizer["betas"],
        "optimizer.eps": optimizer["eps"],
        "optimizer.weight_decay": optimizer["weight_decay"],
        "optimizer.grad_clip": optimizer["grad_clip"],
    }


def run_trainer(trainer, keys):
    """Returns the rows of metrics.jsonl that belong to training steps."""
    command = [str(trainer)]
    for key, value in keys.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"the trainer failed with {done.returncode}:\n{' '.join(command)}\n{done.stdout}")
    lines = (pathlib.Path(keys["run.out_dir"]) / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def relative(found, expected):
    # An exact zero is expected of a gradient that nothing reaches; anything else is as far off as it is large.
    return abs(found - expected) / abs(expected) if expected != 0 else abs(found)


def differences(rows, expected):
    """The largest relative difference of each measurement, with where it is."""
    steps = expected["config"]["steps"]
    if len(rows) != steps:
        sys.exit(f"expected {steps} rows with a loss in metrics.jsonl, got {len(rows)}")
    norms, found_norms = expected["grad_l2_step0"], rows[0]["grad_norms"]
    if set(norms) != set(found_norms):
        sys.exit(f"grad_norms: names on one side only: {sorted(set(norms) ^ set(found_norms))}")
    every_step = {
        key: max((relative(row[key], wanted), f"step {step}") for step, (row, wanted) in enumerate(zip(rows, values)))
        for key, values in (("loss", expected["loss"]), ("grad_norm", expected["grad_norm"]))
    }
    return every_step | {"grad_norms": max((relative(found_norms[name], norms[name]), name) for name in norms)}


def check_case(trainer, case):
    """Trains in each dtype and prints how far it is off. Returns whether all is within bounds."""
    expected = case_files.read_expected(case)
    config = expected["config"]
    print(f"{case.name}: " + ", ".join(f"{key} {value}" for key, value in config.items()))
    within = True
    for dtype, bounds in BOUNDS.items():
        with tempfile.TemporaryDirectory(prefix="parity_") as out_dir:
            rows = run_trainer(trainer, settings(case, expected, dtype, out_dir))
        for key, (difference, place) in differences(rows, expected).items():
            # Written so that a NaN is not within.
            good = difference <= bounds[key]
            within = within and good
            verdict = f"(bound {bounds[key]:.0e})" if good else f"OVER THE BOUND OF {bounds[key]:.0e}"
            print(f"  {dtype:4} {key:10} off by at most {difference:.2e} {verdict}, {place}")
    return within


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    parser.add_argument("--case", type=pathlib.Path, action="append", required=True, help="folder; may be repeated")
    arguments = parser.parse_args()
    for case in arguments.case:
        if not (case / "expected.json").is_file():
            print(f"{case}: no parity case there")
            return ABSENT
    # Every case runs, whatever the ones before it gave.
    results = [check_case(arguments.trainer, case.resolve()) for case in arguments.case]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
