"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const plot = document.getElementById("curves");
  const metricChoice = document.getElementById("metric");
  const seedsChoice = document.getElementById("show-seeds");
  const phaseStrength = { offline: 0.2, warmup: 0.38, online: 0.55 };
  const phaseNames = { warmup: "warm-up" };

  const touch = matchMedia("(pointer: coarse)").matches;

  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (color, strength) => color + Math.round(strength * 255).toString(16).padStart(2, "0");
  const color = (index) => theme(`--run-${index % 7}`);
  const dash = (index) => ["solid", "dash", "dashdot", "dot"][Math.floor(index / 7) % 4];
  const chosenAxis = () => document.querySelector("input[name=axis]:checked").value;
  const shown = (index) => document.getElementById(`show-run-${index}`).checked;

  function tracesOfRun(run, index, curve, from, to) {
    // One point is a policy that did not change along this axis: a level across the plot.
    const level = curve.x.length === 1;
    const stretch = (values) => (level ? [values[0], values[0]] : values);
    const x = level ? [from, to] : curve.x;
    const traces = [];
    if (curve.low !== null) {
      traces.push({
        x: x.concat([...x].reverse()), y: stretch(curve.high).concat([...stretch(curve.low)].reverse()),
        fill: "toself", fillcolor: faded(color(index), level ? 0.1 : 0.18), line: { width: 0 }, mode: "lines",
        hoverinfo: "skip", meta: { run: index, part: "band" },
      });
    }
    if (seedsChoice.checked) {
      curve.seeds.forEach((values, seed) => traces.push({
        x, y: stretch(values), mode: "lines", line: { width: 1, color: faded(color(index), 0.5) },
        hovertemplate: `%{y:.4g}<extra>${run.label}, seed ${run.seeds[seed]}</extra>`, meta: { run: index, part: "seed" },
      }));
    }
    const bounds = curve.low === null ? x.map(() => "") :
      x.map((_, i) => ` [${stretch(curve.low)[i].toPrecision(4)}, ${stretch(curve.high)[i].toPrecision(4)}]`);
    traces.push({
      x, y: stretch(curve.middle), mode: "lines", customdata: bounds,
      line: { color: color(index), width: level ? 1.6 : 2.4, dash: level ? "dash" : dash(index) },
      hovertemplate: `%{y:.4g}%{customdata}<extra>${run.label}</extra>`, meta: { run: index, part: "middle" },
    });
    return traces;
  }

  function lanesOfRun(run, index, curve, lane, from, to) {
    const name = (span) => phaseNames[span.phase] ?? span.phase;
    const fits = (span) => (plot.clientWidth - 70) * (span.end - span.start) / (to - from) > 7 * name(span).length;
    return curve.spans.map((span) => ({
      type: "bar", orientation: "h", xaxis: "x", yaxis: "y2", x: [span.end - span.start], base: [span.start], y: [lane],
      width: 0.8, marker: { color: faded(color(index), phaseStrength[span.phase] ?? 0.4), line: { width: 0 } },
      text: [fits(span) ? name(span) : ""], textposition: "inside", insidetextanchor: "middle", constraintext: "none",
      textangle: 0, textfont: { color: theme("--text"), size: 11 },
      hovertemplate: `${name(span)}: ${span.start.toLocaleString()} to ${span.end.toLocaleString()}` +
        `<extra>${run.label}</extra>`,
      meta: { run: index, part: "phase", phase: span.phase },
    }));
  }

  function draw() {
    const metric = metricChoice.value, axis = chosenAxis();
    const present = page.runs.map((run, index) => ({ run, index, curve: run.curves[metric]?.[axis] }))
      .filter(({ curve, index }) => curve && shown(index));
    const moving = present.filter(({ curve }) => curve.x.length > 1);
    const from = Math.min(...moving.map(({ curve }) => curve.x[0])), to = Math.max(...moving.map(({ curve }) => curve.x.at(-1)));
    const ends = moving.length ? [from, to] : [0, 1];
    const lanes = present.filter(({ curve }) => curve.spans.length);
    const traces = [
      ...present.flatMap(({ run, index, curve }) => tracesOfRun(run, index, curve, ...ends)),
      ...lanes.flatMap(({ run, index, curve }, lane) => lanesOfRun(run, index, curve, lane, ...ends)),
    ];
    const lanesTop = Math.min(0.45, (19 * lanes.length) / (plot.clientHeight - 60));
    const grid = { gridcolor: theme("--line"), zerolinecolor: theme("--line"), linecolor: theme("--quiet") };
    Plotly.react(plot, traces, {
      showlegend: false, barmode: "overlay", hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", color: theme("--text"), size: 13 },
      margin: { l: 58, r: 12, t: 12, b: 48 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme("--quiet"), activecolor: theme("--text") },
      dragmode: touch ? false : "zoom",
      xaxis: { ...grid, title: { text: page.axes[axis] }, anchor: "y2", range: ends, showgrid: false, zeroline: false },
      yaxis: { ...grid, title: { text: page.metrics[metric] }, domain: [lanes.length ? lanesTop + 0.03 : 0, 1], automargin: true },
      yaxis2: {
        domain: [0, lanes.length ? lanesTop : 0.001], visible: false, fixedrange: true, autorange: "reversed",
      },
    }, {
      responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      displayModeBar: touch ? false : "hover",
      toImageButtonOptions: { filename: "learning-curves", scale: 2 },
    });
  }

  document.getElementById("curve-controls").addEventListener("change", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
