"""Processes that train together meet first: all go on, or each says in one line why not."""

import socket
import threading

import pytest

from jaxcorr.errors import InputError
from jaxcorr.training import rendezvous
from jaxcorr.training.rendezvous import Place


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def meet(*places, wait_s=10.0):
    """What each process is told, an empty text where it may go on."""
    told = [""] * len(places)

    def run(i):
        try:
            rendezvous.meet(places[i], wait_s)
        except InputError as error:
            told[i] = str(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(places))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_all_go_on_when_all_have_come(address):
    assert meet(*(Place(address, 4, index) for index in (3, 1, 0, 2))) == [""] * 4


def test_alone_there_is_nobody_to_wait_for(address):
    assert meet(Place(address, 1, 0), wait_s=0.0) == [""]


def test_missing_process_is_named_to_those_who_came(address):
    told = meet(Place(address, 4, 0), Place(address, 4, 2), wait_s=0.5)
    rule = f"{address}: expected 4 processes, got no word from 1, 3. Start all of them"
    assert told[0].startswith(rule)


def test_first_process_that_never_comes_is_one_line(address):
    (told,) = meet(Place(address, 2, 1), wait_s=0.3)
    assert told.startswith(f"{address}: expected process 0 to answer within a minute, got nothing.")
    assert "\n" not in told


def test_other_counts_are_told_to_both(address):
    told = meet(Place(address, 2, 0), Place(address, 3, 1))
    assert told[0] == told[1]
    assert "expected JAX_NUM_PROCESSES = 2 in all processes, got 3 in process 1." in told[0]


def test_two_of_one_number_are_told_to_all(address):
    told = meet(Place(address, 3, 0), Place(address, 3, 1), Place(address, 3, 1))
    assert len(set(told)) == 1
    assert "expected each JAX_PROCESS_ID once, got 1 twice. Number the processes" in told[0]


def test_strangers_at_the_port_are_turned_away(address):
    host, port = address.split(":")
    told = []
    first = threading.Thread(target=lambda: told.append(meet(Place(address, 2, 0))))
    first.start()
    for greeting in (b"GET / HTTP/1.1\n", b"[1, 2]\n", b""):
        while True:
            try:
                peer = socket.create_connection((host, int(port)))
                break
            except ConnectionRefusedError:
                continue
        peer.sendall(greeting)
        peer.close()
    assert meet(Place(address, 2, 1)) == [""]
    first.join()
    assert told == [[""]]


def test_port_that_is_taken_is_one_line():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        (told,) = meet(Place(f"127.0.0.1:{port}", 2, 0))
    assert told == (
        f"JAX_COORDINATOR_ADDRESS: expected a free port, got {port}: 'Address already in use'. "
        "Choose another."
    )


GOOD = {
    "JAX_COORDINATOR_ADDRESS": "[::1]:7000",
    "JAX_NUM_PROCESSES": "3",
    "JAX_PROCESS_ID": "2",
}


def test_place_is_read_from_the_environment():
    assert rendezvous.read_place(GOOD) == Place("[::1]:7000", 3, 2)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("JAX_COORDINATOR_ADDRESS", "somewhere", "expected host:port, got 'somewhere'."),
        ("JAX_COORDINATOR_ADDRESS", "here:99999", "expected host:port, got 'here:99999'."),
        ("JAX_NUM_PROCESSES", "", "expected a whole number >= 1 beside"),
        ("JAX_NUM_PROCESSES", "0", "expected a whole number >= 1 beside"),
        ("JAX_PROCESS_ID", "-1", "expected a whole number >= 0 beside"),
        ("JAX_PROCESS_ID", "3", "expected a number below JAX_NUM_PROCESSES = 3, got 3."),
    ],
)
def test_wrong_variables_are_refused_by_name(name, value, rule):
    with pytest.raises(InputError) as caught:
        rendezvous.read_place(GOOD | {name: value})
    assert str(caught.value).startswith(f"{name}: {rule}")
