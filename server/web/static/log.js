// The live log of a build: shows only the lines in view, fetched in chunks, so that a log of a million lines stays smooth.
// Lines come as HTML that the server has escaped. Stages fold; #L12 and #L12-L20 link to lines; it follows the end until told not to.

const ROW = 20;          // pixels, as in the style sheet
const CHUNK = 500;       // lines a request
const KEEP = 40;         // chunks kept
const MAX = 30_000_000;  // pixels that browsers can lay out; longer logs are scaled onto it

export function viewer(root, stream) {
  const base = root.dataset.base;
  const view = root.querySelector("#viewer"), follow = root.querySelector("#follow"), says = root.querySelector("#log-state");
  const space = document.createElement("div"), rows = document.createElement("div");
  space.className = "space"; rows.className = "rows"; space.append(rows); view.append(space);
  root.querySelector(".tools").hidden = false; view.hidden = false;

  const chunks = new Map();   // chunk number → {lines, complete, wanted}
  const log = { total: 0, finished: false, stages: [], names: {}, parents: {} };
  const folded = new Set();   // ids of folded stages
  let anchors = new Map();    // line → stage whose first line it is and that has more
  let lengths = new Map();    // stage → lines of it and of the stages within
  let hidden = [];            // lines that folding hides: [first, end) in order, none touching another
  let hits = parseHash();
  let placed = -1;            // where this program scrolled to last

  // Lines ⇄ rows. A stage may have many runs of lines, between those of its parallel siblings; it folds as a whole into its first.
  const within = (id) => { const all = []; for (; id && all.length < 100; id = log.parents[id]) all.push(id); return all; };
  function arrange() {
    const first = new Map();
    lengths = new Map();
    for (const r of log.stages) {
      if (!r.stage) continue;
      if (!first.has(r.stage)) first.set(r.stage, r.first);
      for (const id of within(r.stage)) lengths.set(id, (lengths.get(id) || 0) + r.end - r.first);
    }
    anchors = new Map();
    for (const [id, line] of first) if (lengths.get(id) > 1) anchors.set(line, id);
    hidden = [];
    if (!folded.size) return;
    const hide = (from, to) => {
      const last = hidden[hidden.length - 1];
      if (from >= to) return;
      if (last && last.end === from) last.end = to; else hidden.push({ first: from, end: to });
    };
    for (const r of log.stages) {
      const shut = within(r.stage).filter((id) => folded.has(id)).pop(); // the outermost
      if (!shut) continue;
      const keep = first.get(shut);
      if (keep >= r.first && keep < r.end) { hide(r.first, keep); hide(keep + 1, r.end); } else hide(r.first, r.end);
    }
  }
  function rowCount() { return log.total - hidden.reduce((n, h) => n + h.end - h.first, 0); }
  function lineAt(row) { // line number of a row; rows count from 0, lines from 1
    let line = row + 1;
    for (const h of hidden) { if (line < h.first) break; line += h.end - h.first; }
    return line;
  }
  function rowOf(line) {
    let row = line - 1;
    for (const h of hidden) { if (line < h.first) break; row -= Math.min(line, h.end) - h.first; }
    return row;
  }

  function chunk(n) {
    let c = chunks.get(n);
    if (!c) { c = { lines: [], complete: false, wanted: false }; chunks.set(n, c); }
    else { chunks.delete(n); chunks.set(n, c); } // most recently used last
    const have = n * CHUNK + c.lines.length;
    if (!c.complete && !c.wanted && have < log.total) load(n, c);
    if (chunks.size > KEEP) chunks.delete(chunks.keys().next().value);
    return c;
  }
  async function load(n, c) {
    c.wanted = true;
    const from = n * CHUNK + c.lines.length + 1;
    try {
      const r = await fetch(`${base}/lines?from=${from}&count=${CHUNK - c.lines.length}`);
      if (!r.ok) throw new Error(r.statusText);
      const got = await r.json();
      if (got.from === n * CHUNK + c.lines.length + 1) c.lines.push(...got.lines);
      c.complete = c.lines.length >= CHUNK;
    } catch (e) {
      says.textContent = `Reading the log: ${e.message}. Trying again.`;
      await new Promise((ok) => setTimeout(ok, 1000));
    }
    c.wanted = false;
    draw();
  }

  function scale() { return Math.max(1, rowCount() * ROW / MAX); }
  function place(top) { view.scrollTop = top; placed = view.scrollTop; }
  let drawing = false;
  function draw() { if (!drawing) { drawing = true; requestAnimationFrame(render); } }
  function render() {
    drawing = false;
    const count = rowCount(), k = scale();
    space.style.height = Math.min(MAX, count * ROW) + "px";
    if (follow.checked) place(view.scrollHeight);
    const top = view.scrollTop * k, height = view.clientHeight;
    const first = Math.max(0, Math.min(Math.floor(top / ROW), count - Math.floor(height / ROW)) - 10);
    const last = Math.min(count, first + Math.ceil(height / ROW) + 20);
    const frag = document.createDocumentFragment();
    for (let r = first; r < last; r++) frag.append(row(lineAt(r)));
    rows.replaceChildren(frag);
    const shift = k > 1 ? view.scrollTop - (top - first * ROW) : first * ROW;
    rows.style.transform = `translateY(${Math.min(shift, Math.min(MAX, count * ROW) - (last - first) * ROW)}px)`;
    says.textContent = `${log.total.toLocaleString()} lines${log.finished ? "" : ", running"}`;
  }
  function row(line) {
    const el = document.createElement("div");
    el.className = "row"; el.dataset.line = line;
    if (hits && line >= hits[0] && line <= hits[1]) el.classList.add("hit");
    const stage = anchors.get(line), shut = stage && folded.has(stage);
    const fold = document.createElement(stage ? "button" : "span");
    fold.className = stage ? "fold" : "fold blank";
    if (stage) {
      fold.textContent = shut ? "▸" : "▾"; fold.dataset.fold = stage;
      fold.setAttribute("aria-expanded", String(!shut)); fold.setAttribute("aria-label", `Stage ${log.names[stage] || ""}`);
    }
    const a = document.createElement("a");
    a.href = "#L" + line; a.textContent = line; a.tabIndex = -1;
    const code = document.createElement("code");
    if (shut) {
      el.classList.add("folded");
      code.textContent = `${log.names[stage] || "stage"} · ${lengths.get(stage).toLocaleString()} lines`;
    } else {
      const n = Math.floor((line - 1) / CHUNK), html = chunk(n).lines[(line - 1) % CHUNK];
      if (html !== undefined) code.innerHTML = html;
    }
    el.append(fold, a, code);
    return el;
  }

  function parseHash() {
    const m = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    return m ? [Number(m[1]), Number(m[2] || m[1])] : null;
  }
  function go(line) {
    follow.checked = false;
    const run = log.stages.find((r) => line >= r.first && line < r.end);
    if (run) for (const id of within(run.stage)) folded.delete(id);
    arrange();
    space.style.height = Math.min(MAX, rowCount() * ROW) + "px";
    place(Math.max(0, rowOf(line) * ROW / scale() - view.clientHeight / 3));
    draw();
  }

  view.addEventListener("scroll", () => {
    const end = view.scrollTop + view.clientHeight >= view.scrollHeight - 2 * ROW;
    if (view.scrollTop !== placed) { placed = -1; follow.checked = end && !log.finished; }
    draw();
  }, { passive: true });
  follow.addEventListener("change", draw);
  rows.addEventListener("click", (e) => {
    const stage = e.target.dataset?.fold;
    if (stage) {
      folded.has(stage) ? folded.delete(stage) : folded.add(stage);
      follow.checked = false;
      arrange(); render();
      rows.querySelector(`[data-fold="${CSS.escape(stage)}"]`)?.focus({ preventScroll: true });
      return;
    }
    const a = e.target.closest("a");
    if (a && e.shiftKey && hits) { e.preventDefault(); const l = Number(a.textContent); history.replaceState(null, "", `#L${Math.min(l, hits[0])}-L${Math.max(l, hits[0])}`); hits = parseHash(); draw(); }
  });
  view.addEventListener("keydown", (e) => {
    if (e.target !== view) return;
    if (e.key === "Home") { follow.checked = false; place(0); draw(); e.preventDefault(); }
    if (e.key === "End") { follow.checked = !log.finished; place(view.scrollHeight); draw(); e.preventDefault(); }
  });
  window.addEventListener("hashchange", () => {
    const stage = /^#stage=(.+)$/.exec(decodeURIComponent(location.hash));
    if (stage) { const s = log.stages.find((x) => x.stage === stage[1]); if (s) go(s.first); return; }
    hits = parseHash();
    if (hits) go(hits[0]);
  });
  new ResizeObserver(draw).observe(view);

  let first = true;
  stream(base + "/live", (news) => {
    log.stages.length = Math.min(log.stages.length, news.at);
    log.stages.push(...(news.stages || []));
    log.total = news.total; log.finished = news.finished; log.names = news.names; log.parents = news.parents;
    arrange();
    if (first) {
      first = false;
      if (log.finished) follow.checked = false; // begins at the top
      const stage = /^#stage=(.+)$/.exec(decodeURIComponent(location.hash));
      const s = stage && log.stages.find((x) => x.stage === stage[1]);
      if (hits) go(hits[0]); else if (s) go(s.first);
    }
    if (log.finished) root.dataset.finished = "true";
    draw();
    return log.finished ? "ended" : "";
  });
}
