"""``seqlab predict RUN``: apply a finished run to a file or a text, from the run folder alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqlab.data import Batch
from seqlab.data._text import LabelledText
from seqlab.data.forecasting import ForecastingData
from seqlab.errors import RequestError, RunError
from seqlab.restore import data_config, finished_run, restored_data, restored_task
from seqlab.runs.files import write_text
from seqlab.tasks import SequenceTask
from seqlab.training.complaints import in_house_style
from seqlab.training.surroundings import quiet

BATCH = 256


def main(arguments: Sequence[str]) -> int:
    """Run ``seqlab predict``."""
    parser = argparse.ArgumentParser("seqlab predict", description=__doc__)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--input", help="a file of the form the run was trained on; of texts, one a line also does")
    parser.add_argument("--text", action="append", help="a text to classify; may be given several times")
    parser.add_argument("--output", help="a csv file; without one the table goes to the screen")
    chosen = parser.parse_args(list(arguments))
    with in_house_style():
        table = predict(chosen.run, chosen.input, chosen.text)
    text = table.to_csv(index=False)
    if chosen.output is None:
        sys.stdout.write(text)
        return 0
    try:
        write_text(Path(chosen.output), text)
    except OSError as error:
        raise RunError(f"--output {chosen.output} can't be written: {error.strerror or error}.") from error
    sys.stderr.write(f"{len(table)} rows in {chosen.output}\n")
    return 0


def predict(folder: str, file: str | None = None, texts: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a run's predictions for a file or for texts.

    Args:
        folder: a completed run's.
        file: for a forecaster, rows up to the present: forecasts lie side by side and the last one past the end. For a
            text classifier, a csv or tsv with the text column, or plain lines.
        texts: texts to classify.

    Returns:
        Forecasting: one row a forecast value (series where there are several, date, step, target, truth where known,
        forecast, and quantiles where the run has them), in original units. Text: text, class, each class's probability.

    Raises:
        RequestError: the run, the file or the question is wrong.
    """
    run = finished_run(folder)
    if (file is None) == (not texts):
        raise RequestError("Give either --input FILE or --text TEXT.")
    with quiet(), torch.inference_mode():
        data = restored_data(data_config(run, []), run)
        if isinstance(data, ForecastingData) and file is not None:
            return _forecasts(restored_task(run, data.spec), data, file)
        if isinstance(data, LabelledText):
            column = run.config["data"].get("text", "text")
            told = list(texts or _lines(str(file), column if isinstance(column, str) else column[0]))
            return _classes(restored_task(run, data.spec), data, told)
    kind = run.choices.get("task", "this kind of")
    raise RequestError(
        f"seqlab predict knows series to forecast (--input) and texts to classify (--input or --text); this run is of"
        f" {kind} data. `seqlab evaluate {folder} data.path=...` scores it on other files."
    )


def _forecasts(task: SequenceTask, data: ForecastingData, file: str) -> pd.DataFrame:
    inputs = data.inputs(file)
    parts = []
    for start in range(0, len(inputs.examples), BATCH):
        batch = inputs.examples.__getitems__(range(start, min(start + BATCH, len(inputs.examples))))
        parts.append(_original(task, task(batch), batch))
    values = torch.cat(parts).double().numpy()  # (M, K, O) or (M, K, O, Q)
    count, horizon, outputs = values.shape[:3]
    levels = list(getattr(task, "quantiles", ()))
    middle = values[..., levels.index(0.5)] if levels else values
    each = horizon * outputs
    table = {
        "date": np.repeat(inputs.dates.reshape(-1), outputs),
        "step": np.tile(np.repeat(np.arange(1, horizon + 1), outputs), count),
        "target": np.tile(np.array(data.spec.target_names), count * horizon),
        "truth": inputs.truth.reshape(-1),
        "forecast": middle.reshape(-1),
        **{f"q{level:g}": values[..., number].reshape(-1) for number, level in enumerate(levels)},
    }
    frame = pd.DataFrame(table)
    if any(inputs.series):
        frame.insert(0, "series", np.repeat(np.array(inputs.series), each))
    return frame


def _original(task: SequenceTask, prediction: Tensor, batch: Batch) -> Tensor:
    """Return a forecast (B, K, O) or (B, K, O, Q) in the data's own units."""
    center, scale = batch.center, batch.scale
    if center is None or scale is None:
        center, scale = torch.tensor([task.spec.center]), torch.tensor([task.spec.scale])
    shape = (-1, 1, center.shape[1], *[1] * (prediction.ndim - 3))
    return prediction.double() * scale.double().view(shape) + center.double().view(shape)


def _classes(task: SequenceTask, data: LabelledText, texts: list[str]) -> pd.DataFrame:
    names = data.spec.class_names
    parts = [task(data.encode(texts[i : i + BATCH])).softmax(-1) for i in range(0, len(texts), BATCH)]
    chances = torch.cat(parts).double().numpy()
    frame = pd.DataFrame({"text": texts, "class": [names[i] for i in chances.argmax(1)]})
    return frame.assign(**{f"p({name})": chances[:, i] for i, name in enumerate(names)})


def _lines(file: str, column: str) -> list[str]:
    """Return the texts of a file: a table's column, or its lines."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise RequestError(f"--input {file}: there is no such file.")
    try:
        if path.suffix in (".csv", ".tsv"):
            table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
            if column not in table:
                raise RequestError(f"--input {file} has no column {column!r}; it has {', '.join(map(str, table))}.")
            texts = table[column].tolist()
        else:
            texts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise RequestError(f"--input {file} can't be read as text: {error}") from error
    if not texts:
        raise RequestError(f"--input {file} holds no text.")
    return texts
