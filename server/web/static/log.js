// The live log of a build: shows only the lines in view, fetched in chunks, so that a log of a million lines stays smooth.
// Lines come as HTML that the server has escaped. Stages fold; #L12 and #L12-L20 link to lines; it follows the end until told not to.

const ROW = 20;          // pixels, as in the style sheet
const CHUNK = 500;       // lines a request
const KEEP = 40;         // chunks kept
const MAX = 30_000_000;  // pixels that browsers can lay out; longer logs are scaled onto it

export function viewer(root) {
  const base = root.dataset.base;
  const view = root.querySelector("#viewer"), follow = root.querySelector("#follow"), says = root.querySelector("#log-state");
  const space = document.createElement("div"), rows = document.createElement("div");
  space.className = "space"; rows.className = "rows"; space.append(rows); view.append(space);
  root.querySelector(".tools").hidden = false; view.hidden = false;

  const chunks = new Map();   // chunk number → {lines, complete, wanted}
  let log = { total: 0, finished: false, stages: [], names: {} };
  const folded = new Set();   // starts (line numbers) of folded runs
  let runs = [];              // folded runs in order: {first, end}
  let hits = parseHash();
  let programmatic = false;

  // Lines ⇄ rows: a folded run of lines is one row.
  function foldRuns() {
    runs = log.stages.filter((s) => s.stage && folded.has(s.first)).map((s) => ({ first: s.first, end: s.end }));
  }
  function rowCount() { return log.total - runs.reduce((n, r) => n + (Math.min(r.end, log.total + 1) - r.first - 1), 0); }
  function lineAt(row) { // line number of a row, both from 0/1
    let line = row + 1;
    for (const r of runs) { if (line <= r.first) break; line += r.end - r.first - 1; }
    return line;
  }
  function rowOf(line) {
    let row = line - 1;
    for (const r of runs) {
      if (line <= r.first) break;
      row -= Math.min(line, r.end - 1) - r.first;
    }
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
  let drawing = false;
  function draw() { if (!drawing) { drawing = true; requestAnimationFrame(render); } }
  function render() {
    drawing = false;
    const count = rowCount(), k = scale();
    space.style.height = Math.min(MAX, count * ROW) + "px";
    if (follow.checked) { programmatic = true; view.scrollTop = view.scrollHeight; }
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
    const run = log.stages.find((s) => s.stage && s.first === line && s.end - s.first > 1);
    const fold = document.createElement("button");
    fold.className = run ? "fold" : "fold blank";
    if (run) {
      const shut = folded.has(line);
      fold.textContent = shut ? "▸" : "▾"; fold.dataset.fold = line;
      fold.setAttribute("aria-expanded", String(!shut)); fold.setAttribute("aria-label", `Stage ${log.names[run.stage] || ""}`);
    } else { fold.tabIndex = -1; }
    const a = document.createElement("a");
    a.href = "#L" + line; a.textContent = line; a.tabIndex = -1;
    const code = document.createElement("code");
    if (run && folded.has(line)) {
      el.classList.add("folded");
      code.textContent = `${log.names[run.stage] || "stage"} · ${run.end - run.first} lines`;
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
    for (const r of runs) if (line > r.first && line < r.end) folded.delete(r.first);
    foldRuns();
    programmatic = true;
    space.style.height = Math.min(MAX, rowCount() * ROW) + "px";
    view.scrollTop = Math.max(0, rowOf(line) * ROW / scale() - view.clientHeight / 3);
    draw();
  }

  view.addEventListener("scroll", () => {
    const end = view.scrollTop + view.clientHeight >= view.scrollHeight - 2 * ROW;
    if (!programmatic) follow.checked = end && !log.finished;
    programmatic = false;
    draw();
  }, { passive: true });
  follow.addEventListener("change", draw);
  rows.addEventListener("click", (e) => {
    const line = Number(e.target.dataset?.fold);
    if (line) { folded.has(line) ? folded.delete(line) : folded.add(line); follow.checked = false; foldRuns(); draw(); return; }
    const a = e.target.closest("a");
    if (a && e.shiftKey && hits) { e.preventDefault(); const l = Number(a.textContent); history.replaceState(null, "", `#L${Math.min(l, hits[0])}-L${Math.max(l, hits[0])}`); hits = parseHash(); draw(); }
  });
  view.addEventListener("keydown", (e) => {
    if (e.key === "Home") { follow.checked = false; view.scrollTop = 0; e.preventDefault(); }
    if (e.key === "End") { view.scrollTop = view.scrollHeight; e.preventDefault(); }
  });
  window.addEventListener("hashchange", () => {
    const stage = /^#stage=(.+)$/.exec(decodeURIComponent(location.hash));
    if (stage) { const s = log.stages.find((x) => x.stage === stage[1]); if (s) go(s.first); return; }
    hits = parseHash();
    if (hits) go(hits[0]);
  });
  new ResizeObserver(draw).observe(view);

  let first = true;
  const live = new EventSource(base + "/live");
  live.onmessage = (e) => {
    log = JSON.parse(e.data);
    log.stages ||= [];
    foldRuns();
    if (first) {
      first = false;
      if (log.finished) follow.checked = false;
      const stage = /^#stage=(.+)$/.exec(decodeURIComponent(location.hash));
      const s = stage && log.stages.find((x) => x.stage === stage[1]);
      if (hits) go(hits[0]); else if (s) go(s.first);
    }
    if (log.finished) { live.close(); root.dataset.finished = "true"; }
    draw();
  };
}
