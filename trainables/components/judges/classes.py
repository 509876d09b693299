"""From the outputs of an added judge to the classes of a corpus: by a table, or by a linear probe.

A table keeps the judge independent of the corpus's recordings, but somebody has to write it, and it needs a judge that
knows such classes. So a probe (logistic regression on embeddings of train clips) is the default: it works with every
network and every corpus, and its classes are those of the corpus.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.shapes import Embeddings
from trainables.components.training.train_once import isolate_training
from trainables.errors import InputError
from trainables.support.cache import write_once

PENALTY = 0.01
"""The weight of the probe's squared coefficients, per clip, on standardized embeddings."""
ITERATIONS = 200

Probabilities = Float[Tensor, "clips classes"]


class ClassTable:
    """A table that assigns the outputs of a judge to the classes of a corpus.

    The probability of a class is proportional to the largest score among its outputs.

    Args:
        path: the CSV table.
        classes: the classes of the corpus.
        where: the beginning of error messages.

    Raises:
        InputError: the table can't be read, has a class that the corpus has not, or lacks one.
    """

    def __init__(self, path: Path, classes: Sequence[str], where: str) -> None:
        self._where = f"{where}: classes: {path}"
        self._outputs: list[list[int]] = [[] for _ in classes]
        for number, row in enumerate(self._read_rows(path), start=2):
            name = (row["class"] or "").strip()
            if name and name not in classes:
                raise InputError(
                    f"{self._where}:{number}: the corpus has no class {name!r}; it has: {', '.join(classes)}"
                )
            if name:
                self._outputs[classes.index(name)].append(self._parse_index(row["index"], number))
        lacking = [name for name, outputs in zip(classes, self._outputs, strict=True) if not outputs]
        if lacking:
            raise InputError(
                f"{self._where}: no output stands for {', '.join(lacking)}; add rows, or delete `classes:` so that a "
                "linear probe is fitted"
            )

    def _read_rows(self, path: Path) -> list[dict[str, str]]:
        try:
            with path.expanduser().open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self._where}: can't be read ({error}); give a CSV table") from error
        missing = {"index", "class"} - set(reader.fieldnames or ())
        if missing:
            raise InputError(
                f"{self._where}: has no column {' and no column '.join(sorted(missing))}; it needs index, the number of"
                " an output from 0 on, and class, a class of the corpus"
            )
        return rows

    def _parse_index(self, text: str, number: int) -> int:
        if not text.strip().isdecimal():
            raise InputError(f"{self._where}:{number}: index {text!r} is no number from 0 on")
        return int(text)

    def to_probabilities(self, scores: NDArray[np.float32] | None) -> Probabilities:
        """Return the probability of each class.

        Raises:
            InputError: the judge has no scores, or fewer outputs than the table names.
        """
        highest = max(max(outputs) for outputs in self._outputs)
        if scores is None or scores.shape[1] <= highest:
            given = "none" if scores is None else str(scores.shape[1])
            raise InputError(f"{self._where}: names output {highest}, the judge has {given}; correct the table")
        largest = [scores[:, outputs].max(axis=1) for outputs in self._outputs]
        return normalize(torch.from_numpy(np.stack(largest, axis=1)))


class Probe:
    """A linear classifier of embeddings.

    Args:
        weights: `mean` and `std` of the embeddings, and the `coefficients` and `intercepts` of the classes.
    """

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = {name: torch.from_numpy(values) for name, values in weights.items()}

    def to_probabilities(self, embeddings: Embeddings) -> Probabilities:
        """Return the probability of each class.

        Raises:
            InputError: the embeddings have another number of features than those that the probe was fitted to.
        """
        mean, std, coefficients, intercepts = (
            self._weights[name] for name in ("mean", "std", "coefficients", "intercepts")
        )
        if embeddings.shape[1] != len(mean):
            raise InputError(
                f"embeddings have {embeddings.shape[1]} features, those of train clips had {len(mean)}; a judge must "
                "always return the same number"
            )
        return F.softmax((embeddings - mean) / std @ coefficients + intercepts, dim=1)


def open_probe(path: Path, embeddings: Embeddings, labels: Int64[Tensor, " clips"], num_classes: int) -> Probe:
    """Return the probe of a cache file; the first time, it is fitted.

    Args:
        path: the cache file.
        embeddings: of train clips.
        labels: their classes.
        num_classes: the number of classes of the corpus.
    """

    def make(part: Path) -> None:
        with part.open("wb") as file:
            weights = fit_probe(embeddings, labels, num_classes)
            np.savez(file, allow_pickle=False, **weights)

    with np.load(write_once(path, make)) as stored:
        return Probe({name: stored[name] for name in stored.files})


def fit_probe(
    embeddings: Embeddings, labels: Int64[Tensor, " clips"], num_classes: int
) -> dict[str, NDArray[np.float32]]:
    """Fit a multinomial logistic regression with a squared penalty, by L-BFGS from zero."""
    with isolate_training(0, torch.device("cpu")):
        mean, std = embeddings.mean(dim=0), embeddings.std(dim=0).clamp(min=1e-6)
        standardized = ((embeddings - mean) / std).double()
        coefficients = torch.zeros(embeddings.shape[1], num_classes, dtype=torch.float64, requires_grad=True)
        intercepts = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [coefficients, intercepts], max_iter=ITERATIONS, line_search_fn="strong_wolfe", tolerance_grad=1e-6
        )

        def close() -> float:
            optimizer.zero_grad()
            loss = F.cross_entropy(standardized @ coefficients + intercepts, labels)
            loss = loss + PENALTY / 2 * coefficients.square().sum()
            loss.backward()
            return float(loss.detach())

        optimizer.step(close)
    weights = {"mean": mean, "std": std, "coefficients": coefficients.detach(), "intercepts": intercepts.detach()}
    return {name: values.float().numpy() for name, values in weights.items()}


def normalize(scores: Float[Tensor, "clips classes"]) -> Probabilities:
    """Divide scores by their sum; a clip without any score gets equal probabilities."""
    total = scores.sum(dim=1, keepdim=True)
    return torch.where(total > 0, scores / total.clamp(min=1e-12), 1 / scores.shape[1])
