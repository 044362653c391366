"""Looking at files: true frame counts, times, cuts, and which reader is right."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.data.conftest import assert_shows, number_of, numbered, spoil_group, write_timed
from tests.footage import moving_square

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ingest
from drivereplay.data.looks import cuts, difference_hash
from drivereplay.data.probe import Probe, digest, probe
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec
from drivereplay.videos import choice, open_video
from drivereplay.videos.samples import THUMBNAIL, Samples
from drivereplay.videos.seeking import FramesByTime


def look(path: Path) -> Probe:
    return probe(Recording(key=path.name, path=str(path)))


def written(
    path: Path,
    frames: np.ndarray,
    times: list[int],
    *,
    rate: int = 10,
    codec: str = "libx264",
    container: dict[str, str] | None = None,
    **extra: str,
) -> None:
    """A file whose frames are shown at `times`, in tenths of a second."""
    with av.open(str(path), "w", container_options=container or {}) as file:
        stream = file.add_stream(codec, rate=rate, options={"g": "5", **extra})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for picture, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def test_a_plain_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(0, 30), 10.0)
    found = look(tmp_path / "a.mp4")
    assert (found.timeline.frames, found.width, found.height, found.reader) == (30, 96, 72, "decord")
    assert found.timeline.interval_s == pytest.approx(0.1)
    assert (found.codec, found.gop) == ("h264", 12)
    assert found.digest == digest(tmp_path / "a.mp4")
    assert len(found.look.hashes) == 3


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 10, 11, 12, 20, 21]
    written(tmp_path / "vfr.mkv", moving_square(0, 10), times)
    found = look(tmp_path / "vfr.mkv")
    assert found.timeline.times_s is not None
    assert found.timeline.times_s.tolist() == pytest.approx([t / 10 for t in times])


def test_a_cut_is_found_and_motion_is_not_one(tmp_path: Path) -> None:
    video = np.concatenate([moving_square(0, 20), 255 - moving_square(7, 20)])
    write_video(tmp_path / "cut.mp4", video, 10.0)
    assert look(tmp_path / "cut.mp4").timeline.starts == (0, 20)
    write_video(tmp_path / "none.mp4", moving_square(0, 40), 10.0)
    assert look(tmp_path / "none.mp4").timeline.starts == (0,)
    assert cuts(np.full(30, 60.0)) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("zero.mp4", b"", "empty"),
        ("text.mp4", b"this is a text file, whatever its name says\n" * 40, "cannot be decoded"),
        ("noise.mp4", np.random.default_rng(0).bytes(5000), "cannot be decoded"),
    ],
)
def test_files_that_are_no_video(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        look(tmp_path / name)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        look(tmp_path / "gone.mp4")


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match="audio only"):
        look(path)


def test_one_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", moving_square(0, 1), 10.0)
    with pytest.raises(DataError, match=r"1 frame\(s\)"):
        look(tmp_path / "one.mp4")


def test_a_truncated_file_without_its_index(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4", moving_square(0, 60), 10.0)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot be decoded"):
        look(tmp_path / "half.mp4")


def test_damage_in_the_middle_is_cut_out(tmp_path: Path) -> None:
    frames = moving_square(3, 60)
    write_video(tmp_path / "a.mp4", frames, 10.0)
    first, after_it = spoil_group(tmp_path / "a.mp4", 3)
    found = look(tmp_path / "a.mp4")
    assert found.reader != "decord"
    assert "damaged" in found.notes[0]
    # whole stretches before and after, nothing of the damage and of what may have been predicted from it
    before, after = found.timeline.stretches()
    assert 12 <= before[1] - before[0] <= first
    assert after[1] - after[0] == 60 - after_it
    assert found.damaged == 60 - found.timeline.frames


def test_vp9_and_odd_sizes_are_read(tmp_path: Path) -> None:
    written(tmp_path / "a.webm", moving_square(0, 20), list(range(20)), codec="libvpx-vp9", deadline="realtime")
    found = look(tmp_path / "a.webm")
    assert (found.codec, found.timeline.frames) == ("vp9", 20)
    write_video(tmp_path / "odd.mp4", moving_square(0, 12)[:, :71, :95], 10.0)
    assert look(tmp_path / "odd.mp4").timeline.frames == 12


def test_ten_bits(tmp_path: Path) -> None:
    path = tmp_path / "ten.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p10le"
        for picture in moving_square(0, 12):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p10le")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = look(path)
    assert (found.pixel_format, found.timeline.frames) == ("yuv420p10le", 12)


def test_av1_is_read_by_pyav_and_shows_the_right_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libsvtav1", rate=10, options={"preset": "10", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        video = moving_square(0, 20)
        for picture in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    found = look(path)
    assert (found.timeline.frames, found.width, found.height, found.reader) == (20, 96, 72, "av")
    assert "decord cannot read it" in found.notes[0]
    assert_shows(path, video, tmp_path / "index")


def test_large_files_are_read_by_pyav_unless_their_times_cannot_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = moving_square(0, 40)
    write_video(tmp_path / "a.mp4", video, 10.0)
    assert look(tmp_path / "a.mp4").reader == "decord"
    monkeypatch.setattr(choice, "_LARGE_BYTES", 1000)
    assert look(tmp_path / "a.mp4").reader == "av"
    assert_shows(tmp_path / "a.mp4", video, tmp_path / "index", "av")
    with open_video(tmp_path / "a.mp4") as video:
        samples = Samples()
        for frame in video.frames():
            samples.add(frame.rgb((THUMBNAIL.width, THUMBNAIL.height)), key_frame=frame.key_frame)
        assert choice.right_reader(video, samples, np.arange(40) / 10, 0.1)[0] == "av"
        assert choice.right_reader(video, samples, None, 0.1)[0] == "decord"


@pytest.mark.parametrize("reader", ["decord", "av", "count"])
def test_negative_times(tmp_path: Path, reader: str) -> None:
    video = moving_square(0, 30)
    options = {"avoid_negative_ts": "disabled"}
    written(tmp_path / "a.ts", video, list(range(-7, 23)), container=options, bf="0")
    found = look(tmp_path / "a.ts")
    assert found.timeline.frames == 30 and found.offset_s == pytest.approx(-0.7)
    assert_shows(tmp_path / "a.ts", video, tmp_path / "index", reader)


def test_times_that_the_file_cannot_hold(tmp_path: Path) -> None:
    video = moving_square(0, 30)
    options = {"avoid_negative_ts": "disabled"}
    # FLV counts milliseconds in 32 bits: from before 0 they jump by 25 days
    written(tmp_path / "a.flv", video, list(range(-7, 23)), container=options, bf="0")
    found = look(tmp_path / "a.flv")
    assert found.timeline.starts == (0, 7) and "jump" in " ".join(found.notes)
    index = assert_shows(tmp_path / "a.flv", video, tmp_path / "index")
    assert 2 <= index.count("train") <= 30


def test_two_frames_at_the_same_time(tmp_path: Path) -> None:
    video = moving_square(0, 20)
    written(tmp_path / "plain.mkv", video, list(range(20)), bf="0")
    with av.open(str(tmp_path / "plain.mkv")) as source, av.open(str(tmp_path / "a.mkv"), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        for number, packet in enumerate(packets):
            back = round(0.1 / packet.time_base) if number >= 10 else 0
            packet.stream, packet.pts, packet.dts = stream, packet.pts - back, packet.pts - back
            sink.mux(packet)
    found = look(tmp_path / "a.mkv")
    assert found.timeline.frames == 20 and "not increasing" in " ".join(found.notes)
    assert_shows(tmp_path / "a.mkv", video, tmp_path / "index")


def test_every_picture_twice(tmp_path: Path) -> None:
    video = moving_square(0, 15).repeat(2, axis=0)
    write_video(tmp_path / "a.mp4", video, 10.0)
    index = assert_shows(tmp_path / "a.mp4", video, tmp_path / "index")
    assert index.table["frames"].to_pylist() == [30]


def test_high_dynamic_range_and_interlaced_files_are_read_and_said_to_be_so(tmp_path: Path) -> None:
    def made(name: str, tags: dict[str, int], flags: int = 0, **options: str) -> Probe:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=10, options=options)
            stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
            for key, value in tags.items():
                setattr(stream.codec_context, key, value)
            stream.codec_context.flags |= flags
            for picture in moving_square(0, 12):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                for key, value in tags.items():
                    setattr(frame, key, value)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return look(tmp_path / name)

    bt2020, pq, hlg = 9, 16, 18
    for transfer, name in ((pq, "PQ"), (hlg, "HLG")):
        found = made(f"{name}.mp4", {"color_trc": transfer, "color_primaries": bt2020})
        assert found.timeline.frames == 12 and name in " ".join(found.notes)
    # FFmpeg's flags for interlaced motion estimation and transform
    found = made("fields.mp4", {}, flags=(1 << 18) | (1 << 29), **{"x264-params": "tff=1"})
    assert found.timeline.frames == 12 and "interlaced" in " ".join(found.notes)
    assert not made("plain.mp4", {}).notes


def test_a_codec_that_nobody_knows_is_said_to_be_unknown(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(0, 12), 10.0)
    path = tmp_path / "b.mp4"
    path.write_bytes((tmp_path / "a.mp4").read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(DataError, match="codec that is not known"):
        look(path)


def test_the_best_of_several_streams(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as container:
        streams = []
        for width, height in ((48, 32), (96, 64)):
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for number in range(20):
            for stream in streams:
                picture = np.full((stream.height, stream.width, 3), number * 10, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    import decord

    # which one that is FFmpeg decides for all of us; the first is not always it
    shape = decord.VideoReader(str(path))[0].asnumpy().shape
    found = look(path)
    assert (found.height, found.width) == shape[:2]
    assert found.reader == "decord"


def test_transport_streams_are_not_shown_to_decord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import decord

    def asked(*args: object, **options: object) -> None:
        raise AssertionError("decord may spin for ever")

    write_timed(tmp_path / "a.ts", numbered(40), (np.arange(40) / 30).tolist(), gop=250)
    monkeypatch.setattr(decord, "VideoReader", asked)
    assert look(tmp_path / "a.ts").reader == "av"


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_program_streams_are_counted_as_their_times_are_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    def asked(*args: object) -> None:
        raise AssertionError("a few frames that happen to be right say nothing")

    path = tmp_path / "a.mpg"
    write_timed(path, numbered(90), (np.arange(90) / 30).tolist(), codec, gop=15, b_frames=2)
    monkeypatch.setattr(FramesByTime, "at", asked)
    assert look(path).reader == "count"
    clip = ClipSpec(frames=4, context=1, fps=30, height=36, width=80, stride=1)
    found = [Recording(key="a", path=str(path), split="train")]
    index = ingest(found, domain="d", clip=clip, held_out=0.2, seed=0, out=tmp_path / "index")
    assert index.table["reader"].to_pylist() == ["count"]
    for n in np.random.default_rng(0).permutation(index.count("train"))[:25].tolist():
        window = index.window("train", n)
        frames, failed = Decoder(clip).decode([window])
        assert not failed
        assert [number_of(picture) for picture in frames[0]] == list(window.frames)


def test_a_file_that_pyav_seeks_wrongly_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_timed(tmp_path / "a.ts", numbered(60), (np.arange(60) / 30).tolist())
    assert look(tmp_path / "a.ts").reader == "av"
    real = FramesByTime.at

    def late(file: FramesByTime, time_s: float, tolerance_s: float) -> object:
        return real(file, min(time_s + 1 / 30, 59 / 30), tolerance_s)

    monkeypatch.setattr(FramesByTime, "at", late)
    found = look(tmp_path / "a.ts")
    assert found.reader == "count" and "read from the start" in " ".join(found.notes)


@pytest.mark.parametrize(("last_s", "taken"), [(0.7, True), (0.2, False), (np.nan, False), (np.inf, False)])
def test_a_stream_without_times_takes_those_of_its_data_set_if_they_go_on(
    tmp_path: Path, last_s: float, taken: bool
) -> None:
    write_timed(tmp_path / "a.hevc", numbered(6), (np.arange(6) / 30).tolist(), "libx265")
    times = (0.0, 0.1, 0.2, 0.3, 0.4, last_s)
    found = probe(Recording(key="a", path=str(tmp_path / "a.hevc"), fps=20.0, timestamps_s=times))
    seconds = found.timeline.time_s(np.arange(6))
    assert seconds.tolist() == pytest.approx(times if taken else (np.arange(6) / 20).tolist())


def test_a_part_has_a_digest_of_its_own(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(0, 30), 10.0)
    parts = [None, (0.0, 1.0), (1.0, 2.0)]
    digests = [probe(Recording(key="a", path=str(tmp_path / "a.mp4"), part_s=part)).digest for part in parts]
    assert digests == [digest(tmp_path / "a.mp4", part) for part in parts]
    assert len(set(digests)) == 3


def test_hashes_of_like_pictures_are_alike() -> None:
    picture = moving_square(0, 1, 18 * 8, 32 * 8)[0][::8, ::8]
    brighter = np.clip(picture.astype(int) + 12, 0, 255).astype(np.uint8)
    other = moving_square(5, 1, 18 * 8, 32 * 8)[0][::8, ::8]
    base = int(difference_hash(picture))
    assert (base ^ int(difference_hash(brighter))).bit_count() <= 4
    assert (base ^ int(difference_hash(other))).bit_count() > 12


def test_decord_and_pyav_disagree(shared_data: Path) -> None:
    """box.mp4: an edit list discards one of 456 packets, so 455 pictures are shown, and PyAV is right.

    torchcodec_nasa_13013.mp4: two video streams; PyAV's first one has 325 frames, the best one, which players and
    decord show, has 390, and decord is right.
    """
    box = look(shared_data / "replay" / "objects" / "box.mp4")
    assert (box.timeline.frames, box.reader == "decord") == (455, False)
    with av.open(str(shared_data / "replay" / "objects" / "box.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert (len(packets), sum(packet.is_discard for packet in packets)) == (456, 1)
    nasa = look(shared_data / "replay" / "classic" / "torchcodec_nasa_13013.mp4")
    assert (nasa.timeline.frames, nasa.width, nasa.height) == (390, 480, 270)


def test_decord_shifts_frames_of_megamind(shared_data: Path) -> None:
    # times before the first key frame are missing, and decord's seeks come down one frame off
    found = look(shared_data / "replay" / "classic" / "Megamind.avi")
    assert found.timeline.frames == 270
    assert found.reader != "decord"
    assert "another frame" in " ".join(found.notes)


def test_memory_buffers_are_no_files() -> None:
    with pytest.raises(DataError):
        probe(Recording(key="x", path=str(io.BytesIO())))
