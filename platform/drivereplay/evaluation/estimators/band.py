"""A real and a generated video brought to one resolution, contrast and band before their motion is compared.

A blurred, noisy or dark video whose motion is right must not look wrong to an estimator. Where the power spectra of
the two videos differ in a band of frequencies, one of them has lost detail there or holds noise: what an estimator
finds in that band says more about looks than about motion, and both videos are damped there. Power spectra do not
depend on where things are, so this leaves the motion as it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage

Frames = NDArray[np.float32]
LARGEST_PX, SMALLEST_PX = 128, 64
"""Frames with a shorter side over the first are made smaller, under the second doubled, before they are compared."""
BINS, AROUND = 20, 2
"""Bands of frequency; frames before and after that a spectrum is averaged over."""
SIGMA_PX = 0.7
"""Standard deviation of the blur that both videos get in any case: it takes out the pixel grid."""
BLANK_LEVELS = 2.0
"""A frame with a standard deviation under so many grey levels shows nothing, and its contrast is left as it is."""
MOST_GAIN = 4.0
SETTINGS = {
    "band": f"spectra of both to min · min/max in {BINS} bands over ±{AROUND} frames, blur {SIGMA_PX} px",
    "contrast": f"mean and deviation of each real frame, gain at most {MOST_GAIN:g}",
    "working_side_px": [SMALLEST_PX, LARGEST_PX],
}


def working_scale(shape: tuple[int, ...]) -> float:
    """Size of the frames that are compared over that of the clip's frames (T, H, W, ...)."""
    side = min(shape[1:3])
    if side > LARGEST_PX:
        return LARGEST_PX / side
    factor = 1.0
    while side * factor < SMALLEST_PX:
        factor *= 2
    return factor


def common(real: Footage, generated: Footage) -> tuple[Frames, Frames]:
    """Grey frames (T, h, w) of both videos, alike in size, contrast and band; context frames included."""
    if generated is real:
        frames = real.estimate("common_real", lambda: _low_passed(_working(real)))
        return frames, frames
    return generated.estimate("common", lambda: matched(_working(real), _working(generated)))


def _working(footage: Footage) -> Frames:
    def make() -> Frames:
        scale = working_scale(footage.frames.shape)
        if scale == 1:
            return footage.grey.astype(np.float32)
        size = (round(footage.grey.shape[2] * scale), round(footage.grey.shape[1] * scale))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return np.stack([cv2.resize(f.astype(np.float32), size, interpolation=way) for f in footage.grey])

    return footage.estimate("working_grey", make)


def matched(real: Frames, generated: Frames) -> tuple[Frames, Frames]:
    """Both videos (T, h, w) in the contrast of the real one and in the band that both have."""
    from scipy.fft import dctn, idctn

    mean, spread = (real.mean((1, 2), keepdims=True), real.std((1, 2), keepdims=True))
    own_mean, own_spread = generated.mean((1, 2), keepdims=True), generated.std((1, 2), keepdims=True)
    gain = np.where(own_spread < BLANK_LEVELS, 1.0, np.clip(spread / np.maximum(own_spread, 1e-6), 0, MOST_GAIN))
    levelled = ((generated - own_mean) * gain).astype(np.float32)
    waves = [dctn(frames, axes=(1, 2), norm="ortho") for frames in (real - mean, levelled)]
    radius = _radius(real.shape[1:])
    power = [_spectrum(wave, radius) for wave in waves]
    weak, strong = np.minimum(*power), np.maximum(*power)
    target = weak * weak / np.maximum(strong, 1e-9)
    low = np.exp(-((2 * np.pi * radius * SIGMA_PX) ** 2) / 2)
    made = []
    for wave, own in zip(waves, power, strict=True):
        gains = np.sqrt(target / np.maximum(own, 1e-9))
        gains[:, 0] = 1.0
        made.append(idctn(wave * (_spread(gains, radius) * low), axes=(1, 2), norm="ortho").astype(np.float32))
    return made[0] + mean, made[1] + mean


def _low_passed(frames: Frames) -> Frames:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), SIGMA_PX) for frame in frames])


def _radius(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Frequency of each coefficient of a cosine transform, cycles per pixel."""
    down, across = (np.arange(size, dtype=np.float32) / (2 * size) for size in shape)
    return np.hypot(down[:, None], across[None])


def _spectrum(waves: Frames, radius: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean power (T, BINS) in bands of frequency, averaged over the frames around each."""
    number = _bin(radius).ravel()
    counts = np.maximum(np.bincount(number, minlength=BINS), 1)
    power = np.stack([np.bincount(number, (wave.ravel() ** 2), minlength=BINS) / counts for wave in waves])
    return np.stack([power[max(t - AROUND, 0) : t + AROUND + 1].mean(0) for t in range(len(power))])


def _bin(radius: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.minimum(radius / 0.5 * BINS, BINS - 1).astype(np.int64)


def _spread(gains: NDArray[np.float64], radius: NDArray[np.float32]) -> Frames:
    """Gains (T, BINS) at each coefficient, linear between the middles of the bands."""
    place = np.clip(radius / 0.5 * BINS - 0.5, 0, BINS - 1)
    below = np.minimum(place.astype(np.int64), BINS - 2)
    share = (place - below).astype(np.float32)
    values = gains.astype(np.float32)
    return values[:, below] * (1 - share) + values[:, below + 1] * share
