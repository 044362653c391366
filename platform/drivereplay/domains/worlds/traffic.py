"""Traffic on parallel lanes: IDM car following, MOBIL lane changes, and the rare things that drivers do.

IDM: Treiber, Hennecke, Helbing, "Congested traffic states in empirical observations and microscopic simulations",
Phys. Rev. E 62 (2000). MOBIL: Kesting, Treiber, Helbing, "General lane-changing model MOBIL for car-following models",
Transp. Res. Rec. 1999 (2007).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.motion import smooth

Array = NDArray[np.float64]

STEP_S = 0.0625
HARDEST_BRAKING = 8.0


@dataclass(frozen=True)
class Driver:
    """Parameters of the two models, in SI units."""

    acceleration: float = 1.5
    braking: float = 2.0
    headway_s: float = 1.3
    jam_gap_m: float = 2.0
    exponent: float = 4.0
    politeness: float = 0.3
    threshold: float = 0.2
    safe_braking: float = 3.0
    change_s: float = 3.0


@dataclass(frozen=True)
class Push:
    """From `start_s` to `end_s` a vehicle has this acceleration (m/s²) and not IDM's; it never rolls backwards."""

    vehicle: int
    start_s: float
    end_s: float
    acceleration: float


@dataclass(frozen=True)
class Change:
    """At `start_s` a vehicle moves to another lane within `duration_s`, whether there is room or not."""

    vehicle: int
    start_s: float
    lane: int
    duration_s: float


@dataclass(frozen=True)
class Halt:
    """From `start_s` to `end_s` a vehicle has to stop before a place, as for a person who crosses."""

    vehicle: int
    start_s: float
    end_s: float
    at_m: float


@dataclass
class Traffic:
    """N vehicles on lanes of one direction.

    Attributes:
        along_m: (N,) middle of each vehicle.
        speed: (N,) m/s.
        wish: (N,) speed that each would drive alone.
        lane: (N,) lane that each is in or moves to; lane l is centred `lanes_m[l]` to the left of the road's axis.
        length_m: (N,)
        lanes_m: Centres of the lanes, from right to left.
        driver: The models' parameters.
        changes_lanes: Whether drivers change lanes by themselves.
        events: What happens besides.
    """

    along_m: Array
    speed: Array
    wish: Array
    lane: NDArray[np.int64]
    length_m: Array
    lanes_m: tuple[float, ...]
    driver: Driver = Driver()
    changes_lanes: bool = False
    events: tuple[Push | Change | Halt, ...] = ()
    _time: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._left = np.asarray(self.lanes_m)[self.lane].astype(float)
        self._from, self._since = self._left.copy(), np.full(len(self.lane), -np.inf)
        self._within = np.full(len(self.lane), self.driver.change_s)
        self._leaving = self.lane.copy()
        self._centres = np.asarray(self.lanes_m)
        self._changing = False
        self._shared = self._sharing()
        self._begun: set[int] = set()

    def run(self, frames: int, fps: float) -> tuple[Array, Array, Array, Array]:
        """Distances along, offsets to the left (metres), speeds and accelerations, each (frames, N)."""
        fine = max(1, int(np.ceil(1 / fps / STEP_S - 1e-9)))
        out = np.empty((4, frames, len(self.lane)))
        acceleration = self._accelerations()
        for t in range(frames):
            out[:, t] = self.along_m, self._left, self.speed, acceleration
            for _ in range(fine):
                acceleration = self._step(1 / fps / fine)
        return out[0], out[1], out[2], out[3]

    def _step(self, dt: float) -> Array:
        for number, event in enumerate(self.events):
            if isinstance(event, Change) and number not in self._begun and self._time >= event.start_s:
                self._begun.add(number)
                self._begin(event.vehicle, event.lane, event.duration_s)
        if self.changes_lanes:
            self._consider()
        acceleration = self._accelerations()
        # ballistic update: exact for a constant acceleration, and cars stop instead of turning round
        speed = self.speed + acceleration * dt
        way = self.speed * dt + 0.5 * acceleration * dt * dt
        stopping = speed < 0
        if stopping.any():
            way[stopping] = -0.5 * self.speed[stopping] ** 2 / acceleration[stopping]
            speed[stopping] = 0.0
        self.along_m, self.speed = self.along_m + way, speed
        self._time += dt
        if self._changing:
            share = (self._time - self._since) / self._within
            target = self._centres[self.lane]
            self._left = self._from + (target - self._from) * smooth(share)
            self._leaving = np.where(share < 0.6, self._leaving, self.lane)
            self._shared = self._sharing()
        return acceleration

    def _accelerations(self) -> Array:
        gap, speed = self._leaders()
        acceleration = idm(self.driver, self.speed, self.wish, gap, self.speed - speed)
        for event in self.events:
            if isinstance(event, Change) or not event.start_s <= self._time < event.end_s:
                continue
            n = event.vehicle
            if isinstance(event, Push):
                acceleration[n] = event.acceleration if self.speed[n] > 0 or event.acceleration > 0 else 0.0
            else:
                room = np.array(event.at_m - self.along_m[n] - self.length_m[n] / 2)
                if room > 0:
                    held = idm(self.driver, self.speed[n], self.wish[n], room, self.speed[n])
                    acceleration[n] = min(acceleration[n], float(held))
        return np.maximum(acceleration, -HARDEST_BRAKING)

    def _leaders(self) -> tuple[Array, Array]:
        """Gap (N,) in metres to the vehicle in front, infinite if there is none, and its speed (N,)."""
        ahead = self.along_m[None] - self.along_m[:, None]
        ahead = np.where(self._shared & (ahead > 0), ahead, np.inf)
        leader = ahead.argmin(axis=1)
        distance = ahead[np.arange(len(leader)), leader]
        gap = distance - (self.length_m + self.length_m[leader]) / 2
        return np.where(np.isfinite(distance), np.maximum(gap, 0.1), np.inf), self.speed[leader]

    def _sharing(self) -> NDArray[np.bool_]:
        """(N, N) whether the first looks at the second; who changes lanes is in both until well across."""
        shared = (self.lane[None] == self.lane[:, None]) | (self._leaving[None] == self.lane[:, None])
        return shared | (self.lane[None] == self._leaving[:, None])

    def _begin(self, vehicle: int, lane: int, duration_s: float) -> None:
        self._from[vehicle], self._since[vehicle] = self._left[vehicle], self._time
        self._within[vehicle], self._leaving[vehicle] = duration_s, self.lane[vehicle]
        self.lane[vehicle] = lane
        self._changing = True
        self._shared = self._sharing()

    def _consider(self) -> None:
        """MOBIL: change if the own gain outweighs what the others lose, and nobody has to brake hard."""
        now = self._accelerations()
        for n in np.flatnonzero(self._time - self._since > 2 * self._within):
            best, gain = -1, self.driver.threshold
            for lane in (int(self.lane[n]) - 1, int(self.lane[n]) + 1):
                if not 0 <= lane < len(self.lanes_m):
                    continue
                advantage = self._advantage(int(n), lane, now)
                if advantage > gain:
                    best, gain = lane, advantage
            if best >= 0:
                self._begin(int(n), best, self.driver.change_s)
                now = self._accelerations()

    def _advantage(self, n: int, lane: int, now: Array) -> float:
        """What MOBIL compares with its threshold; −∞ where the change is not safe."""
        there = np.flatnonzero(((self.lane == lane) | (self._leaving == lane)) & (np.arange(len(self.lane)) != n))
        distance = self.along_m[there] - self.along_m[n]
        own = self._behind(n, there[distance > 0], distance[distance > 0])
        if own < -self.driver.safe_braking:
            return -np.inf
        followers, back = there[distance <= 0], distance[distance <= 0]
        loss = 0.0
        if len(followers):
            follower = int(followers[back.argmax()])
            after = self._behind(follower, np.array([n]), np.array([-back.max()]))
            if after < -self.driver.safe_braking:
                return -np.inf
            loss = float(now[follower]) - after
        return own - float(now[n]) - self.driver.politeness * loss

    def _behind(self, n: int, others: NDArray[np.int64], distance: Array) -> float:
        """Acceleration of vehicle n behind the nearest of the others."""
        if not len(others):
            return float(idm(self.driver, self.speed[n], self.wish[n], np.array(np.inf), np.array(0.0)))
        nearest = int(others[distance.argmin()])
        gap = float(distance.min()) - (self.length_m[n] + self.length_m[nearest]) / 2
        if gap < 1.0:
            return -np.inf
        return float(idm(self.driver, self.speed[n], self.wish[n], np.array(gap), self.speed[n] - self.speed[nearest]))


def idm(driver: Driver, speed: Array, wish: Array, gap_m: Array, closing: Array) -> Array:
    """IDM acceleration: a·(1 − (v/v₀)^δ − (s*/s)²) with s* = s₀ + max(0, v·T + v·Δv/(2·√(a·b)))."""
    reach = speed * driver.headway_s + speed * closing / (2 * math.sqrt(driver.acceleration * driver.braking))
    desired = driver.jam_gap_m + np.maximum(reach, 0.0)
    # far above the wished speed the free-road term alone would brake without bound
    free = np.maximum(1 - (speed / wish) ** driver.exponent, -1.5)
    acceleration: Array = driver.acceleration * (free - (desired / gap_m) ** 2)
    return acceleration
