"""Learns the trajectory error of a desktop 3D printer and predicts it in microseconds."""

from typing import TYPE_CHECKING, Any

from jaxcorr.errors import InputError as InputError

if TYPE_CHECKING:
    from jaxcorr.compensator import Compensator as Compensator
    from jaxcorr.deploy.predictor import Predictor as Predictor

__all__ = ["Compensator", "InputError", "Predictor"]


def __getattr__(name: str) -> Any:
    """Loads predictor and compensator, and jax with them, only when they are asked for."""
    if name == "Predictor":
        from jaxcorr.deploy.predictor import Predictor

        return Predictor
    if name == "Compensator":
        from jaxcorr.compensator import Compensator

        return Compensator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
