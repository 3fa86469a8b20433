#!/usr/bin/env python3
"""Makes parity cases of odd shapes and runs the trainer on them, after checking the reference itself.

parity_test.py --trainer build/release/bin/trainer
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

import check_parity
import gpt2_reference
import make_case

# Widths that fill no vector, vocabularies that fill no chunk, one head, one layer, a clip that always and one that
# never acts, no decay.
CASES = {
    "odd": (
        {"layers": 1, "heads": 3, "dim": 24, "seq": 17, "vocab": 101, "batch": 3, "steps": 12},
        {"grad_clip": 0.1},
    ),
    "deep": (
        {"layers": 4, "heads": 1, "dim": 20, "seq": 33, "vocab": 50, "batch": 2, "steps": 10},
        {"weight_decay": 0.0, "grad_clip": 0.0},
    ),
    "wide": (
        {"layers": 2, "heads": 5, "dim": 80, "seq": 70, "vocab": 1031, "batch": 1, "steps": 10},
        {"lr": 3e-4, "eps": 1e-6},
    ),
}


def check_reference():
    """The gradients against central differences, along a random direction of each parameter."""
    config = {"layers": 2, "heads": 2, "dim": 8, "seq": 5, "vocab": 11, "batch": 2, "steps": 1}
    generator = np.random.default_rng(3)
    weights = {name: w.astype(np.float64) for name, w in make_case.random_weights(config, generator).items()}
    inputs, targets = generator.integers(0, config["vocab"], (2, config["batch"], config["seq"]))
    gradients = gpt2_reference.loss_and_gradients(weights, config, inputs, targets)[1]
    for name, gradient in gradients.items():
        direction = generator.normal(size=gradient.shape)
        step = 1e-5
        losses = []
        for move in (step, -step):
            moved = weights | {name: weights[name] + move * direction}
            losses.append(gpt2_reference.loss_and_gradients(moved, config, inputs, targets)[0])
        slope = (losses[0] - losses[1]) / (2 * step)
        along = float((gradient * direction).sum())
        if not abs(slope - along) <= 1e-8 + 1e-6 * abs(along):
            sys.exit(f"the reference's gradient of {name} is wrong: expected {slope}, got {along}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", type=pathlib.Path, required=True)
    trainer = parser.parse_args().trainer
    check_reference()
    within = True
    with tempfile.TemporaryDirectory(prefix="parity_") as folder:
        for name, (config, optimizer) in CASES.items():
            case = pathlib.Path(folder) / name
            make_case.make_case(case, config, make_case.OPTIMIZER_DEFAULTS | optimizer)
            within = check_parity.check_case(trainer, case) and within
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
