"""Pictures that processes share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from drivereplay.data.shared import SharedPictures

SIZE = 5000
BUDGET = 64 * SIZE


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, SIZE, np.uint8)


def name(number: int) -> bytes:
    return f"picture {number}".encode()


def same(found: NDArray[np.uint8] | None, number: int) -> bool:
    return found is not None and np.array_equal(found, picture(number))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "place"


def test_what_one_writes_another_reads(place: Path) -> None:
    one, other = SharedPictures(SIZE, BUDGET, place), SharedPictures(SIZE, BUDGET, place)
    assert one.read(name(1)) is None
    one.write(name(1), picture(1))
    other.write(name(2), picture(2))
    assert all(same(table.read(name(n)), n) for table in (one, other) for n in (1, 2))
    assert SharedPictures(SIZE + 1, BUDGET, place).read(name(1)) is None


CHILD = """
import sys
from pathlib import Path
from tests.data.test_shared import BUDGET, SIZE, SharedPictures, name, picture, same
table = SharedPictures(SIZE, BUDGET, Path(sys.argv[1]))
print(same(table.read(name(1)), 1), flush=True)
table.write(name(2), picture(2))
print("ready", flush=True)
sys.stdin.read()
"""


def other_process(place: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(place)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_another_process_finds_it_and_leaves_nothing_behind_when_it_is_killed(place: Path) -> None:
    table = SharedPictures(SIZE, BUDGET, place)
    table.write(name(1), picture(1))
    process = other_process(place)
    assert (line(process), line(process)) == ("True", "ready")
    process.kill()
    process.wait()
    assert same(table.read(name(2)), 2)
    assert [p.name for p in place.parent.iterdir()] == ["place"]
    assert place.stat().st_size < 100


def test_where_the_first_process_has_ended_the_next_one_begins_anew(place: Path) -> None:
    process = other_process(place)
    assert (line(process), line(process)) == ("False", "ready")
    kept = SharedPictures(SIZE, BUDGET, place)
    process.kill()
    process.wait()
    # who had it open has it still
    assert same(kept.read(name(2)), 2)
    again = SharedPictures(SIZE, BUDGET, place)
    assert again.read(name(2)) is None
    again.write(name(3), picture(3))
    assert same(SharedPictures(SIZE, BUDGET, place).read(name(3)), 3)


def test_memory_is_bounded_and_what_is_forgotten_is_not_taken_for_something_else(place: Path) -> None:
    table = SharedPictures(SIZE, BUDGET, place)
    for n in range(500):
        table.write(name(n), picture(n))
    found = [n for n in range(500) if table.read(name(n)) is not None]
    assert 32 <= len(found) <= 64
    assert all(same(table.read(name(n)), n) for n in found)


def test_half_full_it_forgets_next_to_nothing(place: Path) -> None:
    table = SharedPictures(16, 16 * 8192, place)
    for n in range(4096):
        table.write(name(n), np.full(16, n % 251, np.uint8))
    assert sum(table.read(name(n)) is not None for n in range(4096)) > 4096 * 0.99


def test_a_torn_or_changed_picture_is_not_there(place: Path) -> None:
    table = SharedPictures(SIZE, BUDGET, place)
    for n in range(40):
        table.write(name(n), picture(n))
    memory = table._file
    whole = os.fstat(memory).st_size
    for at in range(table._pictures, whole, SIZE):
        # a byte of every slot, as of a write that is under way
        byte = os.pread(memory, 1, at + 77)
        os.pwrite(memory, bytes([byte[0] ^ 1]), at + 77)
    assert all(table.read(name(n)) is None for n in range(40))


def test_it_is_let_go_of_when_it_is_closed_or_forgotten(place: Path) -> None:
    def held() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = held()
    table = SharedPictures(SIZE, BUDGET, place)
    table.close()
    table.close()
    for _ in range(3):
        SharedPictures(SIZE, BUDGET, place)
    assert held() == before


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "999999999 3", f"{os.getpid()} 0"])
def test_a_place_that_tells_nothing_right_is_written_anew(place: Path, text: str) -> None:
    place.write_text(text)
    one = SharedPictures(SIZE, BUDGET, place)
    one.write(name(1), picture(1))
    assert same(SharedPictures(SIZE, BUDGET, place).read(name(1)), 1)


def test_a_link_is_not_followed(place: Path) -> None:
    place.symlink_to(place.parent / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        SharedPictures(SIZE, BUDGET, place)


def test_a_system_without_it_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(OSError, match="memfd_create"):
        SharedPictures(SIZE, BUDGET, place)
