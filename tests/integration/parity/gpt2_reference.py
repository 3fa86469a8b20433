"""GPT-2 in float64: the mean cross-entropy, its gradients written by hand, and AdamW.

The trainer is measured against it. Weights are a dict by Hugging Face name; matrices are [in, out].
Letters: B batch, T sequence, C channels, H heads, D = C / H, V vocabulary.
Source: Radford et al. 2019; Loshchilov and Hutter 2019, arXiv:1711.05101.
"""

import math

import numpy as np

EPSILON = 1e-5  # of the layer norms


def parameter_shapes(config):
    """Every parameter's shape by name, in the order of the model."""
    channels = config["dim"]
    shapes = {
        "transformer.wte.weight": (config["vocab"], channels),
        "transformer.wpe.weight": (config["seq"], channels),
    }
    for layer in range(config["layers"]):
        block = f"transformer.h.{layer}."
        shapes |= {block + name: shape for name, shape in block_shapes(channels).items()}
    return shapes | {"transformer.ln_f.weight": (channels,), "transformer.ln_f.bias": (channels,)}


def block_shapes(channels):
    return {
        "ln_1.weight": (channels,),
        "ln_1.bias": (channels,),
        "attn.c_attn.weight": (channels, 3 * channels),
        "attn.c_attn.bias": (3 * channels,),
        "attn.c_proj.weight": (channels, channels),
        "attn.c_proj.bias": (channels,),
        "ln_2.weight": (channels,),
        "ln_2.bias": (channels,),
        "mlp.c_fc.weight": (channels, 4 * channels),
        "mlp.c_fc.bias": (4 * channels,),
        "mlp.c_proj.weight": (4 * channels, channels),
        "mlp.c_proj.bias": (channels,),
    }


class Pass:
    """One forward and backward pass. Each piece of the model returns its output and a function from the output's
    gradient to the input's, which adds the gradients of its weights to `gradients` as it goes."""

    def __init__(self, weights):
        self.weights = weights
        self.gradients = {name: np.zeros_like(weight) for name, weight in weights.items()}

    def linear(self, x, name):
        weight = self.weights[name + ".weight"]

        def backward(dy):
            rows = dy.reshape(-1, dy.shape[-1])
            self.gradients[name + ".weight"] += x.reshape(-1, x.shape[-1]).T @ rows
            self.gradients[name + ".bias"] += rows.sum(0)
            return dy @ weight.T

        return x @ weight + self.weights[name + ".bias"], backward

    def layer_norm(self, x, name):
        gamma = self.weights[name + ".weight"]
        centred = x - x.mean(-1, keepdims=True)
        rstd = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        normal = centred * rstd

        def backward(dy):
            self.gradients[name + ".weight"] += (dy * normal).sum((0, 1))
            self.gradients[name + ".bias"] += dy.sum((0, 1))
            dn = dy * gamma
            return rstd * (dn - dn.mean(-1, keepdims=True) - normal * (dn * normal).mean(-1, keepdims=True))

        return normal * gamma + self.weights[name + ".bias"], backward

    def attention(self, x, name, heads):
        batch, length, channels = x.shape
        qkv, qkv_backward = self.linear(x, name + ".c_attn")
        # [3, B, H, T, D]
        q, k, v = qkv.reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        mixed, mixed_backward = causal_attention(q, k, v)
        joined = mixed.transpose(0, 2, 1, 3).reshape(batch, length, channels)
        y, projection_backward = self.linear(joined, name + ".c_proj")

        def backward(dy):
            dmixed = projection_backward(dy).reshape(batch, length, heads, -1).transpose(0, 2, 1, 3)
            dqkv = np.stack(mixed_backward(dmixed)).transpose(1, 3, 0, 2, 4)
            return qkv_backward(dqkv.reshape(batch, length, 3 * channels))

        return y, backward

    def mlp(self, x, name):
        up, up_backward = self.linear(x, name + ".c_fc")
        active, gelu_backward = gelu(up)
        y, down_backward = self.linear(active, name + ".c_proj")
        return y, lambda dy: up_backward(gelu_backward(down_backward(dy)))

    def block(self, x, name, heads):
        normal_1, normal_1_backward = self.layer_norm(x, name + ".ln_1")
        mixed, mixed_backward = self.attention(normal_1, name + ".attn", heads)
        middle = x + mixed
        normal_2, normal_2_backward = self.layer_norm(middle, name + ".ln_2")
        moved, moved_backward = self.mlp(normal_2, name + ".mlp")

        def backward(dy):
            dmiddle = dy + normal_2_backward(moved_backward(dy))
            return dmiddle + normal_1_backward(mixed_backward(dmiddle))

        return middle + moved, backward

    def embedding(self, tokens):
        table, positions = (self.weights[f"transformer.{name}.weight"] for name in ("wte", "wpe"))
        length = tokens.shape[1]

        def backward(dx):
            np.add.at(self.gradients["transformer.wte.weight"], tokens, dx)
            self.gradients["transformer.wpe.weight"][:length] += dx.sum(0)

        return table[tokens] + positions[:length], backward

    def head(self, x, targets):
        """The mean cross-entropy over all positions; the logits' matrix is the token table."""
        table = self.weights["transformer.wte.weight"]
        log_p = log_softmax(x @ table.T)
        chosen = targets[..., None]

        def backward():
            dlogits = np.exp(log_p)
            np.put_along_axis(dlogits, chosen, np.take_along_axis(dlogits, chosen, -1) - 1, -1)
            dlogits /= targets.size
            self.gradients["transformer.wte.weight"] += np.einsum("btv,btc->vc", dlogits, x)
            return dlogits @ table

        return -np.take_along_axis(log_p, chosen, -1).mean(), backward


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def gelu(x):
    scale = math.sqrt(2 / math.pi)
    tanh = np.tanh(scale * (x + 0.044715 * x**3))
    slope = 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh**2) * scale * (1 + 3 * 0.044715 * x**2)
    return 0.5 * x * (1 + tanh), lambda dy: dy * slope


def causal_attention(q, k, v):
    """softmax(q k^T / sqrt(D)) v over the positions up to each one's own. q, k, v [B, H, T, D]."""
    length, size = q.shape[-2:]
    scale = 1 / math.sqrt(size)
    future = np.triu(np.ones((length, length), bool), 1)
    p = np.exp(log_softmax(np.where(future, -np.inf, q @ k.swapaxes(-1, -2) * scale)))

    def backward(dy):
        dp = dy @ v.swapaxes(-1, -2)
        dscores = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
        return dscores @ k, dscores.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ dy

    return p @ v, backward


def loss_and_gradients(weights, config, tokens, targets):
    """tokens, targets [B, T]. Returns the loss and a dict of gradients."""
    run = Pass(weights)
    x, embedding_backward = run.embedding(tokens)
    backwards = []
    for layer in range(config["layers"]):
        x, backward = run.block(x, f"transformer.h.{layer}", config["heads"])
        backwards.append(backward)
    x, norm_backward = run.layer_norm(x, "transformer.ln_f")
    loss, head_backward = run.head(x, targets)

    dx = norm_backward(head_backward())
    for backward in reversed(backwards):
        dx = backward(dx)
    embedding_backward(dx)
    return float(loss), run.gradients


def norm(gradients):
    """The global norm of a dict of gradients."""
    return math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))


class AdamW:
    """Decoupled decay on parameters of two or more dimensions; the learning rate is constant."""

    def __init__(self, weights, settings):
        self.settings = settings
        self.first = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.second = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.steps = 0

    def step(self, weights, gradients):
        """Updates the weights in place. Returns the gradients' norm before clipping."""
        settings = self.settings
        lr, (beta1, beta2) = settings["lr"], settings["betas"]
        total = norm(gradients)
        clip = settings["grad_clip"]
        coefficient = min(1.0, clip / (total + 1e-6)) if clip > 0 else 1.0
        self.steps += 1
        for name, weight in weights.items():
            gradient = gradients[name] * coefficient
            first, second = self.first[name], self.second[name]
            first += (1 - beta1) * (gradient - first)
            second += (1 - beta2) * (gradient**2 - second)
            if weight.ndim >= 2:
                weight *= 1 - lr * settings["weight_decay"]
            mean = first / (1 - beta1**self.steps)
            spread = np.sqrt(second / (1 - beta2**self.steps)) + settings["eps"]
            weight -= lr * mean / spread
        return total


def train(weights, tokens, config, settings):
    """Trains copies of the weights on the tokens in order. Returns the dict of expected.json's measurements."""
    weights = {name: weight.astype(np.float64) for name, weight in weights.items()}
    optimizer = AdamW(weights, settings)
    batch = config["batch"] * config["seq"]
    result = {"loss": [], "grad_norm": []}
    for step in range(config["steps"]):
        window = tokens[step * batch : (step + 1) * batch + 1].astype(np.int64)
        inputs, targets = (part.reshape(config["batch"], config["seq"]) for part in (window[:-1], window[1:]))
        loss, gradients = loss_and_gradients(weights, config, inputs, targets)
        result["loss"].append(loss)
        if step == 0:
            result["grad_l2_step0"] = {name: math.sqrt(float((g**2).sum())) for name, g in gradients.items()}
        result["grad_norm"].append(optimizer.step(weights, gradients))
    return result
