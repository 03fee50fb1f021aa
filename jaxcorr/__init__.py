"""Learns the trajectory error of a desktop 3D printer and predicts it in microseconds."""

from typing import TYPE_CHECKING, Any

from jaxcorr.errors import InputError as InputError

if TYPE_CHECKING:
    from jaxcorr.deploy.predictor import Predictor as Predictor

__all__ = ["InputError", "Predictor"]


def __getattr__(name: str) -> Any:
    """Loads the predictor, and jax with it, only when it is asked for."""
    if name == "Predictor":
        from jaxcorr.deploy.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
