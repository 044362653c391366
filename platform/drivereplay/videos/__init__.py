"""Reading video files: the only room that opens one."""

from drivereplay.videos.file import Frame, Video, open_video
from drivereplay.videos.whole import VideoFrames, read_frames, read_video

__all__ = ["Frame", "Video", "VideoFrames", "open_video", "read_frames", "read_video"]
