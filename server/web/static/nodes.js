// The page of nodes: finds as one types, follows what changes, and counts what is chosen.
export function fleet(el, { stream, keep, say }) {
  const find = document.getElementById("find");
  let stop = null, turn = 0, timer = 0;

  // Many nodes are cells: only those that look different come, by name.
  function follow() {
    stop?.();
    const cells = el.querySelector("#cells");
    stop = cells && stream(cells.dataset.base, ({ cells: changed = {}, tallies, names, again }) => {
      if (names && names.join("/") !== [...cells.children].map((c) => c.dataset.node).join("/")) again = true; // others came or went meanwhile
      if (again) { load(location.href); return "ended"; }
      for (const [name, html] of Object.entries(changed)) {
        const old = cells.querySelector(`[data-node="${CSS.escape(name)}"]`);
        if (old) swap(old, html);
      }
      const old = document.getElementById("tallies");
      if (tallies && old) swap(old, tallies);
    });
  }

  function swap(old, html) {
    const restore = keep(old);
    const fresh = document.createRange().createContextualFragment(html).firstElementChild;
    old.replaceWith(fresh);
    restore(fresh);
  }

  // Other nodes, or in another order, in place of those shown. Of two answers the later question's counts.
  async function load(href) {
    const mine = ++turn, url = new URL(href);
    const ask = new URL(url);
    ask.searchParams.set("fragment", "nodes");
    const answer = await fetch(ask, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (mine !== turn) return;
    if (!answer?.ok) { location.assign(url); return; }
    const html = await answer.text();
    if (mine !== turn) return;
    const restore = keep(el);
    el.innerHTML = html;
    restore(el);
    history.replaceState(null, "", url);
    follow();
    count();
    const n = el.querySelectorAll("[name=node], .cells li, table.nodes tbody tr").length;
    say(el.querySelector("[role=alert]")?.textContent || `${boxes().length || n} nodes shown`);
  }

  function looked() {
    const url = new URL(location.href);
    for (const [name, value] of new FormData(find)) value && !(name === "sort" && value === "name") ? url.searchParams.set(name, value) : url.searchParams.delete(name);
    load(url);
  }
  find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(looked, 150); });
  find.addEventListener("submit", (e) => { e.preventDefault(); clearTimeout(timer); looked(); });
  el.addEventListener("click", (e) => { // a state, or rows instead of cells
    const a = e.target.closest("#tallies a");
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    e.preventDefault();
    const url = new URL(a.href), state = url.searchParams.get("state") || "";
    let hidden = find.elements.state;
    if (!hidden) { hidden = Object.assign(document.createElement("input"), { type: "hidden", name: "state" }); find.append(hidden); }
    hidden.value = state;
    load(url);
  });

  const boxes = () => [...document.querySelectorAll('input[name=node][form=act]')];
  function count() {
    const act = document.getElementById("act");
    if (!act) return;
    const all = boxes(), on = all.filter((b) => b.checked).length, master = document.getElementById("all");
    master.indeterminate = on > 0 && on < all.length;
    if (on < all.length) master.checked = false;
    act.querySelector("button").disabled = on === 0 && !master.checked;
    document.getElementById("chosen").textContent = on ? `${on} chosen` : "";
  }
  document.addEventListener("change", (e) => {
    if (e.target.id === "all") for (const b of boxes()) b.checked = e.target.checked;
    if (e.target.id === "all" || e.target.name === "node") count();
  });
  let last = null; // with shift, all between two boxes
  document.addEventListener("click", (e) => {
    if (e.target.name !== "node") return;
    const all = boxes(), i = all.indexOf(e.target), j = all.indexOf(last);
    if (e.shiftKey && j >= 0) for (const b of all.slice(Math.min(i, j), Math.max(i, j))) b.checked = e.target.checked;
    last = e.target;
    count();
  });
  el.addEventListener("fresh", count);
  window.addEventListener("pageshow", count); // a browser that comes back ticks what was ticked
  follow();
  count();
}

// What is to be done to many nodes: says what the button will do.
export function orders(form) {
  const button = form.querySelector("#do"), verb = form.elements.verb, all = document.getElementById("tick-all");
  const boxes = [...form.querySelectorAll("input[name=node]")];
  const tell = () => {
    const on = boxes.filter((b) => b.checked).length;
    const nodes = on === 1 ? "1 node" : `${on} nodes`;
    button.textContent = `${verb.selectedOptions[0].text}: ${nodes}`;
    button.disabled = on === 0;
    form.elements.reason.required = verb.selectedOptions[0].dataset.reason === "true";
    if (!all) return;
    document.getElementById("chosen").textContent = `${nodes} chosen`;
    all.checked = on === boxes.length;
    all.indeterminate = on > 0 && on < boxes.length;
  };
  if (all) all.closest("[hidden]").hidden = false;
  form.addEventListener("change", (e) => {
    if (e.target === all) for (const b of boxes) b.checked = all.checked;
    tell();
  });
  tell();
}
