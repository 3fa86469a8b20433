#!/usr/bin/env python3
"""Makes a parity case (case_files.py says what that is), or reruns one that is there and prints how far it is off.

make_case.py --out DIR --layers 1 --heads 3 --dim 24 --seq 17 --vocab 101 --batch 3 --steps 8
make_case.py --verify DIR
"""

import argparse
import pathlib

import numpy as np

import case_files
import gpt2_reference

SHAPE_DEFAULTS = {"layers": 2, "heads": 4, "dim": 64, "seq": 32, "batch": 4, "vocab": 97, "steps": 20}
OPTIMIZER_DEFAULTS = {"lr": 1e-3, "weight_decay": 0.1, "eps": 1e-8, "grad_clip": 1.0}


def random_weights(config, generator):
    """Larger than a trained model's start, so that no path of the gradient is too faint to be seen."""
    weights = {}
    for name, shape in gpt2_reference.parameter_shapes(config).items():
        if ".ln_" in name:
            weight = generator.normal(1.0 if name.endswith("weight") else 0.0, 0.1, shape)
        else:
            deviation = 0.02 if name.endswith("bias") or ".wte" in name or ".wpe" in name else 0.08
            weight = generator.normal(0.0, deviation, shape)
        weights[name] = weight.astype(np.float32)
    return weights


def random_tokens(config, generator):
    count = config["steps"] * config["batch"] * config["seq"] + 1
    return generator.integers(0, config["vocab"], count).astype(np.uint16)


def make_case(folder, config, optimizer, betas=(0.9, 0.95), seed=1):
    """config has the keys of SHAPE_DEFAULTS, optimizer those of OPTIMIZER_DEFAULTS."""
    generator = np.random.default_rng(seed)
    weights, tokens = random_weights(config, generator), random_tokens(config, generator)
    settings = {
        "name": "adamw",
        "lr_schedule": "constant",
        "warmup_steps": 0,
        "betas": list(betas),
        "decay_applies_to": "parameters with two or more dimensions, embeddings included",
        **optimizer,
    }
    measured = gpt2_reference.train(weights, tokens, config, settings)
    case_files.write_case(folder, weights, tokens, {"config": config, "optimizer": settings, **measured})


def verify_case(folder):
    weights, tokens, expected = case_files.read_case(folder)
    measured = gpt2_reference.train(weights, tokens, expected["config"], expected["optimizer"])
    for key in ("loss", "grad_norm"):
        errors = [abs(found / wanted - 1) for found, wanted in zip(measured[key], expected[key], strict=True)]
        print(f"{key}: largest relative difference {max(errors):.2e}")
    wanted, found = expected["grad_l2_step0"], measured["grad_l2_step0"]
    print(f"grad_l2_step0: largest relative difference {max(abs(found[n] / wanted[n] - 1) for n in wanted):.2e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=pathlib.Path, help="folder to write")
    target.add_argument("--verify", type=pathlib.Path, help="folder of a case to rerun")
    for name, default in (SHAPE_DEFAULTS | OPTIMIZER_DEFAULTS).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    parser.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.95))
    parser.add_argument("--seed", type=int, default=1)
    arguments = vars(parser.parse_args())
    if arguments["verify"]:
        verify_case(arguments["verify"])
        return
    config = {name: arguments[name] for name in SHAPE_DEFAULTS}
    optimizer = {name: arguments[name] for name in OPTIMIZER_DEFAULTS}
    make_case(arguments["out"], config, optimizer, arguments["betas"], arguments["seed"])


if __name__ == "__main__":
    main()
