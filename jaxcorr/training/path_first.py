"""The path beside the network: fitted first, taken off the targets that training sees.

A plant of a dozen numbers explains most of what an elastic printer does, and with little data a
regression on smooth functions of velocity is hard to learn and easy to fit. Either is a baseline
too; the network learns what it leaves, in units of what it leaves.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcorr.data.dataset import Dataset
from jaxcorr.data.windows import Samples
from jaxcorr.models import baselines, grey_box, network, plant_path
from jaxcorr.models.grey_box import Identified
from jaxcorr.models.network import Variables
from jaxcorr.spec import Spec, own_positions, own_velocities


class Fitted(NamedTuple):
    """A path, as it joins the network's parameters, nothing without one; why it is a blank one."""

    path: Variables
    note: str = ""


def fit_path(spec: Spec, data: Dataset, kept: Path | None = None) -> Fitted:
    """The path of a spec. A plant that is of no use is left out: its path predicts zero.

    Args:
        kept: the run's fitted baselines, if there is a run. The path is taken from there, since
            another fit may differ in its last bits; it is fitted where there is no such file.
    Raises:
        InputError: the file is damaged.
    """
    known = baselines.load(kept, spec.data) if kept and kept.exists() else None
    if spec.model.path == "smooth":
        path = known.smooth if known else baselines.fit_smooth(spec.data, data.train)
        assert path is not None, "the spec has been checked for velocities"
        return Fitted({network.PATH: path})
    if spec.model.path == "plant":
        plant = known.plant if known else baselines.identify(spec.data, data.train)
        assert plant is not None, "the spec has been checked for what a plant follows"
        if not grey_box.is_fit(plant):
            return Fitted(network.blank_path(spec), _say_unfit(plant))
        return Fitted({network.PATH: plant_path.from_axes(plant.axes, spec.data.sample_rate_hz)})
    return Fitted({})


def take(spec: Spec, path: Variables, samples: Samples) -> Samples:
    """The samples with what the path predicts taken off their targets."""
    if not path:
        return samples
    data, velocities = spec.data, list(own_velocities(spec.data) or ())
    if spec.model.path == "plant":
        motion = (*(own_positions(data) or ()), *velocities)
        how = (path[network.PATH], data.horizon, data.sample_rate_hz, motion)
        return samples._replace(targets=samples.targets - baselines.apply_plant(*how, samples))
    said = baselines.apply_smooth(path[network.PATH], data.sample_rate_hz, velocities, samples)
    return samples._replace(targets=samples.targets - said)


def _say_unfit(plant: Identified) -> str:
    explained = 100.0 * (1.0 - float(np.max(plant.unexplained)))
    untold = " and ".join(grey_box.untold(plant))
    why = f", but the traces tell no {untold}: they show no resonance" if untold else ""
    return (
        f"model.path = 'plant': the plant explains {max(explained, 0.0):.0f}% of an axis's error"
        f"{why}; training goes on without it"
    )
