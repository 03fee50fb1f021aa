"""The compensator for control code, where programs import it from."""

from jaxcorr.compensation.compensator import Compensator as Compensator
