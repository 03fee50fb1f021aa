"""The linear path beside the network: fitted first, taken off the targets that training sees.

With little data a regression on binned motion is hard to learn and easy to fit. It is fitted on the
training split like the baseline of the same name; the network can then only add to it.
"""

from pathlib import Path

import numpy as np

from jaxcorr.data.dataset import Dataset
from jaxcorr.data.windows import Samples
from jaxcorr.models import baselines, linear_path, network
from jaxcorr.models.network import Variables
from jaxcorr.spec import Spec, own_velocities


def fit_path(spec: Spec, data: Dataset, kept: Path | None = None) -> Variables:
    """The linear path of a spec, as it joins the network's parameters; nothing without one.

    Args:
        kept: the run's fitted baselines, if there is a run. The path is taken from there, since
            another fit may differ in its last bits; it is fitted where there is no such file.
    Raises:
        InputError: the file is damaged.
    """
    if not network.has_linear_path(spec):
        return {}
    if kept and kept.exists():
        found = baselines.load(kept).binned
    else:
        found = baselines.regress(spec.data, data.train, data.val, baselines.binned_design)
    return {network.LINEAR_PATH: linear_path.from_coefficients(found)}


def take(spec: Spec, path: Variables, samples: Samples) -> Samples:
    """The samples with what the path predicts taken off their targets."""
    if not path:
        return samples
    coefficients = linear_path.to_coefficients(path[network.LINEAR_PATH])
    columns, left = list(own_velocities(spec.data) or ()), []
    for features, targets in baselines.each_trace(samples):
        rest = targets - baselines.apply_binned(coefficients, features[:, columns])
        left.append(rest.astype(np.float32))
    return samples._replace(targets=np.concatenate(left))


def name_best(spec: Spec, best_epoch: int) -> str:
    """Whose weights are the best of a run: those of an epoch, or where it is 0, of none."""
    if best_epoch:
        return f"epoch {best_epoch}"
    return "the linear path alone" if network.has_linear_path(spec) else "the untrained network"
