"""Latents that are made once."""

from __future__ import annotations

import torch

from drivereplay.models.memo import LatentMemo


class Counting:
    """A codec that counts the samples it is given."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, video: torch.Tensor) -> torch.Tensor:
        self.calls += len(video)
        return video.mean(dim=1, keepdim=True)


def videos(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1, 1).expand(count, 3, 2, 4, 4).contiguous()


def test_a_sample_is_encoded_once_whatever_batch_it_is_in() -> None:
    memo, codec = LatentMemo(), Counting()
    first = memo.encode(videos(4), "a", codec)
    again = memo.encode(videos(4)[[2, 0]], "a", codec)
    assert codec.calls == 4
    assert torch.equal(again, first[[2, 0]])


def test_another_codec_or_another_shape_is_another_latent() -> None:
    memo, codec = LatentMemo(), Counting()
    memo.encode(videos(1), "a", codec)
    memo.encode(videos(1), "b", codec)
    memo.encode(videos(1).view(1, 3, 4, 2, 4), "a", codec)
    assert codec.calls == 3


def test_the_budget_holds_and_the_latest_stay() -> None:
    row = 1 * 2 * 4 * 4 * 4
    memo, codec = LatentMemo(budget_bytes=2 * row), Counting()
    memo.encode(videos(3), "a", codec)
    assert len(memo) == 2
    memo.encode(videos(3)[2:], "a", codec)
    assert codec.calls == 3
    memo.encode(videos(3)[:1], "a", codec)
    assert codec.calls == 4
