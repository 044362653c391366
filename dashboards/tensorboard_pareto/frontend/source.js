// Where the data comes from: TensorBoard's backend, or the page itself when it was saved as one file.

/** Polls the plugin's backend. Addresses are relative to the plugin's own route. */
export class LiveSource {
  constructor() {
    this.live = true;
    this.since = 0;
    this.epoch = null;
  }

  /** What is new: `{reset, candidates, setups, problems, busy}`; asks until there is no more. */
  async poll() {
    const result = { reset: false, candidates: [], setups: {}, problems: [], busy: false };
    for (let more = true; more; ) {
      const epoch = this.epoch === null ? "" : `&epoch=${this.epoch}`;
      const page = await (await ask(`candidates?since=${this.since}${epoch}`)).json();
      if (this.epoch !== page.epoch) {
        // something vanished from the log directory, so that what we have may be gone
        result.reset = true;
        result.candidates = [];
      }
      result.candidates.push(...page.candidates);
      result.setups = page.setups;
      result.problems = page.problems;
      result.busy = page.busy;
      [this.epoch, this.since, more] = [page.epoch, page.version, page.more];
    }
    return result;
  }

  async settings(candidate) {
    return (await ask(`settings?${query(candidate)}`)).text();
  }

  async curves(candidate) {
    return (await ask(`curves?${query(candidate)}`)).json();
  }

  async videos(candidate) {
    const videos = await (await ask(`videos?${query(candidate)}`)).json();
    return videos.map((video) => ({ ...video, url: `strip?key=${encodeURIComponent(video.key)}` }));
  }
}

/** Everything is in the page; see `static_page.py`. */
export class StaticSource {
  constructor(data) {
    this.live = false;
    this.data = data;
    this.told = false;
  }

  async poll() {
    const { candidates, setups, problems } = this.data;
    const first = !this.told;
    this.told = true;
    return { reset: first, candidates: first ? candidates : [], setups, problems };
  }

  async settings(candidate) {
    return this.detail(candidate).settings ?? "";
  }

  async curves(candidate) {
    return this.detail(candidate).curves ?? {};
  }

  async videos(candidate) {
    return this.detail(candidate).videos?.map((index) => this.data.videos[index]) ?? [];
  }

  detail({ run, name }) {
    return this.data.details.find((detail) => detail.run === run && detail.name === name) ?? {};
  }
}

async function ask(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`${answer.status}: ${(await answer.text()).slice(0, 200)}`);
  return answer;
}

function query({ run, name }) {
  return new URLSearchParams({ run, name }).toString();
}
