// Film strips side by side, in step, frame by frame, with tracks over them.

import { button, el, replace, select } from "./dom.js";
import { CATEGORIES } from "./theme.js";

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
      const canvas = el("canvas", { width: video.width, height: video.height, "data-label": label });
      const screen = { label, video, canvas, image: null };
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
    for (const { video, canvas, image } of this.screens) {
      const context = canvas.getContext("2d");
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

function drawTracks(context, video, frame) {
  const width = Math.max(0.75, video.width / 240);
  for (const [at, id, x1, y1, x2, y2, label] of video.tracks ?? []) {
    if (at !== frame) continue;
    const colour = CATEGORIES[Math.abs(id) % CATEGORIES.length];
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    if (!label || video.width < 160) continue;
    context.fillStyle = colour;
    context.font = `${Math.max(9, video.height / 24)}px sans-serif`;
    context.fillText(label, x1, y1 - 2);
  }
}
