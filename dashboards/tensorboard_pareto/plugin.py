"""The backend of the tab: five routes on top of the data provider, and the frontend's files.

It opens no file of the log directory itself. Everything comes through TensorBoard's data provider, so that a remote
directory works like a local one and no request can name a path.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from tensorboard_pareto import records
from tensorboard_pareto.reader import Page, Reader

MIMETYPES = {".js": "text/javascript", ".css": "text/css"}


_loaded: weakref.WeakSet[base_plugin.TBContext] = weakref.WeakSet()


class ParetoLoader(base_plugin.TBLoader):
    """The entry point. Where two installed packages name it, as DriveReplay's and this one's own, the first one counts.

    TensorBoard does not start with two plugins of one name.
    """

    def load(self, context: base_plugin.TBContext) -> ParetoPlugin | None:
        """The plugin, or None where it has been loaded into this TensorBoard already."""
        if context in _loaded:
            return None
        _loaded.add(context)
        return ParetoPlugin(context)


class ParetoPlugin(base_plugin.TBPlugin):
    """The Pareto tab.

    Args:
        context: TensorBoard's context; without a data provider the tab stays empty.
    """

    plugin_name = records.PLUGIN_NAME

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._provider = context.data_provider
        self._readers: dict[str, Reader] = {}

    def get_plugin_apps(self) -> Mapping[str, Callable[..., Any]]:
        """Routes below `data/plugin/pareto`."""
        # the frontend's files are listed once, so that no request is ever turned into a path
        apps: dict[str, Callable[..., Any]] = {f"/{n}": _asset(n, data) for n, data in frontend_files().items()}
        apps["/candidates"] = self.serve_candidates
        apps["/settings"] = self.serve_settings
        apps["/curves"] = self.serve_curves
        apps["/videos"] = self.serve_videos
        apps["/strip"] = self.serve_strip
        return apps

    def is_active(self) -> bool:
        """TensorBoard itself asks the data provider for our summaries; without any the tab stands under INACTIVE."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """An ES module, loaded by TensorBoard into a frame; the tab polls by itself."""
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Pareto", disable_reload=True)

    @wrappers.Request.application
    def serve_candidates(self, request: wrappers.Request) -> wrappers.Response:
        """`?since=VERSION&epoch=EPOCH` → candidates that are new since then."""
        since, epoch = request.args.get("since", 0, int), request.args.get("epoch", None, int)
        reader = self._reader(request)
        if reader is None:
            return _json(request, page_json(Page(0, 0, False, [], {}, ["TensorBoard runs without a data provider."])))
        page = reader.poll(plugin_util.context(request.environ), since=max(0, since), epoch=epoch)
        return _json(request, page_json(page))

    @wrappers.Request.application
    def serve_settings(self, request: wrappers.Request) -> wrappers.Response:
        """`?run=RUN&name=NAME` → the candidate's settings as text."""
        reader, run, name = self._reader(request), request.args.get("run", ""), request.args.get("name", "")
        text = reader.settings(plugin_util.context(request.environ), run, name) if reader else None
        if text is None:
            return _not_found(request)
        return http_util.Respond(request, text, "text/plain")

    @wrappers.Request.application
    def serve_curves(self, request: wrappers.Request) -> wrappers.Response:
        """`?run=RUN&name=NAME` → the scalars of the candidate's training."""
        reader, run, name = self._reader(request), request.args.get("run", ""), request.args.get("name", "")
        curves = reader.curves(plugin_util.context(request.environ), run, name) if reader else {}
        return _json(request, records.encode(curves))

    @wrappers.Request.application
    def serve_videos(self, request: wrappers.Request) -> wrappers.Response:
        """`?run=RUN&name=NAME` → the candidate's videos and the real ones."""
        reader, run, name = self._reader(request), request.args.get("run", ""), request.args.get("name", "")
        videos = reader.videos(plugin_util.context(request.environ), run, name) if reader else []
        return _json(request, records.encode(videos))

    @wrappers.Request.application
    def serve_strip(self, request: wrappers.Request) -> wrappers.Response:
        """`?key=KEY` → a film strip as PNG."""
        reader, key = self._reader(request), request.args.get("key", "")
        data = reader.strip(plugin_util.context(request.environ), key) if reader and key else None
        if data is None:
            return _not_found(request)
        # keys name a run, a tag and a step; what they point at never changes
        return http_util.Respond(request, data, "image/png", expires=3600)

    def _reader(self, request: wrappers.Request) -> Reader | None:
        if self._provider is None:
            return None
        experiment = plugin_util.experiment_id(request.environ)
        return self._readers.setdefault(experiment, Reader(self._provider, experiment))


def frontend_files() -> dict[str, bytes]:
    """Name → content of the frontend's modules and its style sheet."""
    directory = resources.files("tensorboard_pareto") / "frontend"
    return {item.name: item.read_bytes() for item in directory.iterdir() if item.name.endswith(tuple(MIMETYPES))}


def page_json(page: Page) -> bytes:
    """The page as JSON; candidates are already encoded."""
    head = {"epoch": page.epoch, "version": page.version, "more": page.more, "busy": page.busy}
    parts = [records.encode(head)[:-1], b',"candidates":[', b",".join(page.candidates), b'],"setups":']
    return b"".join([*parts, records.encode(page.setups), b',"problems":', records.encode(page.problems), b"}"])


def _asset(name: str, data: bytes) -> Callable[..., Any]:
    mimetype = MIMETYPES["." + name.rsplit(".", 1)[1]]

    @wrappers.Request.application
    def serve(request: wrappers.Request) -> wrappers.Response:
        return http_util.Respond(request, data, mimetype)

    application: Callable[..., Any] = serve
    return application


def _json(request: wrappers.Request, data: bytes) -> wrappers.Response:
    return http_util.Respond(request, data, "application/json")


def _not_found(request: wrappers.Request) -> wrappers.Response:
    return http_util.Respond(request, "There is no such thing in the log directory.", "text/plain", code=404)
