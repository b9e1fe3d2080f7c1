"""One forward and backward pass of a layer, in each library that has it; run as a script, a timing worker.

The worker reads one JSON request a line, ``{"op": "build", "library", "cell", "shape", "threads"}`` or
``{"op": "time", "key"}``, and answers in one line. It imports seqlab only when asked for it, so that it also runs in an
interpreter that holds nothing but a peer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

#: What a library calls a cell of ours; the package that must be importable for it.
CELLS = {
    "torch.nn": {"rnn": "RNN", "irnn": "RNN", "lstm": "LSTM", "lstmp": "LSTM", "gru": "GRU"},
    "torchrecurrent": {
        "peephole_lstm": "PeepholeLSTM",
        "mgu": "MGU",
        "janet": "JANET",
        "indrnn": "IndRNN",
    },
    "keras": {
        "rnn": "SimpleRNN",
        "lstm": "LSTM",
        "lstm_relu": "LSTM",
        "gru": "GRU",
        "gru_reset_before": "GRU",
    },
    "flax": {"rnn": "SimpleCell", "lstm": "OptimizedLSTMCell", "gru": "GRUCell"},
}
KERAS_OPTIONS: dict[str, dict[str, Any]] = {
    "lstm_relu": {"activation": "relu"},
    "gru_reset_before": {"reset_after": False},
}
TORCH_OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "irnn": lambda hidden: {"nonlinearity": "relu"},
    "lstmp": lambda hidden: {"proj_size": hidden // 2},
}
Pass = Callable[[], None]


def available(library: str) -> bool:
    """Whether this interpreter can time the library."""
    packages = {"torch.nn": ["torch"], "keras": ["keras", "tensorflow"], "flax": ["flax", "jax"]}
    return all(importlib.util.find_spec(name) is not None for name in packages.get(library, [library]))


def torch_pass(layer: Any, shape: list[int]) -> Pass:
    """Return forward and backward of mean(output) for a layer that maps (B, T, I) to a pair."""
    import torch

    x = torch.randn(shape[:3])

    def run() -> None:
        layer.zero_grad()
        layer(x)[0].mean().backward()

    return run


def build_torch(library: str, cell: str, shape: list[int]) -> Pass:
    inputs, hidden = shape[2:]
    if library == "seqlab":
        from seqlab.nn import RNN

        return torch_pass(RNN(cell, inputs, hidden), shape)
    module = __import__("torch").nn if library == "torch.nn" else __import__(library)
    options = TORCH_OPTIONS[cell](hidden) if library == "torch.nn" and cell in TORCH_OPTIONS else {}
    layer = getattr(module, CELLS[library][cell])(inputs, hidden, batch_first=True, **options)
    return torch_pass(layer, shape)


def build_keras(cell: str, shape: list[int]) -> Pass:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    options = KERAS_OPTIONS.get(cell, {})
    layer = getattr(keras.layers, CELLS["keras"][cell])(shape[3], return_sequences=True, **options)
    x = tf.random.normal(shape[:3])
    layer(x)

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(x))
        return tape.gradient(loss, layer.trainable_variables)

    return lambda: [g.numpy() for g in gradients()] and None


def build_flax(cell: str, shape: list[int]) -> Pass:
    import jax
    from flax import linen

    layer = linen.RNN(getattr(linen, CELLS["flax"][cell])(features=shape[3]))
    x = jax.random.normal(jax.random.key(0), shape[:3])
    parameters = layer.init(jax.random.key(1), x)
    gradients = jax.jit(jax.grad(lambda p, x: layer.apply(p, x).mean()))
    return lambda: jax.block_until_ready(gradients(parameters, x)) and None


def build(library: str, cell: str, shape: list[int], threads: int) -> Pass:
    """Return one pass of a library's cell, after two passes that pay for compilation and caches."""
    if library in ("keras", "flax"):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
        run = (build_keras if library == "keras" else build_flax)(cell, shape)
    else:
        import torch

        torch.set_num_threads(threads)
        run = build_torch(library, cell, shape)
    for _ in range(2):
        run()
    return run


def milliseconds(run: Pass) -> float:
    """Return the wall time of one pass."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def serve() -> None:
    """Answer requests until the input ends. Libraries that print are sent to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    passes: dict[str, Pass] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "libraries":
            answer: Any = [name for name in request["names"] if available(name)]
        elif request["op"] == "build":
            key = f"{request['library']} {request['cell']}"
            passes[key] = build(request["library"], request["cell"], request["shape"], request["threads"])
            answer = key
        else:
            # The first pass of a turn runs beside the threads of the process before, which still spin for their next
            # work, up to 4 ms longer.
            milliseconds(passes[request["key"]])
            answer = milliseconds(passes[request["key"]])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
