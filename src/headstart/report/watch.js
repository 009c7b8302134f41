"use strict";
(() => {
  const LIST_SECONDS = 3, RUN_SECONDS = 1.5, SEEDS_IN_TABLE = 5;
  const token = new URLSearchParams(location.search).get("token");
  const at = (id) => document.getElementById(id);
  const axes = { environment_steps: "environment steps", updates: "gradient updates", time: "training time (seconds)" };
  const view = { search: "", state: "", count: 100, metric: null, axis: null, seed: null, runs: new Map(), listed: "" };

  // -- talking to the server --------------------------------------------------------------------------------------

  async function ask(path, options = {}) {
    const lost = () => { throw Object.assign(new Error("no answer from headstart watch; is it still running?"), { lost: true }); };
    const reply = await fetch(path, { ...options, headers: { Authorization: `Bearer ${token}` } }).catch(lost);
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.error);
    return answer;
  }

  function connected(error) {
    at("connection").textContent = error?.lost ? error.message : view.totals ?? "";
    at("connection").classList.toggle("lost", Boolean(error?.lost));
  }

  // -- making elements --------------------------------------------------------------------------------------------

  function make(tag, properties, ...children) {
    const { data, ...rest } = properties ?? {};
    const element = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(data ?? {})) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const number = (value) => value === null || value === undefined ? "–"
    : Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(2)
    : Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 6 });
  const whole = (value) => (value ?? 0).toLocaleString("en");

  function duration(seconds) {
    if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
  }

  const day = (time) => new Date(1000 * time).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const ago = (time) => `${duration(Date.now() / 1000 - time)} ago`;
  const title = (names) => [names.method, names.world, names.data].filter(Boolean).join(" · ") || undefined;
  const bar = (progress) => make("div", { className: "progress" }, make("span", {
    style: `width: ${progress.total ? (100 * progress.done) / progress.total : 0}%` }));

  // -- the list ---------------------------------------------------------------------------------------------------

  const chosen = () => location.hash.slice(1).split("+").filter(Boolean);
  const choose = (runs) => { location.hash = runs.join("+"); };

  async function list() {
    const query = new URLSearchParams({ search: view.search, state: view.state, count: view.count });
    const asked = query.toString();
    try {
      const answer = await ask(`runs?${query}`);
      if (asked !== new URLSearchParams({ search: view.search, state: view.state, count: view.count }).toString()) return;
      view.totals = `${whole(answer.total)} run${answer.total === 1 ? "" : "s"}`;
      at("search-problem").hidden = true;
      const content = JSON.stringify(answer) + location.hash;
      if (content !== view.listed) showList(answer);
      view.listed = content;
      connected();
    } catch (error) {
      connected(error);
      at("search-problem").textContent = error.message;
      at("search-problem").hidden = Boolean(error.lost);
    }
  }

  function showList(answer) {
    const focused = document.activeElement?.dataset?.key;
    const states = Object.entries(answer.states).sort();
    at("states").replaceChildren(...[["", null], ...states].map(([state, count]) => make("button", {
      type: "button", textContent: state ? `${state} ${whole(count)}` : "all",
      data: { "aria-pressed": view.state === state, "data-key": `state-${state}` },
      onclick: () => { view.state = view.state === state ? "" : state; list(); },
    })));
    at("runs").replaceChildren(...answer.runs.map(row));
    at("more").hidden = answer.count <= view.count;
    at("none").hidden = answer.count > 0;
    at("none").textContent = answer.total ? "No run fits." : "No runs yet; they appear here once training begins.";
    document.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  function row(run) {
    const shown = chosen(), included = shown.includes(run.id);
    const steps = run.environment_steps ? `${whole(run.environment_steps)} steps` : `${whole(run.updates)} updates`;
    const link = make("a", { href: `#${run.id}`, data: { "data-key": run.id } },
      make("div", { className: "line" }, make("b", { textContent: title(run) ?? run.place }),
        make("span", { className: "value", textContent: run.score !== null ? `${number(run.score)} %` : run.return !== null ? number(run.return) : "" })),
      make("div", { className: "line quiet" },
        make("span", {}, make("span", { className: `state ${run.state}`, textContent: run.state }),
          run.state === "damaged" ? null : ` · ${steps}`),
        run.created ? make("span", { className: "value", textContent: day(run.created) }) : null),
      make("div", { className: "quiet" }, make("span", { textContent: run.problem ?? (run.seeds > 1 ? `${run.seeds} seeds · ` : "") + run.place })),
      run.progress ? bar(run.progress) : null);
    const add = make("button", {
      type: "button", className: "add", textContent: included ? "✓" : "+", title: "draw beside the others",
      data: { "aria-pressed": included, "aria-label": "draw beside the others", "data-key": `add-${run.id}` },
      onclick: () => choose(included ? shown.filter((id) => id !== run.id) : [...shown, run.id]),
    });
    return make("li", { className: shown[0] === run.id ? "chosen" : "" }, link, add);
  }

  // -- one run, and others beside it ------------------------------------------------------------------------------

  async function refresh() {
    const wanted = chosen();
    document.body.classList.toggle("open", wanted.length > 0);
    at("run").hidden = !wanted.length;
    at("hint").hidden = wanted.length > 0;
    if (!wanted.length) return;
    const query = view.metric ? `?metric=${encodeURIComponent(view.metric)}` : "";
    const answers = await Promise.all(wanted.map((id) => ask(`runs/${id}${query}`).catch((error) => ({ id, error }))));
    if (wanted.join() !== chosen().join()) return;
    connected(answers.find((answer) => answer.error)?.error);
    if (answers.some((answer) => answer.error?.lost)) return;
    if (answers[0].error) return showProblem(answers[0].error.message);
    showRun(answers[0]);
    draw(answers.filter((answer) => !answer.error));
  }

  function showProblem(message) {
    for (const part of ["drawing", "numbers", "samples", "seeds", "log", "record", "stop", "progress"]) at(part).hidden = true;
    at("title").textContent = "This run cannot be shown";
    at("path").textContent = at("facts").textContent = "";
    at("problems").replaceChildren(card("bad", message));
  }

  const card = (kind, ...lines) => make("div", { className: `card ${kind}` },
    ...lines.filter(Boolean).map((line) => (typeof line === "string" ? make("p", { textContent: line }) : line)));

  function showRun(run) {
    const part = run.progress && run.progress.total ? run.progress.done / run.progress.total : null;
    const left = run.progress?.seconds_left;
    document.title = `${part === null || run.state !== "running" ? run.state : `${Math.floor(100 * part)} %`} · ${title(run.name)}`;
    at("title").textContent = title(run.name) ?? run.path.split("/").at(-1);
    at("path").textContent = run.path;
    at("progress").hidden = part === null || run.state === "finished";
    at("progress").firstElementChild.style.width = `${100 * (part ?? 0)}%`;
    at("facts").replaceChildren(make("span", { className: `state ${run.state}`, textContent: run.state }),
      part === null ? "" : ` · ${whole(run.progress.done)} of ${whole(run.progress.total)} steps (${Math.floor(100 * part)} %)`,
      run.state === "running" && left !== null && left !== undefined ? ` · about ${duration(left)} left` : "",
      ` · begun ${ago(run.created)}`);
    showStop(run);
    at("problems").replaceChildren(...problems(run));
    showNumbers(run);
    showSamples(run);
    at("seeds").hidden = false;
    at("seeds").lastElementChild.replaceChildren(...run.seeds.map(seedCard));
    showLog(run);
    at("record").hidden = false;
    if (at("record").dataset.run !== run.id) {
      Object.assign(at("record"), { open: false }).dataset.run = run.id;
      at("record").lastElementChild.textContent = "";
    }
  }

  function problems(run) {
    const cards = run.problems.map((problem) => card("bad", problem));
    for (const seed of run.seeds.filter((one) => one.error && one.state === "failed")) {
      const where = `seed ${seed.seed}, ${seed.error.phase ?? "at the start"}, after ${whole(seed.error.updates)} updates, ` +
        `${whole(seed.error.environment_steps)} steps`;
      cards.push(card("bad", `${seed.error.kind}: ${seed.error.message}`, make("p", { className: "quiet", textContent: where }),
        seed.error.traceback ? make("details", {}, make("summary", { textContent: "traceback" }),
          make("pre", { textContent: seed.error.traceback })) : null));
    }
    if (["stopped", "killed", "failed"].includes(run.state)) {
      cards.push(card("info", make("p", {}, "Go on from the latest checkpoints: ", make("code", { textContent: `headstart resume ${run.path}` }))));
    }
    return cards;
  }

  function seedCard(seed) {
    const counters = [seed.phase, `${whole(seed.updates)} updates`, `${whole(seed.environment_steps)} steps`];
    return make("div", { className: "card" },
      make("div", { className: "line" }, make("b", { textContent: `seed ${seed.seed} ` }),
        make("span", { className: `state ${seed.state}`, textContent: seed.state })),
      make("p", { className: "quiet", textContent: counters.filter(Boolean).join(" · ") }),
      make("p", { className: "quiet", textContent: seed.checkpoint === null ? "no checkpoint" : `checkpoint at ${whole(seed.checkpoint)} steps` }),
      seed.heartbeat ? make("p", { className: "quiet", textContent: `heard ${ago(seed.heartbeat)}, process ${seed.pid} on ${seed.host}` }) : null);
  }

  function showNumbers(run) {
    const seeds = run.seeds.map((seed) => seed.seed), many = seeds.length > SEEDS_IN_TABLE;
    const heads = seeds.length === 1 ? ["value"] : many ? ["mean", "least", "greatest"] : ["mean", ...seeds.map((seed) => `seed ${seed}`)];
    at("numbers").hidden = !run.metrics.length;
    at("numbers").querySelector("thead").replaceChildren(make("tr", {}, ...["metric", ...heads].map((text) => make("th", { textContent: text }))));
    at("numbers").querySelector("tbody").replaceChildren(...run.metrics.map(({ name, last }) => {
      const known = last.filter((value) => value !== null);
      const mean = known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
      const extremes = known.length ? [Math.min(...known), Math.max(...known)] : [null, null];
      const values = seeds.length === 1 ? last : [mean, ...(many ? extremes : last)];
      return make("tr", { className: name === run.metric ? "chosen" : "", onclick: () => chooseMetric(name) },
        make("th", { textContent: name }), ...values.map((value) => make("td", { className: "number", textContent: number(value) })));
    }));
    const options = run.metrics.map(({ name }) => name);
    if (JSON.stringify(options) !== at("metric").dataset.options) {
      at("metric").replaceChildren(...options.map((name) => make("option", { value: name, textContent: name })));
      at("metric").dataset.options = JSON.stringify(options);
    }
    if (run.metric !== null) at("metric").value = run.metric;
  }

  function showSamples(run) {
    const content = JSON.stringify(run.samples);
    at("samples").hidden = !run.samples.length;
    if (at("samples").dataset.content === run.id + content) return;
    at("samples").dataset.content = run.id + content;
    at("samples").lastElementChild.replaceChildren(...run.samples.map((sample) => {
      const source = `runs/${run.id}/samples/${sample.seed}/${encodeURIComponent(sample.name)}?token=${token}&${sample.written}`;
      const body = sample.image ? [make("img", { src: source, alt: sample.name, loading: "lazy" })]
        : sample.rows ? sample.rows.map((fields) => make("pre", { textContent: Object.entries(fields)
          .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join("\n") }))
        : [make("pre", { textContent: sample.text })];
      return make("figure", {}, ...body, make("figcaption", { textContent: `seed ${sample.seed}, ${sample.name}` }));
    }));
  }

  function showLog(run) {
    const texts = run.seeds.map((seed) => [seed.seed, [seed.notes, seed.log].filter(Boolean).join("\n")]).filter(([, text]) => text);
    at("log").hidden = !texts.length;
    if (!texts.length) return;
    if (!texts.some(([seed]) => seed === view.seed)) view.seed = texts[0][0];
    at("log").querySelector(".choice").hidden = texts.length === 1;
    at("log").querySelector(".choice").replaceChildren(...texts.map(([seed]) => make("label", {},
      make("input", { type: "radio", name: "log-seed", checked: seed === view.seed, onchange: () => { view.seed = seed; showLog(run); } }),
      `seed ${seed}`)));
    const pre = at("log").querySelector("pre"), text = texts.find(([seed]) => seed === view.seed)[1];
    if (pre.textContent === text) return;
    const following = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 8;
    pre.textContent = text;
    if (following) pre.scrollTop = pre.scrollHeight;
  }

  // -- curves -----------------------------------------------------------------------------------------------------

  function draw(runs) {
    const drawn = runs.filter((run) => run.curves.length && run.metric === runs[0].metric);
    at("drawing").hidden = !drawn.length;
    if (!drawn.length || !window.Plotly) return;
    // Learning offline moves along updates alone, and would be a wall at no environment steps.
    const moves = drawn[0].curves.every((curve) => 2 * new Set(curve.environment_steps).size > curve.values.length);
    const axis = view.axis ?? (moves ? "environment_steps" : "updates");
    document.querySelector(`input[name=axis][value=${axis}]`).checked = true;
    const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const color = (index) => theme(`--run-${index % 7}`), several = drawn.length > 1;
    const lastAt = (curve) => curve.values.map((_, i) => i).filter((i) => i + 1 === curve.values.length || curve[axis][i] !== curve[axis][i + 1]);
    const curves = drawn.flatMap((run, place) => run.curves.filter((curve) => curve.values.length)
      .map((curve, seed) => ({ run, place, curve, seed, kept: axis === "time" ? curve.values.map((_, i) => i) : lastAt(curve) })));
    const traces = curves.map(({ run, place, curve, seed, kept }) => ({
      x: kept.map((i) => curve[axis][i]), y: kept.map((i) => curve.values[i]), mode: kept.length < 40 ? "lines+markers" : "lines", type: "scatter",
      line: { color: color(several ? place : seed), width: 2 }, marker: { size: 5 },
      hovertemplate: `%{y:.5g}<extra>${several ? `${title(run.name)}, ` : ""}seed ${curve.seed}</extra>`,
      meta: { run: run.id, seed: curve.seed },
    }));
    const grid = { gridcolor: theme("--line"), zerolinecolor: theme("--line"), linecolor: theme("--quiet"), automargin: true };
    const touch = matchMedia("(pointer: coarse)").matches;
    Plotly.react(at("curves"), traces, {
      showlegend: false, hovermode: "closest", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", color: theme("--text"), size: 13 }, margin: { l: 50, r: 12, t: 10, b: 44 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme("--quiet"), activecolor: theme("--text") },
      dragmode: touch ? false : "zoom", uirevision: `${axis} ${drawn[0].metric} ${drawn[0].id}`,
      xaxis: { ...grid, title: { text: axes[axis] }, showgrid: false, zeroline: false },
      yaxis: { ...grid, title: { text: drawn[0].metric } },
    }, { responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
    const names = several ? drawn.map((run) => `${title(run.name)} (${run.path.split("/").at(-1)})`)
      : drawn[0].curves.length > 1 ? drawn[0].curves.map((curve) => `seed ${curve.seed}`) : [];
    at("legend").replaceChildren(...names.map((name, index) => make("li", {}, make("span", { className: `swatch run-${index % 7}` }), name)));
  }

  function chooseMetric(name) {
    view.metric = name;
    refresh();
  }

  // -- stopping ---------------------------------------------------------------------------------------------------

  function showStop(run) {
    const button = at("stop");
    button.hidden = !run.stop;
    if (!run.stop) return;
    button.disabled = run.stop.asked || run.stop.why_not !== null;
    button.textContent = run.stop.asked ? "Stopping…" : "Stop";
    button.title = run.stop.why_not ?? "";
    button.onclick = () => {
      at("ask-what").textContent = `This ends ${run.stop.processes.join(", ")}.`;
      at("ask-after").textContent = `A checkpoint is written first. To go on: headstart resume ${run.path}`;
      at("ask").returnValue = "no";
      at("ask").onclose = async () => {
        if (at("ask").returnValue !== "yes") return;
        button.disabled = true;
        button.textContent = "Stopping…";
        try {
          await ask(`runs/${run.id}/stop`, { method: "POST" });
        } catch (error) {
          at("problems").prepend(card("bad", error.message));
        }
      };
      at("ask").showModal();
    };
  }

  // -- what the reader does ---------------------------------------------------------------------------------------

  at("search").addEventListener("input", (event) => { view.search = event.target.value; view.count = 100; list(); });
  at("more").addEventListener("click", () => { view.count = Math.min(1000, view.count + 200); list(); });
  at("metric").addEventListener("change", (event) => chooseMetric(event.target.value));
  document.querySelectorAll("input[name=axis]").forEach((radio) => radio.addEventListener("change", () => { view.axis = radio.value; refresh(); }));
  at("record").addEventListener("toggle", async () => {
    const pre = at("record").lastElementChild;
    if (at("record").open && !pre.textContent) pre.textContent = JSON.stringify(await ask(`runs/${chosen()[0]}/record`), null, 2);
  });
  addEventListener("hashchange", () => { view.seed = null; list(); refresh(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

  async function repeat(work, seconds) {
    for (;;) {
      if (!document.hidden) await Promise.resolve(work()).catch(connected);
      await new Promise((go) => setTimeout(go, 1000 * seconds));
    }
  }
  repeat(list, LIST_SECONDS);
  repeat(refresh, RUN_SECONDS);
})();
