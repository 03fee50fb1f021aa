"""Learns the trajectory error of a desktop 3D printer and predicts it in microseconds."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxcorr.errors import InputError as InputError

if TYPE_CHECKING:
    from jaxcorr.compensator import Compensator as Compensator
    from jaxcorr.deploy.predictor import Predictor as Predictor
    from jaxcorr.motion import plan as plan
    from jaxcorr.motion import read_gcode as read_gcode
    from jaxcorr.motion import simulate as simulate

__all__ = ["Compensator", "InputError", "Predictor", "plan", "read_gcode", "simulate"]

# Where a program's names come from; they load, and jax with them, only when they are asked for.
_HOMES = {
    "Compensator": "jaxcorr.compensator",
    "Predictor": "jaxcorr.deploy.predictor",
    "plan": "jaxcorr.motion",
    "read_gcode": "jaxcorr.motion",
    "simulate": "jaxcorr.motion",
}


def __getattr__(name: str) -> Any:
    """Loads what a program imports from here."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except AttributeError as error:
        # Python would take it for a name that is missing here, and say nothing of its cause.
        raise ImportError(f"cannot import {name}: {error}") from error
