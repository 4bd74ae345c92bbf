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
    if (document.hidden) { el.stale = true; return; }
    if (el.contains(document.activeElement) && /INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { refresh(el); return; }
    const url = new URL(location.href);
    url.searchParams.set("fragment", el.dataset.fragment);
    htmx.ajax("GET", url.pathname + url.search, { target: el, swap: "innerHTML" });
  }, wait));
}

function changed(topic) {
  for (const el of document.querySelectorAll("[data-refresh]")) {
    if (el.dataset.refresh.split(" ").includes(topic)) refresh(el);
  }
}

if (topics.size) {
  const events = new EventSource("/api/v1/events");
  const hear = (e) => { const { topic } = JSON.parse(e.data); if (topics.has(topic)) changed(topic); };
  events.addEventListener("changed", hear);
  events.addEventListener("message", hear);
  let first = true;
  events.addEventListener("open", () => { if (!first) for (const t of topics) changed(t); first = false; });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) for (const el of document.querySelectorAll("[data-refresh]")) if (el.stale) { el.stale = false; refresh(el); }
  });
}

const console_ = document.getElementById("console");
if (console_) import(console_.dataset.module).then((m) => m.viewer(console_));
