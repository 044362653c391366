"""The mailbox between workers and driver: letters in order, answers to who asked."""

from __future__ import annotations

import pytest
import ray

from drivereplay.training.mailbox import Mailbox

pytestmark = pytest.mark.usefixtures("ray_session")


def test_letters_come_in_order_and_answers_go_back() -> None:
    mailbox = Mailbox.remote()
    ray.get(mailbox.post.remote("step", 1))
    asked = mailbox.ask.remote("checkpoint", "here")
    assert ray.get(mailbox.next.remote()) == ("step", -1, 1)
    kind, number, value = ray.get(mailbox.next.remote())
    assert (kind, value) == ("checkpoint", "here")
    ray.get(mailbox.answer.remote(number, True))
    assert ray.get(asked) is True
    ray.get(mailbox.answer.remote(number, False))  # a second answer finds nobody, and that is no error
    ray.get(mailbox.close.remote())
    assert ray.get(mailbox.next.remote()) is None
    ray.kill(mailbox)
