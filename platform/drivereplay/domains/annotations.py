"""What is known about a video, as Parquet beside it: `<video stem>.annotations/{frames,objects}.parquet`.

The one schema of simulated worlds and of readers of published data sets; `docs/worlds.md` describes every column.
Pixels are continuous: the picture spans [0, width] × [0, height] and the centre of its first pixel is (0.5, 0.5).
What is not known is null on disk and NaN (or an empty string) in memory, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drivereplay.domains.recording import ANNOTATION_VERSION, ClipAnnotations
from drivereplay.domains.whole import write_whole
from drivereplay.errors import DataError
from drivereplay.storage import Storage
from drivereplay.videos.geometry import FrameShape

FRAME_SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        ("time_s", pa.float64()),
        ("fx_px", pa.float64()),
        ("fy_px", pa.float64()),
        ("cx_px", pa.float64()),
        ("cy_px", pa.float64()),
        *[(f"pose_{row}{column}", pa.float64()) for row in range(3) for column in range(4)],
    ]
)
"""One row per frame. `pose_rc` is row r, column c of the 4×4 camera-to-world matrix, in metres."""

OBJECT_SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("id", pa.int64(), nullable=False),
        ("class", pa.string()),
        ("x1_px", pa.float32()),
        ("y1_px", pa.float32()),
        ("x2_px", pa.float32()),
        ("y2_px", pa.float32()),
        ("visible", pa.float32()),
        ("x_m", pa.float64()),
        ("y_m", pa.float64()),
        ("z_m", pa.float64()),
        ("length_m", pa.float32()),
        ("width_m", pa.float32()),
        ("height_m", pa.float32()),
        ("heading_rad", pa.float32()),
    ]
)
"""One row per frame and object that is known in it."""

_BOX = ("x1_px", "y1_px", "x2_px", "y2_px")
_POSITION = ("x_m", "y_m", "z_m")
_SIZE = ("length_m", "width_m", "height_m")
_INTRINSICS = ("fx_px", "fy_px", "cx_px", "cy_px")
_POSE = tuple(f"pose_{row}{column}" for row in range(3) for column in range(4))


def annotation_directory(video: str | Path) -> Path:
    """Where the annotations of a video file lie."""
    video = Path(video)
    return video.with_name(f"{video.stem}.annotations")


def write_annotations(
    directory: Path, *, frames: Mapping[str, Any], objects: Mapping[str, Any], size: tuple[int, int]
) -> None:
    """Write both tables; each file is there whole or not at all, and equal columns give equal bytes.

    Args:
        directory: `<video stem>.annotations`; it is made.
        frames: Columns of `FRAME_SCHEMA` by name, all of one length F. `frame` is needed, others are null if missing.
        objects: Columns of `OBJECT_SCHEMA` by name, all of one length. `frame` and `id` are needed.
        size: (width, height) in pixels of the video that boxes and intrinsics refer to.

    Raises:
        DataError: A column is unknown, missing, of another length or type, or an object names a frame twice.
        OSError: The files cannot be written.
    """
    directory = Path(directory)
    tables = {
        "frames.parquet": _table(frames, FRAME_SCHEMA, ("frame",), directory),
        "objects.parquet": _table(objects, OBJECT_SCHEMA, ("frame", "id"), directory),
    }
    metadata = {"drivereplay.version": str(ANNOTATION_VERSION), "width": str(size[0]), "height": str(size[1])}
    directory.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", write_statistics=False)
        write_whole(directory / name, memoryview(sink.getvalue()))


def read_clip(path: str, frames: Sequence[int], source_size: tuple[int, int], shape: FrameShape) -> ClipAnnotations:
    """What is known about the frames of one clip, in pixels of the clip's own size.

    Args:
        path: Directory that `write_annotations` wrote, or its URI.
        frames: T source frame numbers. A frame that the file does not know has NaN throughout.
        source_size: (width, height) of the video as it is decoded before resizing.
        shape: Size of the clip, and whether frames are cropped or stretched to it.

    Returns:
        Objects in order of their id: all that are in the picture in at least one of the frames.

    Raises:
        DataError: The files are missing, damaged or of another version.
    """
    numbers = np.asarray(frames, np.int64)
    frame_table, size = _read(path, "frames.parquet", FRAME_SCHEMA, numbers)
    object_table, _ = _read(path, "objects.parquet", OBJECT_SCHEMA, numbers)
    return _clip(frame_table, object_table, numbers, size or source_size, source_size, shape)


def clip_of_columns(frames: Mapping[str, Any], objects: Mapping[str, Any], shape: FrameShape) -> ClipAnnotations:
    """What is known about a clip that was made at its own size and rate, from columns instead of files.

    Args:
        frames: Columns of `FRAME_SCHEMA` by name, a row for each of the clip's frames in order.
        objects: Columns of `OBJECT_SCHEMA` by name.
        shape: Size of the clip.

    Raises:
        DataError: As `write_annotations`.
    """
    where = Path()
    frame_table = _table(frames, FRAME_SCHEMA, ("frame",), where)
    object_table = _table(objects, OBJECT_SCHEMA, ("frame", "id"), where)
    size = (shape.width, shape.height)
    return _clip(frame_table, object_table, np.asarray(frames["frame"], np.int64), size, size, shape)


def _clip(
    frame_table: pa.Table,
    object_table: pa.Table,
    numbers: NDArray[np.int64],
    written: tuple[int, int],
    source_size: tuple[int, int],
    shape: FrameShape,
) -> ClipAnnotations:
    """Args: `written`: (width, height) that the tables' pixels count in."""
    scale, offset = _resize(source_size, shape)
    scale = scale * np.asarray(source_size) / np.asarray(written, np.float64)
    poses, intrinsics = _cameras(frame_table, numbers, scale, offset)
    return _objects(object_table, numbers, scale, offset, (shape.width, shape.height), poses, intrinsics)


def labelled_frames(path: str) -> NDArray[np.int64]:
    """(N,) numbers of the frames about which annotations say anything, in order.

    Raises:
        DataError: The files are missing or damaged.
    """
    storage = Storage.of(path)
    numbers = []
    for name in ("frames.parquet", "objects.parquet"):
        try:
            table = pq.read_table(pa.BufferReader(storage.read(name)), columns=["frame"])
            numbers.append(table["frame"].to_numpy().astype(np.int64))
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}/{name} cannot be read: {error}.", "Write the annotations anew.") from error
    return np.unique(np.concatenate(numbers))


def _resize(source: tuple[int, int], shape: FrameShape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset (2,) that take source pixels to clip pixels: new = old · scale − offset."""
    target = np.array([shape.width, shape.height], np.float64)
    scale = target / np.asarray(source, np.float64)
    if shape.resize == "crop":
        scale = np.repeat(scale.max(), 2)
    return scale, (np.asarray(source) * scale - target) / 2


def _cameras(
    table: pa.Table, numbers: NDArray[np.int64], scale: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    poses = np.full((len(numbers), 4, 4), np.nan)
    intrinsics = np.full((len(numbers), 3, 3), np.nan)
    rows = {int(frame): row for row, frame in enumerate(table["frame"].to_numpy())}
    pose = _columns(table, _POSE).reshape(-1, 3, 4)
    camera = _columns(table, _INTRINSICS)
    for t, number in enumerate(numbers):
        row = rows.get(int(number))
        if row is None:
            continue
        if np.isfinite(pose[row]).all():
            poses[t] = np.vstack([pose[row], [0.0, 0.0, 0.0, 1.0]])
        if np.isfinite(camera[row]).all():
            focal, centre = camera[row, :2] * scale, camera[row, 2:] * scale - offset
            intrinsics[t] = [[focal[0], 0.0, centre[0]], [0.0, focal[1], centre[1]], [0.0, 0.0, 1.0]]
    return poses, intrinsics


def _objects(
    table: pa.Table,
    numbers: NDArray[np.int64],
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    size: tuple[int, int],
    poses: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
) -> ClipAnnotations:
    boxes, inside = _cropped(_columns(table, _BOX), scale, offset, size)
    frame, identity = table["frame"].to_numpy(), table["id"].to_numpy()
    # a frame may stand in a clip twice (a video slower than the clip), so rows are looked up from the clip's side
    wanted = np.isin(identity, identity[np.isfinite(boxes[:, 0])])
    ids, position = np.unique(identity[wanted], return_inverse=True)
    rows = np.full((len(numbers), len(ids)), -1, np.int64)
    kept = np.flatnonzero(wanted)
    for t, number in enumerate(numbers):
        here = frame[kept] == number
        rows[t, position[here]] = kept[here]

    def dense(values: NDArray[Any], missing: float) -> NDArray[Any]:
        if not len(values):
            return np.full((*rows.shape, *values.shape[1:]), missing, values.dtype)
        filled = values[rows]
        filled[rows < 0] = missing
        return filled

    visible = _columns(table, ("visible",))[:, 0]
    visible = np.where(np.isfinite(boxes[:, 0]), visible * inside, 0.0).astype(np.float32)
    first = rows.max(axis=0, initial=-1)
    names = np.array(table["class"].fill_null("").to_pylist(), dtype=np.str_)
    sizes = _columns(table, _SIZE).astype(np.float32)
    return ClipAnnotations(
        ids=ids.astype(np.int64),
        classes=names[first] if len(ids) else np.array([], dtype=np.str_),
        boxes_px=dense(boxes.astype(np.float32), np.nan),
        visible=dense(visible, 0.0),
        poses=poses,
        intrinsics_px=intrinsics,
        positions_m=dense(_columns(table, _POSITION), np.nan),
        sizes_m=sizes[first] if len(ids) else np.empty((0, 3), np.float32),
        headings_rad=dense(_columns(table, ("heading_rad",))[:, 0].astype(np.float32), np.nan),
    )


def _cropped(
    boxes: NDArray[np.float64], scale: NDArray[np.float64], offset: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes (R, 4) in clip pixels, cut at the picture's edge, and the share (R,) of each that is left."""
    moved = boxes * np.tile(scale, 2) - np.tile(offset, 2)
    cut = np.clip(moved, 0.0, np.tile(np.asarray(size, np.float64), 2))
    before = (moved[:, 2:] - moved[:, :2]).prod(axis=1)
    extent = cut[:, 2:] - cut[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(before > 0, extent.prod(axis=1) / before, 0.0)
    cut[~(extent > 0).all(axis=1)] = np.nan
    return cut, share


def _columns(table: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns as (rows, len(names)) float64, null as NaN."""
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)


def _table(columns: Mapping[str, Any], schema: pa.Schema, needed: Sequence[str], directory: Path) -> pa.Table:
    unknown = sorted(set(columns) - set(schema.names))
    missing = [name for name in needed if name not in columns]
    if unknown or missing:
        raise DataError(
            f"{directory}: annotation columns {unknown + missing} are {'unknown' if unknown else 'missing'}.",
            f"The columns are {', '.join(schema.names)}.",
        )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{directory}: annotation columns differ in length: {lengths}.")
    rows = next(iter(lengths.values()))
    arrays = []
    for field in schema:
        if field.name not in columns:
            arrays.append(pa.nulls(rows, field.type))
            continue
        try:
            arrays.append(_column(columns[field.name], field))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{directory}: annotation column {field.name} has a wrong value: {error}.") from error
    table = pa.Table.from_arrays(arrays, schema=schema).sort_by([(name, "ascending") for name in needed])
    if table.group_by(list(needed)).aggregate([]).num_rows != rows:
        raise DataError(f"{directory}: annotation rows stand there twice: {', '.join(needed)} must be unique.")
    return table


def _column(values: Any, field: pa.Field) -> pa.Array:
    array = pa.array(values, from_pandas=True)
    if array.null_count and not field.nullable:
        raise ValueError("it is missing in a row")
    if field.name == "class":
        array = pc.if_else(pc.equal(array.cast(pa.string()), ""), None, array.cast(pa.string()))
    # a rounded coordinate is the same place, a rounded frame number or identity is another one
    return array.cast(field.type, safe=pa.types.is_integer(field.type))


def _read(
    path: str, name: str, schema: pa.Schema, frames: NDArray[np.int64]
) -> tuple[pa.Table, tuple[int, int] | None]:
    storage = Storage.of(path)
    where = f"{path.rstrip('/')}/{name}"
    try:
        table = pq.read_table(pa.BufferReader(storage.read(name)))
    except FileNotFoundError as error:
        raise DataError(f"{where} is not there.", "Write the annotations anew or remove their directory.") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{where} cannot be read: {error}.", "Write the annotations anew.") from error
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    version = metadata.get("drivereplay.version")
    if version is not None and version != str(ANNOTATION_VERSION):
        raise DataError(f"{where} is of version {version}, this program reads {ANNOTATION_VERSION}.", "Write it anew.")
    absent = [field.name for field in schema if field.name not in table.column_names]
    needed = [field.name for field in schema if not field.nullable and field.name in absent]
    if needed:
        raise DataError(f"{where} has no column {', '.join(needed)}.", "docs/worlds.md describes the columns.")
    for column in absent:
        table = table.append_column(column, pa.nulls(table.num_rows, schema.field(column).type))
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{where}: a column has a wrong type: {error}.", "docs/worlds.md describes them.") from error
    table = table.filter(pc.is_in(table["frame"], pa.array(np.unique(frames), pa.int32())))
    size = (int(metadata["width"]), int(metadata["height"])) if {"width", "height"} <= set(metadata) else None
    return table, size
