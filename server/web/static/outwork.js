// Keeps a page's fragments fresh: the API's events say which topic changed, htmx fetches the fragment again.
const topics = new Set((document.body.dataset.topics || "").split(" ").filter(Boolean));
const due = new Map(); // element → timer of its next refresh

function refresh(el) {
  if (due.has(el)) return;
  const wait = Math.max(50, 300 - (performance.now() - (el.refreshed || 0)));
  due.set(el, setTimeout(() => {
    due.delete(el);
    el.refreshed = performance.now();
    if (!el.isConnected) return;
    if (el.contains(document.activeElement) && /INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { refresh(el); return; }
    const url = new URL(location.href);
    url.searchParams.set("fragment", el.dataset.fragment);
    // Each is its own source: of one source htmx would drop all requests but the last.
    const open = [...el.querySelectorAll("details[open][id]")].map((d) => d.id); // what a person has unfolded stays so
    htmx.ajax("GET", url.pathname + url.search, { source: el, target: el, swap: "innerHTML" }).then(() => {
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    });
  }, wait));
}

function changed(topic) {
  for (const el of document.querySelectorAll("[data-refresh]")) {
    if (el.dataset.refresh.split(" ").includes(topic)) refresh(el);
  }
}

// Streams server-sent events to hear while the page is seen. A browser has six connections to a server for all of its tabs, and
// keeps pages that were left: a stream of a page that nobody sees would take one of them.
function stream(url, hear) {
  let source = null, ended = false;
  const open = () => {
    if (source || ended || document.hidden) return;
    source = new EventSource(url);
    const on = (e) => { if (hear(JSON.parse(e.data)) === "ended") { ended = true; close(); } };
    source.addEventListener("changed", on);
    source.addEventListener("message", on);
  };
  const close = () => { source?.close(); source = null; };
  document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
}

// Every topic comes once when a stream begins, so that nothing is missed between two.
const events = new URL("../../api/v1/events", import.meta.url); // of this file: a proxy may show the page below a path
if (topics.size) stream(events, ({ topic }) => { if (topics.has(topic)) changed(topic); });

// What runs takes longer without anything changing.
setInterval(() => {
  for (const el of document.querySelectorAll("[data-refresh]")) if (!document.hidden && el.querySelector(".s-running, .s-queued")) refresh(el);
}, 5000);

const console_ = document.getElementById("console");
if (console_) import(console_.dataset.module).then((m) => m.viewer(console_, stream));

// Many nodes: only the cells that look different come, by name.
const nodes = document.getElementById("nodes");
if (nodes) stream(nodes.dataset.base, ({ cells = {}, tallies, again }) => {
  if (again) { location.reload(); return "ended"; }
  for (const [name, html] of Object.entries(cells)) nodes.querySelector(`[data-node="${CSS.escape(name)}"]`)?.replaceWith(document.createRange().createContextualFragment(html));
  const old = document.getElementById("tallies");
  if (tallies && !old.contains(document.activeElement)) old.replaceWith(document.createRange().createContextualFragment(tallies));
});

// A node's log grows at its end; who has scrolled up stays where he is.
const nodeLog = document.getElementById("node-log");
if (nodeLog) {
  nodeLog.scrollTop = nodeLog.scrollHeight;
  stream(nodeLog.dataset.base, ({ text, whole }) => {
    const atEnd = nodeLog.scrollHeight - nodeLog.scrollTop - nodeLog.clientHeight < 40;
    if (whole) nodeLog.textContent = text; else nodeLog.append(text);
    if (atEnd) nodeLog.scrollTop = nodeLog.scrollHeight;
  });
}
