"""neuralforecast's LSTM on one column of a table, at the size that pipeline.py trains, in an environment of its own.

    NEURALFORECAST/bin/python benchmarks/neuralforecast_lstm.py ETTh1.csv OT --epochs 3

Set as pipeline.py sets the others: windows of 96 rows, 96 ahead, batches of 64 windows, one layer of 64 units and a
linear decoder, fused Adam, clipping, one validation an epoch. An epoch is as many steps as batches of 64 fit the
training windows; neuralforecast draws its windows with replacement between steps. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

import pandas
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MSE
from neuralforecast.models import LSTM
from pytorch_lightning.callbacks import Callback

TRAIN, VAL = 8640, 2880  # rows, as data=etth1 has them
LOOKBACK = HORIZON = 96
WINDOWS = TRAIN - LOOKBACK - HORIZON + 1


class Clock(Callback):
    """Notes when training begins."""

    began = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.began = time.perf_counter()


def series(path: str, column: str) -> pandas.DataFrame:
    """Return the rows up to the end of validation, scaled by the training rows, as neuralforecast wants them."""
    rows = pandas.read_csv(path, parse_dates=["date"])[: TRAIN + VAL]
    values = rows[column]
    scaled = (values - values[:TRAIN].mean()) / values[:TRAIN].std(ddof=0)
    return pandas.DataFrame({"unique_id": column, "ds": rows["date"], "y": scaled.astype("float32")})


def main() -> None:
    """Train, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("column")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    steps = -(-WINDOWS // 64)
    model = LSTM(
        h=HORIZON,
        input_size=LOOKBACK,
        encoder_n_layers=1,
        encoder_hidden_size=asked.hidden,
        decoder_layers=1,
        loss=MSE(),
        max_steps=asked.epochs * steps,
        val_check_steps=steps,
        windows_batch_size=64,
        inference_windows_batch_size=64,
        scaler_type="identity",
        learning_rate=3e-3,
        optimizer=torch.optim.Adam,
        optimizer_kwargs={"fused": True},
        gradient_clip_val=1.0,
        random_seed=asked.seed,
        callbacks=[Clock()],
        accelerator="cpu",
    )
    forecast = NeuralForecast(models=[model], freq="h")
    forecast.fit(series(asked.path, asked.column), val_size=VAL)
    model = forecast.models[0]  # a copy of what was given
    (clock,) = (part for part in model.trainer_kwargs["callbacks"] if isinstance(part, Clock))
    seconds = time.perf_counter() - clock.began
    parts = [value for _, value in model.train_trajectories[-steps:]]
    found = {"seconds": seconds, "loss": sum(parts) / len(parts), "val_loss": float(model.valid_trajectories[-1][1])}
    found |= {"steps": asked.epochs * steps, "parameters": sum(p.numel() for p in model.parameters())}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
