"""Image sequences as recordings, and as videos once they are indexed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.domains.miniature import write_pictures
from tests.footage import moving_square

from drivereplay.data.decode import Decoder
from drivereplay.data.images import image_times
from drivereplay.data.index import ingest
from drivereplay.domains import recordings
from drivereplay.domains.images import read_images
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec, DatasetSource, DomainSpec
from drivereplay.storage import Storage

CLIP = ClipSpec(frames=6, context=2, fps=5, height=36, width=48)


def test_each_directory_is_a_recording(tmp_path: Path) -> None:
    for seed, place in enumerate(("a", "b/c"), 1):  # the same footage twice would be one group, never held out
        write_pictures(tmp_path / "i" / place, moving_square(seed, 20), [f"{n:03d}.png" for n in range(20)])
    (tmp_path / "i" / "b" / "lonely.png").write_bytes(b"")
    (tmp_path / "i" / "a" / "timestamps.txt").write_text("\n".join(str(n / 10) for n in range(20)))
    first, second = read_images(str(tmp_path / "i"), 5.0)
    assert (first.key, second.key) == ("a", "b/c")
    assert len(first.timestamps_s) == 20 and not second.timestamps_s
    index = ingest([first, second], domain="i", clip=CLIP, held_out=0.4, seed=0, out=tmp_path / "index")
    windows = {w.key: w for w in (index.window(s, 0) for s in ("train", "evaluation"))}
    # ten pictures a second against five
    assert windows["a"].frames == (0, 2, 4, 6, 8, 10)
    assert windows["b/c"].frames == (0, 1, 2, 3, 4, 5)
    frames, failed = Decoder(CLIP).decode([windows["a"]])
    assert not failed
    truth = moving_square(1, 20)[[0, 2, 4, 6, 8, 10]].reshape(6, 36, 2, 48, 2, 3).mean(axis=(2, 4))
    assert np.abs(frames[0] - truth).max() <= 1


def test_times_are_needed_and_must_fit(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", moving_square(1, 4), [f"{n}.png" for n in range(4)])
    with pytest.raises(SpecError, match="have no times"):
        read_images(str(tmp_path), None)
    (tmp_path / "a" / "times.txt").write_text("0 1 2")
    with pytest.raises(DataError, match="3 times for 4 images"):
        read_images(str(tmp_path), None)
    (tmp_path / "a" / "times.txt").write_text("0 1 two 3")
    with pytest.raises(DataError, match="'two' is no number"):
        read_images(str(tmp_path), None)
    with pytest.raises(SpecError, match="no directory"):
        read_images(str(tmp_path / "nowhere"), None)


@pytest.mark.parametrize("times", [(0.0, 1.0, 1.0), (0.0, np.nan, 2.0), (0.0, 1.0, np.inf), (-np.inf, 0.0, 1.0)])
def test_times_that_do_not_go_on_set_a_recording_aside(tmp_path: Path, times: tuple[float, ...]) -> None:
    recording = Recording("a", str(tmp_path), ("0.png", "1.png", "2.png"), timestamps_s=times)
    with pytest.raises(DataError, match="timestamps do not increase"):
        image_times(recording)


def test_pictures_come_in_the_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    names = [f"frame{n}.png" for n in range(1, 13)]
    write_pictures(tmp_path / "a", moving_square(1, 12), names)
    (tmp_path / "a" / "._frame1.png").write_bytes(b"x")
    (recording,) = read_images(str(tmp_path), 5.0)
    assert recording.images == tuple(names)


def test_directories_behind_links_are_searched(tmp_path: Path) -> None:
    write_pictures(tmp_path / "elsewhere" / "a", moving_square(1, 2), ["0.png", "1.png"])
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [r.key for r in read_images(str(tmp_path / "root"), 5.0)] == ["linked/a"]


@pytest.mark.parametrize(
    "names",
    [
        ["0.25.png", "0.5.png", "1.0.png", "2.0.png", "10.0.png"],
        ["1e-05.png", "0.5.png", "10.0.png"],
        ["1403636579.763.png", "1403636579.81355.png", "1403636579.9.png"],
        ["1.8.png", "1.9.png", "1.10.png", "1.11.png"],
        ["2.png", "10.png", "010b.png"],
    ],
)
def test_names_that_are_numbers_go_by_their_value(tmp_path: Path, names: list[str]) -> None:
    write_pictures(tmp_path / "a", moving_square(1, len(names)), names)
    assert read_images(str(tmp_path), 5.0)[0].images == tuple(names)


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", moving_square(1, 3), ["0.png", "1.png", "1.jpg"])
    with pytest.raises(DataError, match=r"has both 1\.jpg and 1\.png"):
        read_images(str(tmp_path), 5.0)


def test_times_go_with_the_names_beside_them(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", moving_square(1, 3), ["a.png", "b.png", "c.png"])
    file = tmp_path / "a" / "timestamps.txt"
    file.write_text("100 rgb/a.png\n200 rgb/b.png\n250 rgb/left-out.png\n300 rgb/c.png\n")
    (recording,) = read_images(str(tmp_path), None)
    assert recording.timestamps_s == pytest.approx([0.0, 0.1, 0.2])
    assert "milliseconds" in recording.notes[0]
    assert read_images(str(tmp_path), None, "s")[0].timestamps_s == pytest.approx([0.0, 100.0, 200.0])
    file.write_text("0.1 a.png\n0.2 b.png\n0.3 d.png\n")
    with pytest.raises(DataError, match=r"no time for c\.png"):
        read_images(str(tmp_path), None)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("overexposed", [True, False])
def test_bits_of_16_bit_images(tmp_path: Path, bits: int, overexposed: bool) -> None:
    """Frames of 8 bits in the upper of `bits` bits: read back they are what they were."""
    frames = np.minimum(moving_square(1, 20), 250)
    for n, frame in enumerate(frames):
        image = frame.astype(np.uint16) << (bits - 8)
        if overexposed and n == 3:
            image[0, 0] = (1 << bits) - 1
        (tmp_path / "i" / "a").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "i" / "a" / f"{n:02d}.png"), image[..., ::-1])
    clip = ClipSpec(frames=6, context=2, fps=5, height=72, width=96)

    def clips(given: int | None) -> np.ndarray:
        source = DatasetSource(kind="images", path=str(tmp_path / "i"), fps=5.0, bits=given)
        shared = Storage.of(tmp_path / "shared")
        found = recordings(DomainSpec(name="d", source=source), clip, shared)
        index = ingest(found, domain="d", clip=clip, held_out=0.4, seed=0, out=tmp_path / f"index{given}")
        decoded, failed = Decoder(clip).decode([index.window("train", 1)])
        assert not failed
        return decoded[0]

    if bits < 16 and not overexposed:
        with pytest.raises(DataError, match=f"set the source's `bits` to {bits}"):
            clips(None)
    else:
        assert np.array_equal(
            clips(None),
            frames[3:9]
            if not overexposed
            else np.where(
                (np.arange(3, 9) == 3)[:, None, None, None] & (np.indices((72, 96)).sum(0) == 0)[None, ..., None],
                255,
                frames[3:9],
            ),
        )
    assert np.array_equal(clips(bits)[1:], frames[4:9])
