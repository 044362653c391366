"""Car following, lane changes, and what is made to happen besides."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.traffic import HARDEST_BRAKING, Change, Driver, Halt, Push, Traffic, idm


def queue(
    along: list[float], speed: list[float], lane: list[int], wish: list[float] | None = None, **options: object
) -> Traffic:
    count = len(along)
    return Traffic(
        np.array(along), np.array(speed, float), np.array(wish or [30.0] * count, float), np.array(lane),
        np.full(count, 4.5), (-3.5, 0.0, 3.5), **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_idm_at_its_fixed_points() -> None:
    driver = Driver()
    # alone at the wished speed
    assert idm(driver, np.array(30.0), np.array(30.0), np.array(np.inf), np.array(0.0)) == pytest.approx(0.0)
    # equilibrium gap s* / √(1 − (v/v₀)^δ)
    gap = (driver.jam_gap_m + 20 * driver.headway_s) / np.sqrt(1 - (20 / 30) ** driver.exponent)
    assert idm(driver, np.array(20.0), np.array(30.0), np.array(gap), np.array(0.0)) == pytest.approx(0.0, abs=1e-12)
    # closing in brakes harder
    assert idm(driver, np.array(20.0), np.array(30.0), np.array(gap), np.array(5.0)) < -0.5


def test_a_platoon_settles_at_the_equilibrium_gap() -> None:
    traffic = queue([0.0, 30.0, 80.0], [15.0, 15.0, 15.0], [1, 1, 1], wish=[30.0, 30.0, 15.0])
    along, _, speed, acceleration = traffic.run(1200, 10.0)
    np.testing.assert_allclose(speed[-1], 15.0, atol=0.05)
    gap = (2.0 + 15 * 1.3) / np.sqrt(1 - (15 / 30) ** 4)
    np.testing.assert_allclose(np.diff(along[-1]) - 4.5, gap, rtol=0.02)
    assert np.abs(acceleration[-1]).max() < 0.02


def test_motion_is_consistent_and_nobody_reverses_or_collides() -> None:
    rng = np.random.default_rng(0)
    traffic = queue(list(np.arange(8) * 25.0), list(rng.uniform(20, 30, 8)), [1] * 8, wish=list(rng.uniform(20, 35, 8)))
    traffic.events = (Push(7, 1.0, 8.0, -6.0),)
    along, _, speed, _ = traffic.run(400, 20.0)
    assert (speed >= 0).all()
    assert (np.diff(along, axis=0) >= -1e-9).all()
    np.testing.assert_allclose(np.diff(along, axis=0)[:, :7], (speed[1:, :7] + speed[:-1, :7]) / 2 / 20.0, atol=0.02)
    assert (np.diff(along, axis=1) > 4.5).all()
    assert speed[-1, 7] > 10


def test_the_result_hardly_depends_on_the_frame_rate() -> None:
    runs = []
    for fps in (8.0, 24.0):
        traffic = queue([0.0, 25.0], [25.0, 20.0], [1, 1], wish=[30.0, 20.0])
        runs.append(traffic.run(int(6 * fps) + 1, fps)[0][-1])
    np.testing.assert_allclose(runs[0], runs[1], atol=0.3)


def test_a_push_brakes_and_the_follower_reacts() -> None:
    traffic = queue([0.0, 20.0], [20.0, 20.0], [1, 1], events=(Push(1, 0.5, 60.0, -6.0),))
    _, _, speed, acceleration = traffic.run(60, 10.0)
    np.testing.assert_allclose(np.diff(speed[8:25, 1]) * 10, -6.0, atol=1e-6)
    assert speed[-1, 1] == 0.0
    assert acceleration[:, 0].min() < -4.0
    assert acceleration.min() >= -HARDEST_BRAKING


def test_a_halt_stops_the_car_before_the_place() -> None:
    traffic = queue([0.0], [12.0], [1], wish=[12.0], events=(Halt(0, 0.0, 60.0, 25.0),))
    along, _, speed, _ = traffic.run(150, 10.0)
    assert speed[-1, 0] < 0.2
    assert 18.0 < along[-1, 0] + 2.25 < 25.0


def test_a_change_is_smooth_and_ends_in_the_other_lane() -> None:
    traffic = queue([0.0], [25.0], [1], events=(Change(0, 1.0, 2, 2.0),))
    _, left, _, _ = traffic.run(50, 10.0)
    assert (left[:10] == 0.0).all()
    assert left[31:, 0] == pytest.approx(3.5)
    assert (np.diff(left[:, 0]) >= -1e-9).all()
    assert np.abs(np.diff(left[:, 0], n=2)).max() < 0.12


def test_who_cuts_in_is_braked_for() -> None:
    still_free, cut = (
        queue([0.0, 12.0], [25.0, 22.0], [1, 2], wish=[25.0, 22.0], events=events).run(40, 10.0)[3][:, 0].min()
        for events in ((), (Change(1, 0.5, 1, 2.0),))
    )
    assert still_free > -0.1
    assert cut < -2.0


def test_mobil_overtakes_a_slow_leader_where_there_is_room() -> None:
    traffic = queue([0.0, 40.0], [28.0, 18.0], [1, 1], wish=[30.0, 18.0], changes_lanes=True)
    along, left, _, _ = traffic.run(200, 10.0)
    assert abs(left[-1, 0]) == pytest.approx(3.5)
    assert along[-1, 0] > along[-1, 1]


def test_mobil_stays_where_the_change_would_not_be_safe() -> None:
    # both neighbours come up fast from just behind
    traffic = queue(
        [0.0, 40.0, -8.0, -8.0],
        [18.0, 18.0, 33.0, 33.0],
        [1, 1, 0, 2],
        wish=[30.0, 18.0, 34.0, 34.0],
        changes_lanes=True,
    )
    _, left, _, _ = traffic.run(6, 10.0)
    assert (left[:, 0] == 0).all()
