// Keeps a page's fragments fresh: the API's events say which topic changed, htmx fetches the fragment again.
const topics = new Set((document.body.dataset.topics || "").split(" ").filter(Boolean));
const due = new Map(); // element → timer of its next refresh

// Tells those who hear the page, when it is something new.
const said = new WeakMap(); // element → what it said last
function say(text) { document.getElementById("say").textContent = text; }
function sayOf(el) {
  const text = el.querySelector("[data-say]")?.dataset.say;
  if (text === undefined || said.get(el) === text) return;
  if (said.has(el)) say(text);
  said.set(el, text);
}

// Keeps what a person has done in a part of the page that is about to be replaced: what is unfolded, written, ticked and focused.
function keep(el) {
  const open = [...el.querySelectorAll("details[id]")].map((d) => [d.id, d.open]);
  const name = (i) => [i.form?.id, i.name, /checkbox|radio/.test(i.type) ? i.value : ""].join("\0");
  const written = new Map();
  for (const i of el.querySelectorAll("input[name], select[name], textarea[name]")) {
    if (i.type === "hidden") continue;
    if (/checkbox|radio/.test(i.type)) { if (i.checked !== i.defaultChecked) written.set(name(i), i.checked); }
    else if (i.tagName === "SELECT" || i.value !== i.defaultValue) written.set(name(i), i.value);
  }
  const at = el.contains(document.activeElement) ? document.activeElement : null;
  const like = at && ((x) => x.tagName === at.tagName && x.id === at.id && x.name === at.name && x.value === at.value && x.getAttribute("href") === at.getAttribute("href")
    && (x.tagName !== "SUMMARY" || x.parentElement.id === at.parentElement.id) && (at.id || at.name || at.href || x.textContent === at.textContent));
  return (fresh) => {
    for (const [id, is] of open) document.getElementById(id)?.toggleAttribute("open", is);
    if (written.size) for (const i of fresh.querySelectorAll("input[name], select[name], textarea[name]")) {
      const value = written.get(name(i));
      if (typeof value === "boolean") i.checked = value; else if (value !== undefined) i.value = value;
    }
    if (at && !at.isConnected) [...fresh.querySelectorAll(at.tagName)].find(like)?.focus({ preventScroll: true });
  };
}

function refresh(el) {
  if (due.has(el) || el.querySelector("#cells")) return; // cells follow by themselves
  const wait = Math.max(50, 300 - (performance.now() - (el.refreshed || 0)));
  due.set(el, setTimeout(() => {
    due.delete(el);
    el.refreshed = performance.now();
    if (!el.isConnected) return;
    if (el.contains(document.activeElement) && /INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName) && !/checkbox/.test(document.activeElement.type)) { refresh(el); return; }
    const url = new URL(location.href);
    url.searchParams.set("fragment", el.dataset.fragment);
    // Each is its own source: of one source htmx would drop all requests but the last.
    let restore = () => {};
    const before = (e) => { if (e.target === el) restore = keep(el); };
    el.addEventListener("htmx:beforeSwap", before, { once: true });
    htmx.ajax("GET", url.pathname + url.search, { source: el, target: el, swap: "innerHTML" }).then(() => {
      el.removeEventListener("htmx:beforeSwap", before);
      restore(el);
      sayOf(el);
      el.dispatchEvent(new Event("fresh"));
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
  return () => { ended = true; close(); };
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

for (const el of document.querySelectorAll("[data-refresh]")) sayOf(el);

const fleet = document.getElementById("fleet");
if (fleet) import(fleet.dataset.module).then((m) => m.fleet(fleet, { stream, keep, say }));
const orders = document.getElementById("orders");
if (orders) import(orders.dataset.module).then((m) => m.orders(orders));

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

// Rows of names and values: as many as one likes.
for (const more of document.querySelectorAll(".pairs .more")) {
  more.hidden = more.closest("fieldset:disabled") !== null;
  more.addEventListener("click", () => {
    const rows = more.parentElement.querySelectorAll(".pair"), row = rows[rows.length - 1].cloneNode(true);
    for (const i of row.children) { i.value = ""; i.removeAttribute("id"); }
    more.before(row);
    row.firstElementChild.focus();
  });
}

// A form that was sent back begins with what is wrong in it; a link there opens what is folded around its input.
document.getElementById("problems")?.focus();
document.getElementById("problems")?.addEventListener("click", (e) => {
  const input = e.target.closest("a") && document.getElementById(decodeURIComponent(e.target.hash.slice(1)));
  if (!input) return;
  e.preventDefault();
  for (let d = input.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
  input.focus();
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", () => navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent).then(() => { button.textContent = "Copied"; say("Copied"); }));
}
