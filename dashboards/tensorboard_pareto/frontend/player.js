// Film strips side by side, in step, frame by frame, with tracks over them.

import { button, el, replace, select } from "./dom.js";
import { CATEGORIES } from "./theme.js";

const SHARP_PX = 480;
const MOST_NAMES = 4;

export class Player {
  constructor(host) {
    this.host = host;
    this.frame = 0;
    this.speed = 1;
    this.tracks = true;
    this.clip = "";
    this.timer = null;
    this.screens = [];
    this.strips = new Map();
  }

  /**
   * Show rows of videos: `[{label, videos}]`, each with its real ones among them. The real video comes first, once.
   */
  show(rows) {
    this.stop();
    this.rows = rows.filter((row) => row.videos.length);
    const clips = [...new Set(this.rows.flatMap((row) => row.videos.map((video) => video.clip)))].sort();
    if (!clips.length) {
      replace(this.host, el("p", { class: "note" }, "No videos were written for this candidate."));
      this.screens = [];
      return;
    }
    if (!clips.includes(this.clip)) [this.clip] = clips;
    this.picker = select(this.clip, clips.map((clip) => [clip, `clip ${clip}`]), (clip) => {
      this.clip = clip;
      this.open();
    }, { "aria-label": "Clip" });
    this.area = el("div", { class: "screens" });
    this.playButton = button("▶", () => this.toggle(), { class: "icon", title: "Play or pause (space)", "aria-label": "Play" });
    this.slider = el("input", { type: "range", min: 0, max: 0, value: 0, class: "frames", "aria-label": "Frame", on: { input: () => this.seek(Number(this.slider.value)) } });
    this.counter = el("span", { class: "counter", "data-role": "frame" });
    const speeds = [["0.25", "¼×"], ["0.5", "½×"], ["1", "1×"], ["2", "2×"]];
    this.tracksLabel = el("label", { class: "check" }, el("input", { type: "checkbox", checked: this.tracks, on: { change: (event) => { this.tracks = event.target.checked; this.draw(); } } }), "tracks");
    replace(this.host, this.area,
      el("div", { class: "transport" },
        this.playButton,
        button("‹", () => this.step(-1), { class: "icon", title: "Frame back (,)", "aria-label": "Frame back" }),
        button("›", () => this.step(1), { class: "icon", title: "Frame forward (.)", "aria-label": "Frame forward" }),
        this.slider, this.counter),
      el("div", { class: "transport" }, this.picker, select(String(this.speed), speeds, (value) => { this.speed = Number(value); this.restart(); }, { "aria-label": "Speed" }), this.tracksLabel));
    this.open();
  }

  open() {
    const found = [];
    for (const row of this.rows) {
      const own = row.videos.filter((video) => video.clip === this.clip);
      const real = own.find((video) => video.candidate === "");
      if (real && !found.some((one) => one.label === "real")) found.unshift({ label: "real", video: real });
      const generated = own.find((video) => video.candidate !== "");
      if (generated) found.push({ label: row.label, video: generated });
    }
    this.screens = found.map(({ label, video }) => {
      // small videos get a finer canvas than their own pixels, so that tracks are lines and not stairs
      const fine = Math.max(1, Math.ceil(SHARP_PX / video.width));
      const canvas = el("canvas", { width: video.width * fine, height: video.height * fine, "data-label": label, "data-fine": fine });
      const screen = { label, video, canvas, fine, image: null };
      this.load(video.url).then((image) => {
        screen.image = image;
        this.draw();
      });
      return screen;
    });
    replace(this.area, ...this.screens.map((screen) => el("figure", {}, screen.canvas, el("figcaption", {}, screen.label))));
    this.area.classList.toggle("wide", this.screens.length < 3 && found.some(({ video }) => video.width > 2 * video.height));
    this.count = Math.max(1, ...found.map(({ video }) => video.frames));
    this.fps = found[0]?.video.fps || 8;
    this.slider.max = this.count - 1;
    this.tracksLabel.hidden = !found.some(({ video }) => video.tracks?.length);
    this.seek(Math.min(this.frame, this.count - 1));
  }

  async load(url) {
    if (!this.strips.has(url)) {
      if (this.strips.size > 24) this.strips.delete(this.strips.keys().next().value);
      const image = new Image();
      image.src = url;
      this.strips.set(url, image.decode().then(() => image, () => null));
    }
    return this.strips.get(url);
  }

  seek(frame) {
    this.frame = frame;
    this.slider.value = frame;
    this.counter.textContent = `${frame + 1} / ${this.count}`;
    this.draw();
  }

  step(by) {
    if (!this.screens.length) return;
    this.stop();
    this.seek((this.frame + by + this.count) % this.count);
  }

  toggle() {
    if (this.timer) this.stop();
    else this.start();
  }

  start() {
    if (!this.screens.length) return;
    this.playButton.textContent = "❚❚";
    this.timer = setInterval(() => this.seek((this.frame + 1) % this.count), 1000 / (this.fps * this.speed));
  }

  restart() {
    if (!this.timer) return;
    this.stop();
    this.start();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.playButton) this.playButton.textContent = "▶";
  }

  draw() {
    for (const { video, canvas, fine, image } of this.screens) {
      const context = canvas.getContext("2d");
      context.setTransform(fine, 0, 0, fine, 0, 0);
      context.imageSmoothingEnabled = false;
      const at = Math.min(this.frame, video.frames - 1);
      const [column, row] = [at % video.columns, Math.floor(at / video.columns)];
      context.clearRect(0, 0, video.width, video.height);
      if (image) context.drawImage(image, column * video.width, row * video.height, video.width, video.height, 0, 0, video.width, video.height);
      if (this.tracks) drawTracks(context, video, at);
      canvas.classList.toggle("given", at < video.context);
      canvas.title = at < video.context ? "given to the model" : "";
    }
  }
}

/** Boxes of this frame, each with the way of its centre so far; names only where there is room for them. */
function drawTracks(context, video, frame) {
  const paths = new Map();
  for (const [at, id, x1, y1, x2, y2] of video.tracks ?? []) {
    if (at > frame) continue;
    if (!paths.has(id)) paths.set(id, []);
    paths.get(id).push([(x1 + x2) / 2, (y1 + y2) / 2]);
  }
  const boxes = (video.tracks ?? []).filter(([at]) => at === frame);
  context.lineWidth = video.width / 120;
  context.lineJoin = "round";
  context.font = `${video.width / 15}px sans-serif`;
  for (const [, id, x1, y1, x2, y2, label] of boxes) {
    const colour = CATEGORIES[Math.abs(id) % CATEGORIES.length];
    context.strokeStyle = colour;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    context.beginPath();
    for (const [x, y] of paths.get(id)) context.lineTo(x, y);
    context.stroke();
    if (!label || boxes.length > MOST_NAMES) continue;
    const [wide, high] = [context.measureText(label).width, video.width / 15];
    const [x, y] = [Math.max(0, Math.min(x1, video.width - wide)), y1 > high ? y1 - high - 1 : Math.min(y2 + 1, video.height - high)];
    context.fillStyle = "rgba(0, 0, 0, 0.65)";
    context.fillRect(x, y, wide, high);
    context.fillStyle = "#ffffff";
    context.fillText(label, x, y + 0.82 * high);
  }
}
