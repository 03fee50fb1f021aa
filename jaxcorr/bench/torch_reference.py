"""The reference document's network, training loop and streaming predictor, in PyTorch.

They are what jaxcorr is measured against, so each takes the quicker way where the document leaves
one open: windows are cut once, kept in memory and normalised, and a batch is one look-up. PyTorch
is an extra, loaded only when called for.
"""

import contextlib
import importlib
import math
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr.data import windows
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.models import bulk, normalize
from jaxcorr.models.normalize import Scale
from jaxcorr.spec import Spec

EVALUATION_BATCH = 1024
LOG_EVERY = 20  # batches between two looks at the loss, as in the document's terminal output


class Trained(NamedTuple):
    """What one call of `Trainer.train` did."""

    windows: int
    seconds: float
    loss: float


def load_torch() -> Any:
    """The torch module.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise InputError(
            "bench: expected PyTorch to compare with, got none. Run `just bench`, which installs "
            "it, or add --no-torch."
        ) from None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread within."""
    torch = load_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_network(spec: Spec, is_dense: bool = False) -> Any:
    """The document's network: a normalised window (b, t, f) in, the error at its end (b, k) out.

    Where it is dense, the errors at all steps (b, t, k).
    """
    torch = load_torch()
    nn, size = torch.nn, spec.model.encoder_size

    class WindowNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Linear(len(spec.data.features), size),
                nn.LayerNorm(size),
                nn.ReLU(),
                nn.Dropout(spec.model.dropout),
            )
            self.lstm = nn.LSTM(
                size, spec.model.hidden_size, spec.model.num_layers, batch_first=True
            )
            self.head = nn.Linear(spec.model.hidden_size, len(spec.data.targets))
            self.is_dense = is_dense  # TorchScript reads no variable from around the class

        def forward(self, windows):
            hidden, _ = self.lstm(self.encoder(windows))
            return self.head(hidden if self.is_dense else hidden[:, -1])

    return WindowNetwork()


class Trainer:
    """The document's training loop: AdamW on the last step of shuffled windows.

    With supervision "all" the loss is on every step of them, as jaxcorr's own.

    Attributes:
        network: trains on from call to call.
        num_windows: in an epoch.
        targets_per_window: that the loss compares.
    """

    def __init__(self, spec: Spec, samples: Samples, device: str = "cpu") -> None:
        """Cuts and normalises all windows of the training split.

        Args:
            spec: of it count window, stride, batch_size, supervision, model sizes, dropout, loss,
                learning_rate, weight_decay, precision and seed.
            samples: the training split.
            device: torch's name of it.
        """
        torch = load_torch()
        torch.manual_seed(spec.train.seed)
        self._torch, self._spec, self._device = torch, spec, device
        self._inputs, self._targets = fit_scales(samples)
        first = np.concatenate(
            list(windows.starts(samples, spec.data.window, spec.data.stride).values())
        )
        inputs, targets = windows.gather(samples, first, spec.data.window)
        self._x = torch.tensor(normalize.apply(self._inputs, inputs), device=device)
        is_dense = spec.data.supervision == "all"
        self.targets_per_window = spec.data.window if is_dense else 1
        compared = targets if is_dense else targets[:, -1]
        self._y = torch.tensor(normalize.apply(self._targets, compared), device=device)
        self.network = make_network(spec, is_dense).to(device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=spec.optimizer.learning_rate,
            weight_decay=spec.optimizer.weight_decay,
            fused=True,
        )
        self.num_windows = len(first)
        self._order: list[Any] = []

    def train(self, seconds: float) -> Trained:
        """Trains on for this long, to the next whole batch.

        Each call is one cycle of the document's cosine annealing with warm restarts, so that it
        ends with annealed weights however short it is.
        """
        self.network.train()
        count, began, loss = 0, time.perf_counter(), None
        while (elapsed := time.perf_counter() - began) < seconds:
            rate = self._spec.optimizer.learning_rate * (1 + math.cos(math.pi * elapsed / seconds))
            for group in self._optimizer.param_groups:
                group["lr"] = rate / 2
            rows = self._next_batch()
            loss = self._step(self._x[rows], self._y[rows])
            count += len(rows)
            if count // len(rows) % LOG_EVERY == 0:
                float(loss)  # waits for the device
        last = math.nan if loss is None else float(loss)
        return Trained(count, time.perf_counter() - began, last)

    def choose_threads(self, seconds: float = 0.5) -> int:
        """Trains for a moment on one thread and on all; PyTorch keeps what was quicker.

        On a busy machine several threads wait for one another and are slower than one.
        """
        rates = {}
        for count in {1, self._torch.get_num_threads()}:
            self._torch.set_num_threads(count)
            self.train(seconds / 5)
            done = self.train(seconds)
            rates[count] = done.windows / done.seconds
        fastest = max(rates, key=lambda count: rates[count])
        self._torch.set_num_threads(fastest)
        return fastest

    def predict(self, samples: Samples) -> Float32[ndarray, "rows k"]:
        """Errors (mm), each from the window that ends at its row; NaN where no whole one ends.

        Of a loop with the loss on the last step.
        """
        predicted = np.full_like(samples.targets, np.nan)
        parts = windows.starts(samples._replace(lead=0), self._spec.data.window, stride=1)
        first = np.concatenate([np.zeros(0, np.int64), *parts.values()])
        self.network.eval()
        with self._torch.no_grad():
            for begin in range(0, len(first), EVALUATION_BATCH):
                rows = first[begin : begin + EVALUATION_BATCH]
                inputs, _ = windows.gather(samples, rows, self._spec.data.window)
                x = self._torch.tensor(normalize.apply(self._inputs, inputs), device=self._device)
                outputs = self.network(x).cpu().numpy()
                ends = rows + self._spec.data.window - 1
                predicted[ends] = normalize.invert(self._targets, outputs)
        return predicted

    def _next_batch(self) -> Any:
        """Window numbers of the next batch; a new shuffle when an epoch is through."""
        if not self._order:
            shuffled = self._torch.randperm(self.num_windows, device=self._device)
            self._order = list(shuffled.split(self._spec.data.batch_size))
        return self._order.pop()

    def _step(self, x: Any, y: Any) -> Any:
        is_mixed = self._spec.train.precision == "bfloat16"
        kind = self._torch.device(self._device).type
        self._optimizer.zero_grad(set_to_none=True)
        with self._torch.autocast(kind, self._torch.bfloat16, enabled=is_mixed):
            outputs = self.network(x)
        residual = outputs.float() - y
        ratio = {"mae": 1.0, "mse": 0.0, "hybrid": self._spec.loss.mae_ratio}[self._spec.loss.name]
        loss = ratio * residual.abs().mean() + (1 - ratio) * residual.square().mean()
        loss.backward()
        self._optimizer.step()
        return loss.detach()


class WindowPredictor:
    """The document's StreamingPredictor: every sample runs the whole window again, from zero."""

    def __init__(self, spec: Spec, is_scripted: bool) -> None:
        """A predictor with fresh weights and unit scales: for timing only.

        Args:
            is_scripted: compile the network to TorchScript.
        """
        self._torch = load_torch()
        network = make_network(spec).eval()
        self._network = self._torch.jit.script(network) if is_scripted else network
        self._history: deque[list[float]] = deque(maxlen=spec.data.window)
        num_features = len(spec.data.features)
        self._scale = Scale(np.zeros(num_features, np.float32), np.ones(num_features, np.float32))

    def step(self, *sample: float) -> tuple[float, ...]:
        """Predicts from the newest window; zeros until there is one, as in the document."""
        self._history.append(list(sample))
        if len(self._history) < (self._history.maxlen or 0):
            return (0.0, 0.0)
        window = np.array(self._history, np.float32)
        window = normalize.apply(self._scale, window)
        with self._torch.no_grad():
            errors = self._network(self._torch.from_numpy(window).unsqueeze(0))
        return tuple(errors[0].numpy().tolist())


def fit_scales(samples: Samples) -> tuple[Scale, Scale]:
    """Normalisation of the raw features and of the targets, from the training split."""
    targets = samples.targets[bulk.has_target(samples)]
    return normalize.fit(samples.features), normalize.fit(targets)
