"""One step of each elementwise, linear and matrix-state cell in float64 NumPy, written from the papers.

Every oracle sees one sequence: ``oracle(p, x, state)`` takes the cell's parameters by name, x (I,) and its own state
(None at the start), and returns y and the state. Nothing here shares code with the package; the forms are the papers'
plain ones (no log space, no stabiliser, no chunks), so that an agreement says something.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return np.log(1 + np.exp(x))


def block_diagonal(blocks):
    """Blocks (g, n, m), each used as row vector times block, as one matrix (m g, n g) for column vectors."""
    count, rows, columns = blocks.shape
    full = np.zeros((count * columns, count * rows))
    for g, block in enumerate(blocks):
        full[g * columns : (g + 1) * columns, g * rows : (g + 1) * rows] = block.T
    return full


def causal_convolution(weight, bias, past, present):
    """Depthwise: weight (k, E), the last row for the present; ``past`` lists earlier inputs, missing ones are zero."""
    history = [*past, present]
    y = np.zeros_like(present) if bias is None else bias.copy()
    for back in range(min(len(weight), len(history))):
        y += weight[-1 - back] * history[-1 - back]
    return y, history


def indrnn(p, x, state, clamp=None):
    h = np.zeros(len(p["u"])) if state is None else state
    u = p["u"] if clamp is None else np.clip(p["u"], -clamp, clamp)
    h = np.maximum(0, p["input.weight"] @ x + u * h + p["input.bias"])
    return h, h


def sru(p, x, state, peephole=True, highway_bias=0.0):
    size = len(p["forget_bias"])
    c = np.zeros(size) if state is None else state
    w, w_f, w_r = (p["weight"][k * size : (k + 1) * size] for k in range(3))
    v_f, v_r = p["v"] if peephole else np.zeros((2, size))
    alpha = np.sqrt(1 + 2 * np.exp(highway_bias))
    skip = alpha * x if len(x) == size else p["weight"][3 * size :] @ x
    f = sigmoid(w_f @ x + v_f * c + p["forget_bias"])
    r = sigmoid(w_r @ x + v_r * c + p["highway_bias"])
    c = f * c + (1 - f) * (w @ x)
    return r * c + (1 - r) * skip, c


def qrnn(p, x, state, window=2, pooling="fo", zoneout=0.0):
    size = len(p["conv.bias"]) // (1 + len(pooling))
    c, past = (np.zeros(size), []) if state is None else state
    history = [*past, x]
    inputs = [history[-1 - back] if back < len(history) else np.zeros_like(x) for back in reversed(range(window))]
    z, f, *more = np.split(p["conv.weight"] @ np.concatenate(inputs) + p["conv.bias"], 1 + len(pooling))
    z, f, more = np.tanh(z), sigmoid(f), [sigmoid(m) for m in more]
    f = 1 - (1 - zoneout) * (1 - f)  # the mean of the paper's dropout
    i = more[1] if pooling == "ifo" else 1 - f
    c = f * c + i * z
    return (c if pooling == "f" else more[0] * c), (c, history)


def g(x):
    """Feng et al., appendix B.3."""
    return np.where(x >= 0, x + 0.5, sigmoid(x))


def mingru(p, x, state, positive=True):
    z, candidate = np.split(p["input.weight"] @ x + p["input.bias"], 2)
    h = np.zeros(len(z)) if state is None else state
    z = sigmoid(z)
    h = (1 - z) * h + z * (g(candidate) if positive else candidate)
    return h, h


def minlstm(p, x, state, positive=True, forget_bias=0.0):
    f, i, candidate = np.split(p["input.weight"] @ x + p["input.bias"], 3)
    h = np.zeros(len(f)) if state is None else state
    f, i = sigmoid(f), sigmoid(i)
    h = f / (f + i) * h + i / (f + i) * (g(candidate) if positive else candidate)
    return h, h


def rglru(p, x, state, num_heads=None):
    u = p["input.weight"] @ x
    h = np.zeros(len(u)) if state is None else state
    r = sigmoid(block_diagonal(p["recurrence_gate"]) @ u + p["recurrence_bias"])
    i = sigmoid(block_diagonal(p["input_gate"]) @ u + p["input_bias"])
    a = sigmoid(-p["lambda_"]) ** (8 * r)
    h = a * h + np.sqrt(1 - a**2) * (i * u)
    return h, h


def lru(p, x, state, num_modes=None):
    decay = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    b, c = p["b"][:, 0] + 1j * p["b"][:, 1], p["c"][..., 0] + 1j * p["c"][..., 1]
    h = np.zeros(len(decay), complex) if state is None else state
    h = decay * h + np.exp(p["gamma"]) * (b @ x)
    skip = p["d"] @ x if p["d"].ndim == 2 else p["d"] * x
    return (c @ h).real + skip, h


def mamba(p, x, state, num_modes=16, expand=2, window=4, rank=None):
    channels, modes = p["a"].shape
    h, past = (np.zeros((channels, modes)), []) if state is None else state
    s, z = np.split(p["input.weight"] @ x, 2)
    u, past = causal_convolution(p["conv.weight"], p["conv.bias"], past, s)
    u = silu(u)
    selected = p["select.weight"] @ u
    d, b, c = selected[: -2 * modes], selected[-2 * modes : -modes], selected[-modes:]
    delta = softplus(p["dt.weight"] @ d + p["dt.bias"])
    new, y = np.zeros_like(h), np.zeros(channels)
    for e in range(channels):
        for n in range(modes):
            new[e, n] = np.exp(delta[e] * -np.exp(p["a"][e, n])) * h[e, n] + delta[e] * b[n] * u[e]
            y[e] += c[n] * new[e, n]
        y[e] += p["d"][e] * u[e]
    return p["output.weight"] @ (y * silu(z)), (new, past)


def mlstm(p, x, state, num_heads=4, expand=2, window=4):
    """Equations 19 to 27 of xLSTM without the stabiliser: C and n grow with exp(i~) as they are."""
    channels = len(p["norm"])
    width = channels // num_heads
    c, n, past = (np.zeros((num_heads, width, width)), np.zeros((num_heads, width)), []) if state is None else state
    u, z = np.split(p["up.weight"] @ x, 2)
    conv, past = causal_convolution(p["conv.weight"], p["conv.bias"], past, u)
    conv = silu(conv)
    q, k, v = block_diagonal(p["q"]) @ conv, block_diagonal(p["k"]) @ conv, block_diagonal(p["v"]) @ u
    gates = p["gates.weight"] @ np.concatenate([q, k, v]) + p["gates.bias"]
    c, n, read = c.copy(), n.copy(), np.zeros((num_heads, width))
    for head in range(num_heads):
        part = slice(head * width, (head + 1) * width)
        i, f, key = np.exp(gates[head]), sigmoid(gates[num_heads + head]), k[part] / np.sqrt(width)
        c[head] = f * c[head] + i * np.outer(v[part], key)
        n[head] = f * n[head] + i * key
        h = c[head] @ q[part] / max(abs(n[head] @ q[part]), 1)
        read[head] = (h - h.mean()) / np.sqrt(h.var() + 1e-5)
    out = (read.reshape(-1) * p["norm"] + p["skip"] * conv) * silu(z)
    return p["down.weight"] @ out, (c, n, past)


def gated_deltanet(p, x, state, num_heads=4, expand_v=2, window=4, allow_neg_eigval=False):
    hidden, values = p["output.weight"].shape
    keys, width = hidden // num_heads, values // num_heads
    memory, past = (np.zeros((num_heads, width, keys)), []) if state is None else state
    joint = p["input.weight"] @ x
    qkv, gate, beta, alpha = np.split(joint, np.cumsum([2 * hidden + values, values, num_heads]))
    qkv, past = causal_convolution(p["conv.weight"], None, past, qkv)
    q, k, v = np.split(silu(qkv), [hidden, 2 * hidden])
    alpha = np.exp(-np.exp(p["a"]) * softplus(alpha + p["dt_bias"]))
    beta = sigmoid(beta) * (2 if allow_neg_eigval else 1)
    memory, read = memory.copy(), np.zeros((num_heads, width))
    for head in range(num_heads):
        query, key = q[head * keys : (head + 1) * keys], k[head * keys : (head + 1) * keys]
        query, key = query / np.sqrt(query @ query + 1e-6), key / np.sqrt(key @ key + 1e-6)
        erase = np.eye(keys) - beta[head] * np.outer(key, key)
        write = beta[head] * np.outer(v[head * width : (head + 1) * width], key)
        memory[head] = alpha[head] * memory[head] @ erase + write
        o = memory[head] @ query / np.sqrt(keys)
        read[head] = o / np.sqrt(np.mean(o**2) + 1e-5) * p["norm"]
    return p["output.weight"] @ (read.reshape(-1) * silu(gate)), (memory, past)
