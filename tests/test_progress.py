"""What a listener is told of a counted phase, whether it is used to its end or not."""

from jaxcorr import progress
from jaxcorr.progress import Progress


def test_a_phase_ends_where_its_caller_needs_no_more_of_it():
    told = []
    with progress.listening(told.append):
        for number in progress.count(range(5), "searching"):
            if number == 1:
                break
    assert told == [Progress("searching", done, 5) for done in (0, 1, 5)]
    list(progress.count(range(3), "nobody listens"))
    assert len(told) == 3
