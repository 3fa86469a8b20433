#!/usr/bin/env python3
"""Trains a GPT-2 in PyTorch on random tokens and prints how fast, as one line of JSON.

The step is what a plain training script does: forward, backward, AdamW. bf16 is autocast over f32 weights.

torch_gpt.py --layers 6 --heads 6 --dim 384 --seq 256 --batch 12 --vocab 256 --steps 10 [--bf16] [--compile] [--ckpt]
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

WARMUP_STEPS = 2  # not measured; the first compiles
SIZES = {"layers": 6, "heads": 6, "dim": 384, "seq": 256, "batch": 12, "vocab": 256, "steps": 10, "threads": 2}


class Attention(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x):
        batch, length, dim = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, dim // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(dim, dim=2)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        return self.projection(mixed.transpose(1, 2).reshape(batch, length, dim))


class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.norm_1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.norm_2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.dropout(self.attention(self.norm_1(x)))
        return x + self.dropout(self.mlp(self.norm_2(x)))


class Gpt2(nn.Module):
    def __init__(self, layers, heads, dim, seq, vocab, dropout, recompute):
        super().__init__()
        self.recompute = recompute
        self.tokens = nn.Embedding(vocab, dim)
        self.positions = nn.Embedding(seq, dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        # As GPT-2 does. With PyTorch's own N(0, 1) for embeddings the logits are so large that softmax underflows, and
        # arithmetic on subnormal numbers makes f32 slower: by a tenth at 384 channels and 256 tokens of vocabulary, by
        # five times in GPT-2 124M.
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        x = self.dropout(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.recompute else block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--ckpt", action="store_true", help="recompute every block in backward")
    parser.add_argument("--fused-adamw", action="store_true", help="the optimizer in one kernel, not PyTorch's default")
    return parser.parse_args()


def time_steps(model, args):
    """Seconds of each measured step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=args.fused_adamw or None)
    forward = torch.compile(model) if args.compile else model
    tokens, targets = torch.randint(args.vocab, (2, args.batch, args.seq))
    seconds = []
    for _ in range(WARMUP_STEPS + args.steps):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            loss = forward(tokens, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return seconds[WARMUP_STEPS:]


def main():
    args = parse_arguments()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = Gpt2(args.layers, args.heads, args.dim, args.seq, args.vocab, args.dropout, args.ckpt)
    step = statistics.median(time_steps(model, args))
    result = {
        "torch": torch.__version__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "step_ms": step * 1e3,
        "tokens_per_s": args.batch * args.seq / step,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
