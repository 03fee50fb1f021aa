"""What a linear path leaves to the network: the path is fitted first, the network learns the rest.

With little data a regression on binned motion is hard to learn and easy to fit. It is fitted on the
training split like the baseline of the same name, and subtracted from its targets; the network can
then only add to it. The module knows splits and baselines; it knows no network.
"""

import numpy as np

from jaxcorr import baselines, linear_path, model
from jaxcorr.dataset import Dataset
from jaxcorr.model import Variables
from jaxcorr.spec import Spec, own_velocities
from jaxcorr.windows import Samples


def fit_path(spec: Spec, data: Dataset) -> Variables:
    """The linear path of a spec, as it joins the network's parameters; nothing without one."""
    if not model.has_linear_path(spec):
        return {}
    found = baselines.regress(spec.data, data.train, data.val, baselines.binned_design)
    return {model.LINEAR_PATH: linear_path.from_coefficients(found)}


def take(spec: Spec, path: Variables, samples: Samples) -> Samples:
    """The samples with what the path predicts taken off their targets."""
    if not path:
        return samples
    coefficients = linear_path.to_coefficients(path[model.LINEAR_PATH])
    columns, left = list(own_velocities(spec.data) or ()), []
    for features, targets in baselines.each_trace(samples):
        left.append(targets - baselines.apply_binned(coefficients, features[:, columns]))
    return samples._replace(targets=np.concatenate(left).astype(np.float32))
