// The map of all heads: one panel for each method, a cell for each head. What it shows comes from head_map.py.

const ALL = null;

// More panels than this are narrower and lower, and can be left out.
const MANY = 5;

/** Rank and score of each head under a method: the means over the rankings chosen, null where none lists the head. */
export function means(data, choice, method) {
  const { layers, heads } = data.models[choice.model];
  const size = layers * heads;
  const chosen = data.rankings
    .filter(({ of: [model, by, question, length] }) =>
      model === choice.model && by === method
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
      score: mean(listing.map(({ scores }) => scores[head])),
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
  const score = Number(head.score.toPrecision(4)).toString().replace("-", "−");
  if (head.rankings === 1) {
    const others = head.equal ? ` (equal with ${head.equal} other${head.equal > 1 ? "s" : ""})` : "";
    return `rank ${head.rank}${others}, score ${score}`;
  }
  const some = head.listed < head.rankings ? `, listed in ${head.listed} of ${head.rankings}` : "";
  return `mean rank ${head.rank.toFixed(1)}, mean score ${score}${some}`;
}

function rowsOf(values, length) {
  return Array.from({ length: values.length / length }, (_, row) => values.slice(row * length, (row + 1) * length));
}

function colours(found, by, size, many) {
  const mean = found.some((head) => head?.rankings > 1);
  if (by === "score") {
    const scores = found.filter((head) => head !== null).map((head) => head.score);
    return {
      z: found.map((head) => head && head.score), zmin: Math.min(0, ...scores), zmax: Math.max(...scores),
      reversescale: false, colorbar: { title: { text: mean ? "Mean score" : "Score" } },
    };
  }
  const ticks = (many ? [1, 10, 100, 1000] : [1, 3, 10, 30, 100, 300, 1000, 3000]).filter((rank) => rank <= size);
  return {
    // Logarithms, so that the first places stand out from the many behind them.
    z: found.map((head) => head && Math.log10(head.rank)), zmin: 0, zmax: Math.log10(size),
    reversescale: true,
    colorbar: { title: { text: mean ? "Mean rank" : "Rank" }, tickvals: ticks.map(Math.log10), ticktext: ticks },
  };
}

function draw(plot, data, choice, found, look) {
  const { layers, heads } = data.models[choice.model];
  const many = data.methods.length > MANY;
  const { z, colorbar, ...scale } = colours(found, choice.by, layers * heads, many);
  const small = { size: 12, color: look.soft };
  // Between many small cells, gaps would take the colour away.
  const gap = heads > 16 ? 0 : 1;
  const axis = (text, length) => ({
    title: { text, font: small, standoff: 6 }, tickfont: small, tick0: 0, range: [-0.5, length - 0.5],
    dtick: [1, 2, 5, 10, 20].find((step) => length / step <= 10) ?? 50,
    fixedrange: true, showgrid: false, zeroline: false, showline: true, mirror: true, linecolor: look.soft,
  });
  return Plotly.react(plot, [{
    type: "heatmap", z: rowsOf(z, heads), ...scale, colorscale: "Viridis", xgap: gap, ygap: gap,
    // What is pointed at is told to the page, which shows more than would fit into a panel.
    hoverinfo: "none",
    colorbar: {
      orientation: "h", x: 0.5, y: 0, yref: "paper", yanchor: "top", ypad: 52, thickness: 10, len: 1, outlinewidth: 0,
      tickfont: small, ...colorbar, title: { side: "top", font: small, ...colorbar.title },
    },
  }], {
    height: (many ? Math.min(Math.max(9 * layers, 160), 320) : Math.min(Math.max(14 * layers, 200), 640)) + 116,
    margin: { l: 42, r: 6, t: 4, b: 112 },
    xaxis: axis("Head", heads), yaxis: axis("Layer", layers), dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: look.font },
    shapes: [],
  }, { displayModeBar: false, responsive: true });
}

function element(name, className = "", text = "") {
  return Object.assign(document.createElement(name), { className, textContent: text });
}

function show(place, data) {
  const choice = { model: 0, question: ALL, length: ALL, by: "rank" };
  const controls = element("div", "controls");
  const grid = element("div", data.methods.length > MANY ? "panels many" : "panels");
  const tip = element("div", "tip");
  tip.hidden = true;
  const plots = data.methods.map((name) => {
    const panel = element("div", "panel");
    const plot = element("div", "plot");
    panel.append(element("p", "title", name), plot);
    grid.append(panel);
    return plot;
  });
  let found = [];

  function redraw() {
    found = data.methods.map((_, method) => means(data, choice, method));
    // The page's colours differ between light and dark.
    const { color: soft, fontFamily: font } = getComputedStyle(plots[0]);
    return Promise.all(plots.map((plot, method) => draw(plot, data, choice, found[method], { soft, font })));
  }

  function choose(name, label, options) {
    choice[name] = options[0][0];
    if (options.length > 1) {
      const select = element("select");
      select.append(...options.map(([, text]) => new Option(text)));
      select.addEventListener("change", () => {
        choice[name] = options[select.selectedIndex][0];
        redraw();
      });
      const wrapper = element("label", "", label);
      wrapper.append(select);
      controls.append(wrapper);
    }
  }

  function point({ points: [{ x, y }], event }) {
    const { heads, notes } = data.models[choice.model];
    const lines = data.methods.map((name, method) => {
      const line = element("p");
      line.append(element("strong", "", name), ` ${described(found[method][y * heads + x])}`);
      return line;
    });
    const note = notes ? [element("p", "", notes[y * heads + x])] : [];
    tip.replaceChildren(element("p", "name", `L${y}H${x}`), ...note, ...lines);
    tip.hidden = false;
    const { clientX, clientY } = event.touches?.[0] ?? event;
    tip.style.left = `${Math.max(8, Math.min(clientX + 16, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${clientY + 24 + tip.offsetHeight < innerHeight ? clientY + 18 : clientY - tip.offsetHeight - 12}px`;
    frame(plots, x, y);
  }

  function leave() {
    tip.hidden = true;
    frame(plots);
  }

  const listed = (names) => names.map((name, i) => [i, name]);
  const withAll = (names, all) => (names.length > 1 ? [[ALL, all], ...listed(names)] : listed(names));
  choose("model", "Model", listed(data.models.map((model) => model.label)));
  choose("question", "Question", withAll(data.questions, "All questions (mean)"));
  choose("length", "Context length", withAll(data.lengths, "All lengths (mean)"));
  choose("by", "Show", [["rank", "Rank"], ["score", "Score"]]);

  if (data.methods.length > MANY) {
    controls.append(shown(data.methods, plots));
  }

  place.append(controls, grid, tip);
  place.classList.add("drawn");
  redraw().then(() => plots.forEach((plot) => plot.on("plotly_hover", point).on("plotly_unhover", leave)));
  document.addEventListener("theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/** A box to tick for each method: its panel is there, or left out. */
function shown(names, plots) {
  const boxes = element("fieldset");
  boxes.append(element("legend", "", "Methods"), ...names.map((name, method) => {
    const box = Object.assign(element("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      plots[method].parentElement.hidden = !box.checked;
      plots.filter((plot) => !plot.parentElement.hidden).forEach((plot) => Plotly.Plots.resize(plot));
    });
    const wrapper = element("label");
    wrapper.append(box, ` ${name}`);
    return wrapper;
  }));
  return boxes;
}

/** Frames one head in all panels, or none. */
function frame(plots, head, layer) {
  const shapes = head === undefined ? [] : [{
    type: "rect", x0: head - 0.5, x1: head + 0.5, y0: layer - 0.5, y1: layer + 0.5,
    line: { color: "#ff2d55", width: 2.5 },
  }];
  plots.forEach((plot) => Plotly.relayout(plot, { shapes }));
}

if (typeof document !== "undefined") {
  show(document.getElementById("head-map"), JSON.parse(document.getElementById("head-map-data").textContent));
}
