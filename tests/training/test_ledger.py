"""The ledger: exact after any resume."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.training.helpers import memory_batches, small_spec

from drivereplay.storage import Storage
from drivereplay.training.ledger import LEDGER, SCHEMA, Ledger, read_ledger, rows_of


def write(directory: Storage, first: int, parts: list[int], workers: int = 1) -> Ledger:
    spec = small_spec()
    ledger = Ledger(directory, [d.name for d in spec.domains], lambda domain, clip: (f"{domain}-{clip}.mp4", clip / 2))
    ledger.begin(first)
    for end in parts:
        rows = [
            row
            for rank in range(workers)
            for batch in memory_batches(spec, first, end, rank=rank, world_size=workers)
            for row in rows_of(batch, rank)
        ]
        ledger.close_part(first, end, rows)
        first = end
    return ledger


def test_rows_say_what_was_used_in_order(tmp_path: Path) -> None:
    directory = Storage.of(tmp_path)
    write(directory, 0, [2, 4]).finish()
    table = read_ledger(directory)
    assert table.schema == SCHEMA
    rows = table.to_pylist()
    assert [(r["step"], r["slot"]) for r in rows] == [(step, slot) for step in range(4) for slot in range(8)]
    assert [r["sample"] for r in rows] == list(range(32))
    assert rows[10] == {
        "step": 1, "slot": 2, "rank": 0, "sample": 10, "domain": "street", "clip": 0,
        "key": "1-0.mp4", "start_s": 0.0, "replaced": False,
    }  # fmt: skip


@pytest.mark.parametrize("lost_after", [2, 4])
def test_a_resume_forgets_what_the_weights_have_not_seen(tmp_path: Path, lost_after: int) -> None:
    whole, broken = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "broken")
    write(whole, 0, [2, 4, 6]).finish()
    write(broken, 0, [2, 4])  # killed before step 6, and perhaps before the checkpoint at step 4 was complete
    write(broken, lost_after, [6]).finish()
    assert read_ledger(broken).equals(read_ledger(whole))
    assert broken.names() == [LEDGER]


def test_a_finished_run_can_be_rewound(tmp_path: Path) -> None:
    whole, rewound = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "rewound")
    write(whole, 0, [2, 4, 6]).finish()
    write(rewound, 0, [2, 4, 6]).finish()
    write(rewound, 4, [6]).finish()
    assert read_ledger(rewound).equals(read_ledger(whole))


class _Killed(BaseException):
    pass


def test_a_kill_while_a_finished_ledger_is_opened_again_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each change to the storage in turn; what comes after has all rows of a run that was left alone."""
    whole = Storage.of(tmp_path / "whole")
    write(whole, 0, [2, 4, 6]).finish()
    left = 0

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed
            return real(*arguments)

        return act

    killed = 0
    for survived in range(20):
        hurt = Storage.of(tmp_path / str(survived))
        write(hurt, 0, [2, 4, 6]).finish()
        left = survived
        with monkeypatch.context() as patch:
            for name in ("write", "delete"):
                patch.setattr(Storage, name, mortal(getattr(Storage, name)))
            with contextlib.suppress(_Killed):
                write(hurt, 4, [6]).finish()
                break
        killed += 1
        write(hurt, 4, [6]).finish()
        assert read_ledger(hurt).equals(read_ledger(whole)), survived
    assert 4 < killed < 20


def test_workers_add_their_ranks_and_nothing_else_changes(tmp_path: Path) -> None:
    one, four = Storage.of(tmp_path / "one"), Storage.of(tmp_path / "four")
    write(one, 0, [3]).finish()
    write(four, 0, [3], workers=4).finish()
    assert read_ledger(four).drop(["rank"]).equals(read_ledger(one).drop(["rank"]))
    assert read_ledger(four)["rank"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3] * 3
