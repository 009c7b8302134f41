"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("page-data").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (index) => theme(`--run-${index % 7}`);
  const short = (value) => value.toPrecision(4);

  // A curve with its band.
  function curve(line) {
    const traces = [];
    if (line.low !== null) {
      traces.push({
        x: line.x.concat([...line.x].reverse()), y: line.high.concat([...line.low].reverse()), fill: "toself",
        fillcolor: `${color(line.color)}2e`, line: { width: 0 }, mode: "lines", hoverinfo: "skip", meta: { arm: line.arm, part: "band" },
      });
    }
    const bounds = line.x.map((_, i) => (line.low === null ? "" : ` [${short(line.low[i])}, ${short(line.high[i])}]`));
    traces.push({
      x: line.x, y: line.y, mode: "lines", line: { color: color(line.color), width: 2.4 }, customdata: bounds,
      hovertemplate: `%{y:.4g}%{customdata}<extra>${line.arm}</extra>`, meta: { arm: line.arm, part: "line" },
    });
    return traces;
  }

  // An estimate with its interval, where it has one, in one row.
  const estimate = (line, names) => [{
    x: line.x, y: line.y, mode: "markers", marker: { color: color(line.color), size: 10 },
    error_x: line.low === null ? {} : {
      type: "data", symmetric: false, array: [line.high[0] - line.x[0]], arrayminus: [line.x[0] - line.low[0]],
      color: color(line.color), thickness: 3, width: 0 },
    hovertemplate: `${short(line.x[0])}${line.low === null ? "" : ` [${short(line.low[0])}, ${short(line.high[0])}]`}<extra>${names[line.y[0]]}</extra>`,
    meta: { part: "estimate" },
  }];

  function draw() {
    const hidden = new Set([...document.querySelectorAll("#arms input:not(:checked)")].map((box) => box.value));
    const grid = { gridcolor: theme("--line"), zerolinecolor: theme("--line"), linecolor: theme("--quiet"), automargin: true };
    for (const [name, panels] of Object.entries(figures)) {
      panels.forEach((panel, place) => {
        const rows = panel.names ?? null;
        const lines = panel.lines.filter((line) => !hidden.has(line.arm));
        Plotly.react(document.getElementById(name).children[place], lines.flatMap((line) => (rows ? estimate(line, rows) : curve(line))), {
          showlegend: false, hovermode: rows ? "closest" : "x unified", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
          font: { family: "system-ui, sans-serif", color: theme("--text"), size: 13 }, hoverlabel: { bgcolor: theme("--raised") },
          title: { text: panels.length > 1 ? panel.title : "", font: { size: 14 }, x: 0, xref: "paper", xanchor: "left" },
          margin: { l: 55, r: 15, t: panels.length > 1 ? 34 : 10, b: 45 }, dragmode: touch ? false : "zoom",
          height: rows ? 90 + 34 * rows.length : undefined,
          modebar: { bgcolor: "rgba(0,0,0,0)", color: theme("--quiet"), activecolor: theme("--text") },
          xaxis: { ...grid, title: { text: panel.xlabel }, showgrid: rows !== null, zeroline: false, range: panel.xlim },
          yaxis: rows ? { automargin: true, tickvals: panel.yticks, ticktext: rows, range: [-0.6, rows.length - 0.4], showgrid: false, zeroline: false }
            : { ...grid, title: { text: panel.ylabel } },
          shapes: panel.level === undefined ? [] : [{ type: "line", yref: "paper", x0: panel.level, x1: panel.level, y0: 0, y1: 1,
            line: { color: theme("--quiet"), dash: "dot", width: 1 } }],
        }, { responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover",
          modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], toImageButtonOptions: { filename: name, scale: 2 } });
      });
    }
  }

  document.getElementById("arms").addEventListener("change", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
