"""YOLOv4-tiny (Wang et al., CVPR 2021), COCO: the detector behind pseudo boxes where nothing is annotated."""

from __future__ import annotations

import struct

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from drivereplay.errors import DataError

SIZE = 416
ANCHORS = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
SCALE_XY = 1.05
CLASSES = 80
ROAD_USERS = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
"""COCO class number → name of what can be on a road."""

_LAYERS = (
    ("stem_0", 3, 32, 3, 2),
    ("stem_1", 32, 64, 3, 2),
    *(
        (f"block_{n}.{name}", before * width, after * width, kernel, 1)
        for n, width in ((0, 32), (1, 64), (2, 128))
        for name, before, after, kernel in (("a", 2, 2, 3), ("b", 1, 1, 3), ("c", 1, 1, 3), ("d", 2, 2, 1))
    ),
    ("neck", 512, 512, 3, 1),
    ("squeeze", 512, 256, 1, 1),
    ("coarse", 256, 512, 3, 1),
    ("coarse_out", 512, 255, 1, 1),
    ("lateral", 256, 128, 1, 1),
    ("fine", 384, 256, 3, 1),
    ("fine_out", 256, 255, 1, 1),
)
"""Name, channels in and out, kernel, stride: in the order of the Darknet file."""


class _Convolution(nn.Module):
    """Convolution, BatchNorm and leaky ReLU; the output layers have a bias and nothing else."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, *, plain: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=plain)
        # Darknet divides by √variance + 1e-6, which 1e-6 inside the root comes closest to
        self.norm = None if plain else nn.BatchNorm2d(after, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x if self.norm is None else functional.leaky_relu(self.norm(x), 0.1)


class YoloV4Tiny(nn.Module):
    """Pictures (N, 3, 416, 416) in [0, 1] to raw outputs at strides 32 and 16."""

    def __init__(self) -> None:
        super().__init__()
        # ModuleDict allows no dots in names
        self.layers = nn.ModuleDict(
            {name.replace(".", "_"): _Convolution(*shape, plain=name.endswith("_out")) for name, *shape in _LAYERS}
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        layers = self.layers
        x = layers["stem_1"](layers["stem_0"](x))
        skip = x
        for n in range(3):
            wide = layers[f"block_{n}_a"](x)
            b = layers[f"block_{n}_b"](wide[:, wide.shape[1] // 2 :])
            c = layers[f"block_{n}_c"](b)
            skip = layers[f"block_{n}_d"](torch.cat([c, b], 1))
            x = functional.max_pool2d(torch.cat([wide, skip], 1), 2, 2)
        squeezed = layers["squeeze"](layers["neck"](x))
        coarse = layers["coarse_out"](layers["coarse"](squeezed))
        raised = functional.interpolate(layers["lateral"](squeezed), scale_factor=2.0, mode="nearest")
        fine = layers["fine_out"](layers["fine"](torch.cat([raised, skip], 1)))
        return coarse, fine

    def detect(self, frames: NDArray[np.uint8], threshold: float) -> list[NDArray[np.float32]]:
        """Boxes of road users in frames (T, H, W, 3) uint8: per frame (K, 6), x1 y1 x2 y2 in pixels, score, class."""
        height, width = frames.shape[1:3]
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(frames), 8):
                chunk = torch.from_numpy(frames[start : start + 8]).permute(0, 3, 1, 2).float() / 255
                pictures = functional.interpolate(chunk, (SIZE, SIZE), mode="bilinear", align_corners=False)
                coarse, fine = self(pictures)
                raw = torch.cat([_boxes(coarse, ANCHORS[3:], 32), _boxes(fine, ANCHORS[1:4], 16)], 1)
                raw[..., :4] *= torch.tensor([width, height, width, height]) / SIZE
                found += [_suppressed(row.numpy(), threshold) for row in raw]
        return found


def _boxes(out: Tensor, anchors: tuple[tuple[int, int], ...], stride: int) -> Tensor:
    """(N, cells · 3, 4 + 80): x1 y1 x2 y2 in pixels of the network's input, then class scores times objectness."""
    count, _, rows, columns = out.shape
    out = out.view(count, 3, 5 + CLASSES, rows, columns).permute(0, 1, 3, 4, 2)
    grid_y, grid_x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    grid = torch.stack([grid_x, grid_y], -1).float()
    centre = (out[..., :2].sigmoid() * SCALE_XY - (SCALE_XY - 1) / 2 + grid) * stride
    half = out[..., 2:4].exp() * torch.tensor(anchors).float().view(1, 3, 1, 1, 2) / 2
    scores = out[..., 5:].sigmoid() * out[..., 4:5].sigmoid()
    return torch.cat([centre - half, centre + half, scores], -1).flatten(1, 3)


def _suppressed(raw: NDArray[np.float32], threshold: float, overlap: float = 0.45) -> NDArray[np.float32]:
    """Greedy non-maximum suppression of road users, all classes together: one thing is not a car and a truck."""
    classes = np.array(sorted(ROAD_USERS))
    scores = raw[:, 4 + classes]
    best = scores.argmax(1)
    score = scores[np.arange(len(scores)), best]
    rows = np.column_stack([raw[:, :4], score, classes[best]])[score >= threshold]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept: list[NDArray[np.float32]] = []
    for row in rows:
        if all(_overlap(row, other) < overlap for other in kept):
            kept.append(row)
    return np.array(kept, dtype=np.float32).reshape(-1, 6)


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    inner = np.clip(np.minimum(a[2:4], b[2:4]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(inner / ((a[2:4] - a[:2]).prod() + (b[2:4] - b[:2]).prod() - inner))


def from_darknet(data: bytes) -> dict[str, NDArray[np.float32]]:
    """This module's state from a Darknet weights file: a header, then float32 in layer order.

    Raises:
        DataError: The file is of another network.
    """
    major, minor, _ = struct.unpack("<3i", data[:12])
    header = 20 if major * 10 + minor >= 2 else 16
    values = np.frombuffer(data, dtype="<f4", offset=header)
    state: dict[str, NDArray[np.float32]] = {}
    at = 0

    def take(*shape: int) -> NDArray[np.float32]:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        if at > len(values):
            raise DataError("The Darknet weights end too early for YOLOv4-tiny.", "Do not use them.")
        return values[at - size : at].reshape(shape).copy()

    for name, before, after, kernel, _ in _LAYERS:
        ours = f"layers.{name.replace('.', '_')}"
        if name.endswith("_out"):
            state[f"{ours}.conv.bias"] = take(after)
        else:
            for key in ("bias", "weight", "running_mean", "running_var"):
                state[f"{ours}.norm.{key}"] = take(after)
        state[f"{ours}.conv.weight"] = take(after, before, kernel, kernel)
    if at != len(values):
        raise DataError(
            f"The Darknet weights hold {len(values) - at} numbers too many for YOLOv4-tiny.", "Do not use them."
        )
    return state
