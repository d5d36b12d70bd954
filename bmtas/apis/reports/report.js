'use strict';
// Draws what the page's JSON holds: curves, the tree and alpha at a chosen moment, fronts.
const NS = 'http://www.w3.org/2000/svg';

function svg(name, attributes, parent, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1);
  return String(+value.toPrecision(3));
}

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(n => n * power).find(n => n >= raw);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(t);
  return found;
}

// 1, 2, 5 times powers of ten between two logarithms, not more than some six of them
function logTicks(low, high) {
  const digits = high - low > 2.5 ? [1] : high - low > 1.2 ? [1, 3] : [1, 2, 5], found = [];
  for (let power = Math.floor(low); power <= high; power++)
    for (const digit of digits)
      if (Math.log10(digit) + power >= low && Math.log10(digit) + power <= high) found.push(digit * 10 ** power);
  return found;
}

function range(values) {
  const low = Math.min(...values), high = Math.max(...values);
  return low === high ? [low - 0.5 * (Math.abs(low) || 1), high + 0.5 * (Math.abs(high) || 1)] : [low, high];
}

// one chart: {title, xlabel, ylabel, log, series: [{name, colour, x, y}]}
function chart(element, spec) {
  const width = Math.max(280, element.clientWidth), height = 230;
  const margin = {left: 56, right: 12, top: 8, bottom: 38};
  const all = spec.series.flatMap(s => s.y.filter(v => v !== null));
  const log = spec.log && all.every(v => v > 0) && Math.max(...all) > 30 * Math.min(...all);
  const turn = v => (log ? Math.log10(v) : v);
  const [x0, x1] = range(spec.series.flatMap(s => s.x)), [y0, y1] = range(all.map(turn));
  const px = v => margin.left + (v - x0) / (x1 - x0) * (width - margin.left - margin.right);
  const py = v => height - margin.bottom - (turn(v) - y0) / (y1 - y0) * (height - margin.top - margin.bottom);
  const root = svg('svg', {width, height, role: 'img', 'aria-label': spec.title});
  const marks = log ? logTicks(y0, y1) : ticks(y0, y1, 5);
  for (const t of marks) {
    svg('line', {x1: margin.left, x2: width - margin.right, y1: py(t), y2: py(t), stroke: '#e3e7ea'}, root);
    svg('text', {x: margin.left - 6, y: py(t) + 4, 'text-anchor': 'end'}, root, short(t));
  }
  for (const t of ticks(x0, x1, width / 90))
    svg('text', {x: px(t), y: height - margin.bottom + 16, 'text-anchor': 'middle'}, root, short(t));
  svg('text', {x: (margin.left + width) / 2, y: height - 4, 'text-anchor': 'middle'}, root, spec.xlabel);
  for (const s of spec.series) {
    const known = s.x.map((x, i) => [x, s.y[i]]).filter(p => p[1] !== null);
    if (known.length > 1)
      svg('polyline', {points: known.map(p => `${px(p[0])},${py(p[1])}`).join(' '), fill: 'none',
                       stroke: s.colour, 'stroke-width': 1.8}, root);
    if (known.length < 12)
      for (const p of known)
        svg('title', {}, svg('circle', {cx: px(p[0]), cy: py(p[1]), r: 3.5, fill: s.colour}, root),
            `${s.name}: ${short(p[0])}, ${short(p[1])}`);
  }
  const legend = document.createElement('div');
  legend.className = 'legend';
  for (const s of spec.series) {
    const entry = document.createElement('span'), mark = document.createElement('i');
    mark.style.background = s.colour;
    entry.append(mark, s.name);
    legend.append(entry);
  }
  const title = document.createElement('h3');
  title.textContent = spec.title + (spec.ylabel ? ` (${spec.ylabel})` : '');
  element.replaceChildren(title, root, legend);
}

// heights of every task's line and of its group, stem and heads included
function positions(routes, tasks) {
  const order = tasks.map((_, t) => t).sort((a, b) => {
    for (const row of routes) if (row[a] !== row[b]) return row[a] - row[b];
    return a - b;
  });
  const lane = [];
  order.forEach((t, rank) => { lane[t] = rank; });
  const rows = [tasks.map(() => 0), ...routes, tasks.map((_, t) => t)];
  return rows.map(row => {
    const groups = new Map();
    row.forEach((g, t) => groups.set(g, [...(groups.get(g) || []), t]));
    const line = [], stations = [];
    for (const members of groups.values()) {
      members.sort((a, b) => lane[a] - lane[b]);
      const centre = members.reduce((sum, t) => sum + lane[t], 0) / members.length;
      members.forEach((t, i) => { line[t] = centre + 0.13 * (i - (members.length - 1) / 2); });
      stations.push([centre, members.length]);
    }
    return {line, stations};
  });
}

function tree(element, search, routes) {
  const step = 46, lane = 42, left = 46, top = 22;
  const rows = positions(routes, search.tasks), layers = search.layers.length;
  const x = i => left + step * i, y = v => top + lane * v;
  const longest = Math.max(...search.tasks.map(t => t.length));
  const width = x(layers + 1) + 20 + 8 * longest, height = y(search.tasks.length - 1) + 100;
  const root = svg('svg', {width, height, role: 'img', 'aria-label': 'branching tree'});
  search.tasks.forEach((name, t) => {
    let path = `M${x(0)},${y(rows[0].line[t])}`;
    for (let i = 1; i < rows.length; i++) {
      const middle = (x(i - 1) + x(i)) / 2, from = y(rows[i - 1].line[t]), to = y(rows[i].line[t]);
      path += `C${middle},${from} ${middle},${to} ${x(i)},${to}`;
    }
    const colour = search.colours[t];
    svg('path', {d: path, fill: 'none', stroke: colour, 'stroke-width': 4, 'stroke-linecap': 'round'}, root);
    svg('text', {x: x(layers + 1) + 8, y: y(rows[layers + 1].line[t]) + 4, style: `fill:${colour};font-weight:600`},
        root, name);
  });
  rows.slice(0, layers + 1).forEach((row, i) => {
    for (const [centre, count] of row.stations) {
      const half = lane * 0.13 * (count - 1) / 2 + 9, wide = i ? 22 : 40;
      svg('rect', {x: x(i) - wide / 2, y: y(centre) - half, width: wide, height: 2 * half, rx: 5, fill: '#fff',
                   stroke: '#22303c'}, root);
      svg('text', {x: x(i), y: y(centre) + 4, 'text-anchor': 'middle'}, root, i ? count : 'stem');
    }
    if (i) {
      const at = `translate(${x(i)},${y(search.tasks.length - 1) + 32}) rotate(45)`;
      svg('text', {transform: at}, root, search.layers[i - 1]);
    }
  });
  element.replaceChildren(root);
}

function alpha(element, search, probabilities) {
  const cell = 14;
  element.replaceChildren(...probabilities.map((rows, l) => {
    const box = document.createElement('div');
    const root = svg('svg', {width: cell * rows[0].length, height: cell * rows.length});
    rows.forEach((row, t) => row.forEach((p, k) => {
      const place = {x: k * cell, y: t * cell, width: cell - 1, height: cell - 1};
      svg('rect', {...place, fill: '#eef1f3'}, root);
      const mark = svg('rect', {...place, fill: search.colours[t], 'fill-opacity': p}, root);
      svg('title', {}, mark, `${search.tasks[t]}, candidate ${k}: ${p}`);
      if (p === Math.max(...row))
        svg('circle', {cx: (k + 0.5) * cell - 0.5, cy: (t + 0.5) * cell - 0.5, r: 2.5, fill: '#fff', stroke: '#22303c'}, root);
    }));
    box.append(root, document.createElement('br'), search.layers[l]);
    return box;
  }));
}

function moment(section, search) {
  const slider = section.querySelector('input');
  const show = () => {
    const step = search.steps[slider ? +slider.value : search.steps.length - 1];
    tree(section.querySelector('.tree'), search, step.routes);
    const maps = section.querySelector('.maps');
    if (maps && step.alpha) alpha(maps, search, step.alpha);
    const note = section.querySelector('.moment');
    if (note) note.textContent = `update ${step.update}` + (step.cost ? `, ${step.cost}` : '');
  };
  if (slider) slider.addEventListener('input', show);
  show();
}

function drawAll(data) {
  for (const element of document.querySelectorAll('[data-chart]')) chart(element, data.charts[+element.dataset.chart]);
}

const data = JSON.parse(document.getElementById('data').textContent);
document.querySelectorAll('[data-search]').forEach(s => moment(s, data.searches[+s.dataset.search]));
drawAll(data);
window.addEventListener('resize', () => drawAll(data));
