"""One step of each gated cell in float64 NumPy, written from the papers.

``oracle(p, x, state, **options)`` sees one sequence: p holds the cell's parameters by name, x is (I,), the state a
tuple of vectors. It returns the next state, whose first entry is the output. Nothing here shares code with the package:
each gate is written out by itself, with blocks of the stacked weights cut where they are used.
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


SQUASH = {
    "tanh": np.tanh,
    "relu": relu,
    "leaky_relu": lambda a: np.where(a > 0, a, 0.01 * a),
    "sigmoid": sigmoid,
    "linear": lambda a: a,
}


def gate(p, number, x, h):
    """W_k x + U_k h + b_k, block by block: units are the rows that one gate has."""
    units = rows(p)
    block = slice(number * units, (number + 1) * units)
    return p["weight_ih"][block] @ x + p["weight_hh"][block] @ h + p["bias"][block]


def rows(p):
    """H: the rows of one gate."""
    return int(p["units"])


def rnn(p, x, state, nonlinearity="tanh"):
    (h,) = state
    return (SQUASH[nonlinearity](gate(p, 0, x, h)),)


def lstm(p, x, state, activation="tanh"):
    h, c = state
    squash = SQUASH[activation]
    i = sigmoid(gate(p, 0, x, h))
    f = sigmoid(gate(p, 1, x, h))
    g = squash(gate(p, 2, x, h))
    o = sigmoid(gate(p, 3, x, h))
    c = f * c + i * g
    return o * squash(c), c


def lstmp(p, x, state):
    m, c = lstm(p, x, state)
    return p["weight_hr"] @ m, c


def peephole_lstm(p, x, state):
    h, c = state
    p_i, p_f, p_o = p["peepholes"]
    i = sigmoid(gate(p, 0, x, h) + p_i * c)
    f = sigmoid(gate(p, 1, x, h) + p_f * c)
    new = f * c + i * np.tanh(gate(p, 2, x, h))
    o = sigmoid(gate(p, 3, x, h) + p_o * new)
    return o * np.tanh(new), new


def cifg_lstm(p, x, state):
    h, c = state
    f = sigmoid(gate(p, 0, x, h))
    i = 1 - f
    new = f * c + i * np.tanh(gate(p, 1, x, h))
    return sigmoid(gate(p, 2, x, h)) * np.tanh(new), new


def normalise(v):
    """Zero mean and unit variance (the biased one), with the usual 1e-5 under the root."""
    return (v - v.mean()) / np.sqrt(((v - v.mean()) ** 2).mean() + 1e-5)


def layernorm_lstm(p, x, state, norm="joint"):
    h, c = state
    groups = 1 if norm == "joint" else 4
    from_x = np.concatenate([normalise(v) for v in np.split(p["weight_ih"] @ x, groups)])
    from_h = np.concatenate([normalise(v) for v in np.split(p["weight_hh"] @ h, groups)])
    i, f, g, o = np.split(p["gain_ih"] * from_x + p["gain_hh"] * from_h + p["bias"], 4)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(p["gain_c"] * normalise(new) + p["bias_c"]), new


def gru_after(p, x, state):
    (h,) = state
    units = rows(p)
    r, z = sigmoid(gate(p, 0, x, h)), sigmoid(gate(p, 1, x, h))
    of_x = p["weight_ih"][2 * units :] @ x + p["bias"][2 * units :]
    of_h = p["weight_hh"][2 * units :] @ h + p["bias_hn"]
    n = np.tanh(of_x + r * of_h)
    return ((1 - z) * n + z * h,)


def gru_before(p, x, state):
    (h,) = state
    r, z = sigmoid(gate(p, 0, x, h)), sigmoid(gate(p, 1, x, h))
    n = np.tanh(gate(p, 2, x, r * h))
    return ((1 - z) * n + z * h,)


def uncoupled_gru(p, x, state, coupled=False):
    (h,) = state
    shift = 1 if coupled else 0
    f, o = sigmoid(gate(p, 1 - shift, x, h)), sigmoid(gate(p, 2 - shift, x, h))
    i = 1 - f if coupled else sigmoid(gate(p, 0, x, h))
    units = rows(p)
    last = slice((3 - shift) * units, None)
    c = np.tanh((p["weight_ih"][last] @ x + p["weight_hh"][last] @ h) * o + p["bias"][last])
    return (f * h + i * c,)


def mgu(p, x, state):
    (h,) = state
    f = sigmoid(gate(p, 0, x, h))
    candidate = np.tanh(gate(p, 1, x, f * h))
    return ((1 - f) * h + f * candidate,)


def janet(p, x, state, beta=1.0):
    (c,) = state
    s = gate(p, 0, x, c)
    candidate = np.tanh(gate(p, 1, x, c))
    return (sigmoid(s) * c + (1 - sigmoid(s - beta)) * candidate,)


def grud(p, x, state, m=None, delta=None):
    """The paper's z lets the candidate in; the stacked rows hold the gate that keeps, so z here is s(-(...))."""
    h, last = state
    m = np.ones_like(x) if m is None else m
    delta = np.ones_like(x) if delta is None else delta
    gamma_x = np.exp(-relu(p["decay_x"] * delta + p["decay_x_bias"]))
    gamma_h = np.exp(-relu(p["decay_h"] @ delta + p["decay_h_bias"]))
    x_hat = m * x + (1 - m) * (gamma_x * last + (1 - gamma_x) * p["mean"])
    h = gamma_h * h
    seen = np.concatenate((x_hat, m))
    r, z = sigmoid(gate(p, 0, seen, h)), sigmoid(-gate(p, 1, seen, h))
    candidate = np.tanh(gate(p, 2, seen, r * h))
    return (1 - z) * h + z * candidate, np.where(m > 0, x, last)
