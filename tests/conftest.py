"""Shape annotations checked at run time, and the hypothesis profiles.

`--hypothesis-profile=thorough` runs 10,000 cases of every property.
"""

from pathlib import Path

import jaxtyping
from hypothesis import settings

# Before any test imports them: modules that declare shapes are checked, under pytest only.
SOURCES = (Path(__file__).parent.parent / "jaxcorr").glob("*.py")
SHAPED = [f"jaxcorr.{path.stem}" for path in SOURCES if "from jaxtyping" in path.read_text()]
NUMBERS = "beartype.BeartypeConf(is_pep484_tower=True)"  # an int is a float, as for pyright
jaxtyping.install_import_hook(SHAPED, f"beartype.beartype(conf={NUMBERS})")

settings.register_profile("thorough", max_examples=10_000, deadline=None)
