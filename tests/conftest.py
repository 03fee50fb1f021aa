"""Hypothesis profiles: `--hypothesis-profile=thorough` runs 10,000 cases of every property."""

from hypothesis import settings

settings.register_profile("thorough", max_examples=10_000, deadline=None)
