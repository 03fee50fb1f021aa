"""How many pieces a second of print may have."""

import numpy as np

from jaxcorr.rewrite import pieces
from jaxcorr.rewrite.dialect import MOST_IN_1_S


def too_dense(begin_s, tolerance_mm=0.01):
    """Two pieces a move, in no order, against the same counted for each second."""
    begin_s = np.sort(begin_s)
    order = np.random.default_rng(1).permutation(len(begin_s))
    move = np.arange(len(begin_s)) // 2
    cuts = pieces._Cuts(move[order], begin_s[order], begin_s[order])
    expected = np.zeros(len(begin_s) // 2, np.bool_)
    for second in begin_s:
        inside = (begin_s >= second) & (begin_s < second + 1.0)
        if inside.sum() > MOST_IN_1_S:
            expected[move[inside]] = True
    found = pieces._too_dense(cuts, np.full(len(expected), tolerance_mm), MOST_IN_1_S)
    return found, expected


def test_a_full_second_is_found_wherever_it_begins():
    key = np.random.default_rng(0)
    burst = np.concatenate([key.uniform(0, 9, 700), key.uniform(4.3, 5.2, 60)])
    found, expected = too_dense(burst)
    assert 0 < expected.sum() < len(expected)
    assert (found == expected).all()
    assert not too_dense(key.uniform(0, 9, 300))[0].any()


def test_the_loosest_tolerance_does_not_grow():
    assert not too_dense(np.linspace(0, 1, 400), pieces.LOOSEST_MM)[0].any()
