"""A parity case is a folder:

weights.safetensors   F32, Hugging Face GPT-2 names; the head shares the token table
tokens.bin            u16, no header; step s trains on tokens [s B T, (s + 1) B T], targets shifted by one
expected.json         config, optimizer, and what a float64 run measures: loss and grad_norm (before clipping) of each
                      step, grad_l2_step0 of each parameter
"""

import json
import struct

import numpy as np


def write_case(folder, weights, tokens, expected):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(to_safetensors(weights))
    (folder / "tokens.bin").write_bytes(tokens.astype("<u2").tobytes())
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def read_case(folder):
    """Returns weights, tokens and expected as write_case takes them."""
    weights = from_safetensors((folder / "weights.safetensors").read_bytes())
    tokens = np.fromfile(folder / "tokens.bin", "<u2")
    return weights, tokens, read_expected(folder)


def read_expected(folder):
    return json.loads((folder / "expected.json").read_text())


def to_safetensors(tensors):
    header, parts, offset = {}, [], 0
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def from_safetensors(data):
    (length,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"[safetensors] {name}: expected F32, got {entry['dtype']}")
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors
