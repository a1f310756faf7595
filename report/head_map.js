// The map of all heads: one panel for each method, a cell for each head; in a small map a single panel. What it shows
// comes from head_map.py, and how it looks from findings.css. A grid of cells needs no library: they are drawn as SVG.

const ALL = null;

// More panels than this are narrower and lower, and can be left out.
const MANY = 5;

// Viridis: bright is high, also for those who see no colours.
const COLOURS = [
  "#440154", "#481b6d", "#46327e", "#3f4788", "#365c8d", "#2e6e8e", "#277f8e", "#21918c", "#1fa187", "#2db27d",
  "#4ac16d", "#73d056", "#a0da39", "#d0e11c", "#fde725",
].map((colour) => [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)));

// Cells of one shade are one element, so that a large model takes no more of them than a small one.
const SHADES = 60;

/**
 * Rank and score of each head under a method: the means over the rankings chosen, null where none lists the head. Over
 * all methods there is a mean rank alone, as each method has a scale of its own.
 */
export function means(data, choice, method) {
  const { layers, heads } = data.models[choice.model];
  const size = layers * heads;
  const chosen = data.rankings
    .filter(({ of: [model, by, question, length] }) =>
      model === choice.model && [ALL, by].includes(method)
      && [ALL, question].includes(choice.question) && [ALL, length].includes(choice.length))
    .map(({ ranks, scores }) => {
      const listed = ranks.filter((rank) => rank !== null).length;
      // In a mean, heads that a ranking does not list share the mean of the ranks that are left.
      return { ranks, scores, rest: (listed + 1 + size) / 2 };
    });
  return Array.from({ length: size }, (_, head) => {
    const listing = chosen.filter(({ ranks }) => ranks[head] !== null);
    return listing.length ? {
      rank: mean(chosen.map(({ ranks, rest }) => ranks[head] ?? rest)),
      // Heads that tie share the mean of the ranks that they take.
      equal: chosen.length === 1 ? chosen[0].ranks.filter((rank) => rank === chosen[0].ranks[head]).length - 1 : 0,
      score: method === ALL ? null : mean(listing.map(({ scores }) => scores[head])),
      listed: listing.length,
      rankings: chosen.length,
    } : null;
  });
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** What to say of a head under one method. */
export function described(head) {
  if (head === null) {
    return "not listed";
  }
  const score = head.score === null ? "" : Number(head.score.toPrecision(4)).toString().replace("-", "−");
  if (head.rankings === 1) {
    const others = head.equal ? ` (equal with ${head.equal} other${head.equal > 1 ? "s" : ""})` : "";
    return `rank ${head.rank}${others}${score && `, score ${score}`}`;
  }
  const some = head.listed < head.rankings ? `, listed in ${head.listed} of ${head.rankings}` : "";
  return `mean rank ${head.rank.toFixed(1)}${score && `, mean score ${score}`}${some}`;
}

/** The top heads: those behind which no more than `top` heads end, as ties have it. */
export function topHeads(found, top) {
  const ranks = found.filter((head) => head !== null).map((head) => head.rank);
  const last = (rank) => ranks.filter((other) => other <= rank).length;
  return found.map((head) => head !== null && last(head.rank) <= top);
}

/** Where each head stands between the dark end of the scale (0) and the bright one (1), and what its ends mean. */
export function shaded(found, by) {
  const listed = found.filter((head) => head !== null);
  const several = listed.some((head) => head.rankings > 1);
  if (by === "score") {
    const scores = listed.map((head) => head.score);
    const [low, high] = [Math.min(0, ...scores), Math.max(...scores)];
    const share = (score) => (high > low ? (score - low) / (high - low) : 0);
    return {
      shares: found.map((head) => head && share(head.score)), title: several ? "Mean score" : "Score",
      ticks: round(low, high).map((score) => [share(score), `${Number(score.toPrecision(3))}`.replace("-", "−")]),
    };
  }
  // Logarithms, so that the first places stand out from the many behind them.
  const [first, last] = [Math.min(...listed.map((head) => head.rank)), found.length].map(Math.log10);
  const share = (rank) => (last > first ? (last - Math.log10(rank)) / (last - first) : 1);
  return {
    shares: found.map((head) => head && share(head.rank)), title: several ? "Mean rank" : "Rank",
    ticks: [1, 3, 10, 30, 100, 300, 1000, 3000, 10000]
      .filter((rank) => rank >= 10 ** first - 1e-9 && rank <= found.length)
      .map((rank) => [share(rank), rank.toLocaleString("en")]),
  };
}

/** A few round numbers from one number to another. */
function round(low, high) {
  if (!(high > low)) {
    return [];
  }
  const unit = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = unit * [1, 2, 5, 10].find((times) => (high - low) / (unit * times) <= 5);
  const from = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - from + 1 }, (_, i) => (from + i) * step);
}

function colour(share) {
  const at = share * (COLOURS.length - 1);
  const below = Math.min(Math.floor(at), COLOURS.length - 2);
  const mixed = COLOURS[below].map((value, i) => Math.round(value + (at - below) * (COLOURS[below + 1][i] - value)));
  return `rgb(${mixed})`;
}

function element(name, className = "", text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

/** SVG of a grid of cells, one unit each, that fills whatever box it is put into. It is made of numbers alone. */
function drawing(width, height, content) {
  const made = element("div");
  const box = `viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" aria-hidden="true"`;
  made.innerHTML = `<svg ${box}>${content}</svg>`;
  return made.firstChild;
}

function cells(shares, top, { layers, heads }) {
  // Between many small cells, gaps would take the colour away; cells without any need sharp edges, or show their seams.
  const gap = heads > 16 ? 0 : 0.04;
  const edges = gap ? "auto" : "crispEdges";
  const paths = Array.from({ length: SHADES + 1 }, () => "");
  let dots = "";
  shares.forEach((share, head) => {
    const [x, y] = [head % heads, layers - 1 - Math.floor(head / heads)];
    if (share !== null) {
      const side = 1 - 2 * gap;
      paths[Math.round(share * SHADES)] += `M${x + gap} ${y + gap}h${side}v${side}h${-side}z`;
    }
    dots += top[head] ? `M${x + 0.5} ${y + 0.5}h0` : "";
  });
  const filled = paths.map((d, shade) => (d ? `<path class="cell" fill="${colour(shade / SHADES)}" d="${d}"/>` : ""));
  const size = Math.max(1.5, Math.min(4, 80 / heads, 160 / layers));
  return drawing(heads, layers, `<g shape-rendering="${edges}">${filled.join("")}</g>
    <path class="dots" stroke="#fff" stroke-width="${size + 1.6}" d="${dots}"/>
    <path class="dots" stroke="#000" stroke-width="${size}" d="${dots}"/>
    <rect class="frame" width="1" height="1" visibility="hidden"/>`);
}

function tick(text, place, at) {
  const made = element("span", "", text);
  made.style.setProperty(place, `${100 * at}%`);
  return made;
}

/** What stands along one side of the cells: its name, and some of its numbers, each beside its row or column. */
function axis(name, className, length, place) {
  const step = [1, 2, 5, 10, 20].find((each) => length / each <= 10) ?? 50;
  const ticks = element("div", "ticks");
  for (let number = 0; number < length; number += step) {
    ticks.append(tick(number, place, (number + 0.5) / length));
  }
  const made = element("div", `axis ${className}`);
  made.setAttribute("aria-hidden", "true");
  made.append(element("span", "name", name), ticks);
  return made;
}

function scale({ title, ticks }, reversed) {
  // Ranks are read from the first one on, which is the brightest.
  const at = (share) => (reversed ? 1 - share : share);
  const bars = Array.from({ length: SHADES }, (_, shade) =>
    `<rect x="${shade}" width="1" height="1" fill="${colour(at((shade + 0.5) / SHADES))}"/>`);
  const numbers = element("div", "ticks");
  numbers.append(...ticks.map(([share, text]) => tick(text, "left", at(share))));
  const made = element("div", "scale");
  made.setAttribute("aria-hidden", "true");
  made.append(element("span", "name", title), drawing(SHADES, 1, bars.join("")), numbers);
  return made;
}

// How high a panel is: by its layers, and within what bounds, in pixels.
const HEIGHTS = { small: [6, 120, 200], many: [9, 160, 320], few: [14, 200, 640] };

function draw(panel, name, model, found, by, [each, least, most]) {
  const { layers, heads, top } = model;
  const shades = shaded(found, by);
  const grid = element("div", "cells");
  grid.tabIndex = 0;
  grid.setAttribute("role", "application");
  grid.setAttribute("aria-label", `${name}: ${layers} layers of ${heads} heads. Arrow keys go from head to head.`);
  grid.append(cells(shades.shares, topHeads(found, top), model));
  grid.style.height = `${Math.min(Math.max(each * layers, least), most)}px`;
  panel.replaceChildren(axis("Layer", "layers", layers, "bottom"), grid, axis("Head", "heads", heads, "left"),
    scale(shades, by === "rank"));
  return grid;
}

function show(place, data) {
  const small = place.classList.contains("small");
  const choice = { model: 0, question: ALL, length: ALL, method: ALL, by: "rank" };
  const many = data.methods.length > MANY;
  const controls = element("div", "controls");
  const key = element("p", "key");
  const grid = element("div", many && !small ? "panels many" : "panels");
  const tip = element("div", "tip");
  tip.hidden = true;
  const told = Object.assign(element("p", "told"), { role: "status" });
  const panels = (small ? [ALL] : data.methods).map((name) => {
    const panel = element("div", "panel");
    const plot = element("div", "plot");
    panel.append(...(small ? [] : [element("p", "method", name)]), plot);
    grid.append(panel);
    return plot;
  });
  const model = () => data.models[choice.model];
  const label = (method) => (method === ALL ? "All methods" : data.methods[method]);
  let at = null;

  function redraw() {
    panels.forEach((plot, place) => {
      const method = small ? choice.method : place;
      const found = means(data, choice, method);
      const cells = draw(plot, label(method), model(), found, choice.by,
        HEIGHTS[small ? "small" : many ? "many" : "few"]);
      const ranks = found.map((head) => head?.rank ?? Infinity);
      listen(cells, ranks.indexOf(Math.min(...ranks)));
    });
    const { top } = model();
    key.textContent = `Dots: the first ${top === 1 ? "head" : `${top} heads`}, fewer where heads are equal.`;
  }

  function choose(name, text, options) {
    choice[name] = options[0][0];
    if (options.length > 1) {
      const select = element("select");
      select.append(...options.map(([, option]) => new Option(option)));
      select.addEventListener("change", () => {
        choice[name] = options[select.selectedIndex][0];
        at = name === "model" ? null : at;
        redraw();
      });
      const wrapper = element("label", "", text);
      wrapper.append(select);
      controls.append(wrapper);
    }
  }

  /** What pointing, touching and keys do: each shows one head in all panels. */
  function listen(cells, first) {
    const { layers, heads } = model();
    const under = ({ clientX, clientY }) => {
      const { left, top, width, height } = cells.getBoundingClientRect();
      const [x, y] = [Math.floor(((clientX - left) / width) * heads), Math.floor(((clientY - top) / height) * layers)];
      return x >= 0 && x < heads && y >= 0 && y < layers ? (layers - 1 - y) * heads + x : null;
    };
    const pointed = (event) => {
      const head = under(event);
      return head === null ? leave() : point(head, event.clientX, event.clientY);
    };
    cells.addEventListener("pointermove", pointed);
    cells.addEventListener("pointerdown", pointed);
    cells.addEventListener("pointerleave", leave);
    cells.addEventListener("blur", leave);
    // By a key, not by a click, which has pointed already.
    cells.addEventListener("focus", () => cells.matches(":focus-visible") && go(cells, at ?? first));
    cells.addEventListener("keydown", (event) => {
      const from = at ?? first;
      const [layer, head] = [Math.floor(from / heads), from % heads];
      const to = {
        ArrowUp: [layer + 1, head], ArrowDown: [layer - 1, head], ArrowLeft: [layer, head - 1],
        ArrowRight: [layer, head + 1], Home: [layer, 0], End: [layer, heads - 1],
      }[event.key];
      if (to) {
        event.preventDefault();
        const within = (value, length) => Math.min(Math.max(value, 0), length - 1);
        go(cells, within(to[0], layers) * heads + within(to[1], heads));
      } else if (event.key === "Escape") {
        leave();
      }
    });
  }

  function go(cells, head) {
    const { layers, heads } = model();
    const { left, top, width, height } = cells.getBoundingClientRect();
    point(head, left + ((head % heads) + 0.5) * (width / heads),
      top + (layers - Math.floor(head / heads) - 0.5) * (height / layers));
    // What is pointed at is seen; what is gone to by keys is told too.
    told.textContent = [...tip.children].map((line) => line.textContent).join(". ");
  }

  function point(head, x, y) {
    at = head;
    const { heads, notes } = model();
    const methods = data.methods.map((_, method) => method);
    const lines = (small && methods.length > 1 ? [ALL, ...methods] : methods).map((method) => {
      const line = element("p");
      line.append(element("strong", "", label(method)), ` ${described(means(data, choice, method)[head])}`);
      return line;
    });
    const note = notes ? [element("p", "", notes[head])] : [];
    tip.replaceChildren(element("p", "name", `L${Math.floor(head / heads)}H${head % heads}`), ...note, ...lines);
    tip.hidden = false;
    tip.style.left = `${Math.max(8, Math.min(x + 16, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y + 24 + tip.offsetHeight < innerHeight ? y + 18 : Math.max(8, y - tip.offsetHeight - 12)}px`;
    frame(head);
  }

  function leave() {
    tip.hidden = true;
    frame(null);
  }

  /** Frames one head in all panels, or none. */
  function frame(head) {
    const { layers, heads } = model();
    grid.querySelectorAll(".frame").forEach((rect) => {
      rect.setAttribute("visibility", head === null ? "hidden" : "visible");
      rect.setAttribute("x", head % heads);
      rect.setAttribute("y", layers - 1 - Math.floor(head / heads));
    });
  }

  const listed = (names) => names.map((name, i) => [i, name]);
  const withAll = (names, all) => (names.length > 1 ? [[ALL, all], ...listed(names)] : listed(names));
  choose("model", "Model", listed(data.models.map(({ label }) => label)));
  if (small) {
    choose("method", "Method", withAll(data.methods, "All methods (mean)"));
  } else {
    choose("question", "Question", withAll(data.questions, "All questions (mean)"));
    choose("length", "Context length", withAll(data.lengths, "All lengths (mean)"));
    choose("by", "Show", [["rank", "Rank"], ["score", "Score"]]);
    if (many) {
      controls.append(shown(data.methods, panels));
    }
  }
  place.append(controls, key, grid, tip, told);
  place.classList.add("drawn");
  redraw();
}

/** A box to tick for each method: its panel is there, or left out. */
function shown(names, plots) {
  const boxes = element("fieldset");
  boxes.append(element("legend", "", "Methods"), ...names.map((name, method) => {
    const box = Object.assign(element("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      plots[method].parentElement.hidden = !box.checked;
    });
    const wrapper = element("label");
    wrapper.append(box, ` ${name}`);
    return wrapper;
  }));
  return boxes;
}

if (typeof document !== "undefined") {
  const data = JSON.parse(document.getElementById("head-map-data").textContent);
  document.querySelectorAll(".map").forEach((place) => show(place, data));
}
