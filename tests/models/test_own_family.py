"""`docs/models.md` keeps its word: a family is one file; training, resuming and foreseeing come with it."""

from __future__ import annotations

import ast
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.models.helpers import spec_of

from drivereplay.errors import DriveReplayError, ModelError
from drivereplay.models import layout, load_checkpoint, load_model
from drivereplay.models.base import VideoModel
from drivereplay.models.stock import StockModel
from drivereplay.spec import load_spec

MINE = '''
"""Denoising by one convolution on the pixels themselves."""
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config

from drivereplay.errors import ModelError
from drivereplay.models import layout
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.models.codec import to_frames, to_signed
from drivereplay.models.flow import velocity_loss
from drivereplay.models.noise import seeded_noise


class Convolution(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, width: int = 8):
        super().__init__()
        self.first = torch.nn.Conv3d(7, width, 3, padding=1)
        self.last = torch.nn.Conv3d(width, 3, 3, padding=1)

    def forward(self, x):
        return self.last(torch.nn.functional.silu(self.first(x)))


class Mine(VideoModel):
    family = "mine"
    pipelines = ("MyPipeline",)
    lora_targets = ("first", "last")
    layer_groups = {}

    def __init__(self, module, context):
        self.module, self.config, self.context = module, module.config, context
        self.origin = layout.Origin("MyPipeline")

    @classmethod
    def random(cls, spec):
        with layout.seeded(spec.seed):
            return cls(layout.built(Convolution, dict(spec.model.config)), spec.clip.context)

    @classmethod
    def open(cls, directory, *, context):
        return cls(layout.read_part(Convolution, directory, "transformer"), context)

    def check(self, frames, height, width):
        if height % 2:
            raise ModelError("The height must be even.", "Make it so.")

    def encode(self, frames):
        return to_signed(frames.to(self.device))

    def decode(self, latents):
        return to_frames(latents)

    def conditions(self, frames, prompts, fps):
        return Conditions(list(prompts), fps, {"last": to_signed(frames[:, self.context - 1 : self.context])})

    def placeholder(self, batch, frames, height, width):
        latents = torch.zeros(batch, 3, frames, height, width)
        return latents, Conditions([""] * batch, 8.0, {"last": latents[:, :, :1]})

    def noise_levels(self, uniforms, shape):
        return uniforms

    def predict(self, latents, noise, levels, conditions):
        sigma = levels.view(-1, 1, 1, 1, 1).expand(-1, 1, *latents.shape[2:])
        given = conditions.given["last"].expand_as(latents)
        return self.module(torch.cat([(1 - sigma) * latents + sigma * noise, given, sigma], dim=1))

    def loss_of(self, predicted, latents, noise, levels, conditions):
        return velocity_loss(predicted, latents, noise)

    @torch.no_grad()
    def generate(self, context, frames, seeds, denoising_steps, conditions):
        x = seeded_noise(seeds, (3, frames, *context.shape[2:4]))
        full = self.conditions(context, conditions.prompts, conditions.fps)
        for step in range(denoising_steps, 0, -1):
            level = torch.full((len(seeds),), step / denoising_steps)
            sigma = level.view(-1, 1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
            given = full.given["last"].expand_as(x)
            x = x - self.module(torch.cat([x, given, sigma], dim=1)) / denoising_steps
        video = to_frames(x)
        video[:, : context.shape[1]] = context
        return video

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.module.save_pretrained(directory / "transformer")
        layout.write_index(directory, "MyPipeline", self.origin, {"transformer": self.module}, {})
        layout.write_card(directory, family=self.family, context=self.context)

    def fingerprint(self):
        return "pixels"
'''

USER = """
import sys
from pathlib import Path
import torch
import drivereplay.models as models
from drivereplay.models.base import Conditions
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import checkpoints
from drivereplay.training.foresee import foresee
from drivereplay.training.group import Group
from drivereplay.training.loop import fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, begin
from tests.training.helpers import MemoryIndex, memory_batches, small_spec

retention = {"distill": 0.1, "l2sp": 0.1}
spec = small_spec(model={"family": sys.argv[1] + ":Mine", "config": {"width": 4}}, training={
    "steps": 60, "batch_size": 4, "checkpoint_every": 30, "learning_rate": 1e-2, "warmup": 2, "retention": retention})
assert foresee(spec)["parameters"] == (7 * 27 + 1) * 4 + (4 * 27 + 1) * 3

def run(directory, stop=None):
    state, extra = begin(models.load_model(spec), spec, directory)
    hooks = RunHooks(spec, directory, [MemoryIndex(d.name) for d in spec.domains], Group(), state, extra,
                     Progress("mine", 60, every=9, show=False), lambda *_: False)
    fine_tune(state.model, memory_batches(spec, state.step, stop), spec, state=state, hooks=hooks)
    return hooks.points, state

whole, broken = Storage.of(sys.argv[2] + "/whole"), Storage.of(sys.argv[2] + "/broken")
points, state = run(whole)
run(broken, 30)
again, other = run(broken)
assert sum(p.loss for p in points[-10:]) < 0.8 * sum(p.loss for p in points[:10])
assert [p.loss for p in again] == [p.loss for p in points]
loaded = models.load_checkpoint(checkpoints(whole)[-1].storage.root)
assert all(torch.equal(a, b) for a, b in zip(loaded.module.parameters(), other.model.module.parameters()))
context = torch.zeros(2, 1, 16, 16, 3, dtype=torch.uint8)
assert loaded.generate(context, 4, [1, 2], 2, Conditions(["", ""], 8.0)).shape == (2, 4, 16, 16, 3)
print("done")
"""


@pytest.mark.slow
def test_one_file_makes_a_family(tmp_path: Path, project_root: Path) -> None:
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "mine.py").write_text(MINE)
    command = [sys.executable, "-c", USER, str(tmp_path / "families" / "mine.py"), str(tmp_path)]
    done = subprocess.run(command, check=False, cwd=project_root, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "mine.py").write_text(MINE)
    return tmp_path / "lab"


def experiment(folder: Path, family: str) -> Path:
    path = folder / "experiment.yaml"
    clip = "{frames: 4, context: 1, height: 16, width: 16}"
    path.write_text(
        f"name: own\nmodel: {{family: '{family}', config: {{width: 4}}}}\nclip: {clip}\n"
        "target: {name: d, source: {kind: world, world: highway}}\n"
    )
    return path


def test_a_file_beside_the_experiment_is_a_family(mine: Path) -> None:
    model = load_model(load_spec(experiment(mine, "mine.py:Mine")))
    assert type(model).__name__ == "Mine" and model.module.first.out_channels == 4


UNPICKLE = """
import pickle, sys
from drivereplay.models import load_checkpoint, load_model
spec = pickle.load(open(sys.argv[1], "rb"))
print(type(load_model(spec)).__name__, type(load_checkpoint(sys.argv[2])).__name__)
"""


def test_the_file_travels_with_the_experiment(mine: Path, tmp_path: Path, project_root: Path) -> None:
    """As to a worker on another machine, which does not have it."""
    spec = load_spec(experiment(mine, "mine.py:Mine"))
    load_model(spec).save(tmp_path / "checkpoint")
    (tmp_path / "spec.pkl").write_bytes(pickle.dumps(spec))
    (mine / "mine.py").unlink()
    command = [sys.executable, "-c", UNPICKLE, str(tmp_path / "spec.pkl"), str(tmp_path / "checkpoint")]
    done = subprocess.run(command, check=True, cwd=project_root, capture_output=True, text=True)
    assert done.stdout.split() == ["Mine", "Mine"]


def test_a_checkpoint_cannot_name_a_file(mine: Path, tmp_path: Path, project_root: Path) -> None:
    """Neither its card nor the experiment that lies beside it runs anything."""
    (mine / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + MINE)
    load_model(spec_of("random", "svd", frames=2)).save(mine)
    layout.write_card(mine, family=f"{mine / 'mine.py'}:Mine", context=1)
    spec = load_spec(experiment(mine, "mine.py:Mine"))
    pickle.loads(pickle.dumps(spec))
    with pytest.raises(ModelError, match="no family"):
        load_checkpoint(mine)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("1 / 0", "Mine", "fails: ZeroDivisionError"),
        ("class Other: pass", "Mine", "has no class Mine"),
        ("class Mine: pass", "Mine", "no subclass of drivereplay.models.base.VideoModel"),
        ("from drivereplay.models.base import VideoModel\nclass Mine(VideoModel): pass", "Mine", "lacks check, decode"),
        (None, "Mine", "cannot be read"),
    ],
)
def test_mistakes_in_the_file_are_one_line(tmp_path: Path, text: str | None, name: str, message: str) -> None:
    if text is not None:
        (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(DriveReplayError, match=message) as caught:
        load_model(load_spec(experiment(tmp_path, f"wrong.py:{name}")))
    assert "\n" not in str(caught.value)


def test_an_installed_package_brings_a_family(mine: Path, project_root: Path) -> None:
    (mine / "mine.py").rename(mine / "my_lab_models.py")
    metadata = mine / "my_lab-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-lab\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[drivereplay.families]\nmine = my_lab_models:Mine\n")
    code = "from drivereplay.models import families; print(families()['mine'].__module__)"
    places = f"{mine}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=project_root, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": places},
    )  # fmt: skip
    assert done.stdout.strip() == "my_lab_models"


def test_a_job_takes_the_file_along(mine: Path, tmp_path: Path) -> None:
    from drivereplay.jobs.packaging import pack

    (tmp_path / "staged").mkdir()
    package = pack(["train", str(experiment(mine, "mine.py:Mine"))], tmp_path / "staged")
    (mine / "mine.py").unlink()
    staged = load_spec(package.directory / package.arguments[1])
    assert type(load_model(staged)).__name__ == "Mine"


def test_the_page_names_what_there_is_to_write(project_root: Path) -> None:
    """All that is abstract in the base it shows, and nothing that the interface does not know."""
    page = (project_root / "platform/docs/models.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Mine" in block)
    shown = ast.parse(code).body[0]
    assert (
        isinstance(shown, ast.ClassDef) and isinstance(shown.bases[0], ast.Name) and shown.bases[0].id == "StockModel"
    )
    methods = {node.name for node in shown.body if isinstance(node, ast.FunctionDef)}
    values = {
        t.id for node in shown.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)
    }
    assert set(StockModel.__abstractmethods__) <= methods
    assert all(hasattr(StockModel, name) for name in methods)
    assert values <= set(VideoModel.__annotations__) and {"family", "pipelines", "lora_targets"} <= values
