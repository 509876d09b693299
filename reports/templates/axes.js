// Where arms are hidden, the axes of numbers fit the arms that are shown.
const PADDING = 0.04;
const [CHARACTER_PX, GAP_PX] = [6.6, 10];
const drawnPlaces = new WeakMap();
const drawnTicks = new WeakMap();

// Where a mark stands as long as all arms are shown.
const drawnPlacesOf = mark => {
  if (!drawnPlaces.has(mark)) drawnPlaces.set(mark, placesOf(mark));
  return drawnPlaces.get(mark);
};

const moveTo = (mark, corners) => {
  places.set(mark, corners);
  const pairs = corners.map(([x, y]) => [x.toFixed(1), y.toFixed(1)]);
  if (mark.hasAttribute('points')) return mark.setAttribute('points', pairs.map(pair => pair.join(',')).join(' '));
  mark.setAttribute('x', pairs[0][0]);
  mark.setAttribute('y', pairs[0][1]);
};

const readAxis = (chart, name) => {
  const [left, top, right, bottom] = chart.dataset.frame.split(' ').map(Number);
  const [start, end] = name === 'x' ? [left, right] : [bottom, top];
  const [low, high, scale, ends] = (chart.dataset[name] || '0 1').split(' ');
  const axis = {start, end, low: Number(low), high: Number(high), isLog: scale === 'log', isWhole: scale === 'whole', ends};
  [axis.first, axis.last] = [0, 1];
  axis.move = px => start + ((px - start) / (end - start) - axis.first) / (axis.last - axis.first) * (end - start);
  axis.valueAt = share => axis.isLog ? axis.low * (axis.high / axis.low) ** share : axis.low + (axis.high - axis.low) * share;
  axis.pxOf = value => axis.move(start + (end - start) * (axis.isLog ? Math.log(value / axis.low) / Math.log(axis.high / axis.low)
    : (value - axis.low) / (axis.high - axis.low)));
  return axis;
};

// Sets the part of an axis that is shown, as shares of the whole one.
const fitTo = (axis, pixels) => {
  let [first, last] = [Infinity, -Infinity];
  for (const px of pixels) {
    const share = (px - axis.start) / (axis.end - axis.start);
    [first, last] = [Math.min(first, share), Math.max(last, share)];
  }
  if (axis.ends === 'fixed') first = 0;
  const margin = axis.ends === 'padded' ? (last - first) * PADDING || 0.1 : 0;
  if (last > first || margin) [axis.first, axis.last] = [first - margin, last + margin];
};

const formatTick = (value, step, smallest) => {
  if (value === 0) return '0';
  const isShort = Math.abs(value) >= smallest && Math.abs(value) < 1e5;
  const decimals = step ? Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) : 0;
  const text = !isShort ? value.toExponential(1).replace('.0e', 'e').replace('+', '')
    : step ? value.toFixed(decimals) : String(Number(value.toPrecision(6)));
  return text.replaceAll('-', '−');
};

const linearTicks = (low, high, isWhole) => {
  const power = 10 ** Math.floor(Math.log10((high - low) / 5));
  const fitting = power * [1, 2, 5, 10].find(digit => digit * power >= (high - low) / 5.001);
  const step = isWhole ? Math.max(1, fitting) : fitting;
  const values = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number++) values.push(number * step);
  return values.map(value => [value, formatTick(Math.abs(value) < step / 1e6 ? 0 : value, step, 1e-3)]);
};

const logTicks = (low, high) => {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const digits = last - first <= 3 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil((last - first) / 7));
  const values = [];
  for (let power = first; power <= last; power += stride) values.push(...digits.map(digit => Number(`${digit}e${power}`)));
  const shown = values.filter(value => value >= low && value <= high);
  if (shown.length < 2) return linearTicks(low, high, false);
  return shown.map(value => [value, formatTick(value, 0, shown[0] < 1e-3 ? 0.1 : 1e-3)]);
};

const drawTicks = (name, ticks, axis, other) => {
  let end = -Infinity;
  return ticks.map(([value, label]) => {
    const px = axis.pxOf(value);
    if (name === 'y') {
      return `<path class="grid" d="M${other.start} ${px.toFixed(1)}H${other.end}"/>`
        + `<text class="end" x="${other.start - 6}" y="${(px + 4).toFixed(1)}">${label}</text>`;
    }
    const half = label.length * CHARACTER_PX / 2;
    if (px - half < end) return '';
    end = px + half + GAP_PX;
    return `<path class="axis" d="M${px.toFixed(1)} ${other.start}v4"/>`
      + `<text class="middle" x="${px.toFixed(1)}" y="${other.start + 17}">${label}</text>`;
  }).join('');
};

const fitAxes = chart => {
  const marks = [...chart.querySelectorAll('use[data-arm], polyline[data-arm], polygon[data-arm]')];
  const shown = marks.filter(mark => !mark.classList.contains('off'));
  const isWhole = !shown.length || shown.length === marks.length;
  const [x, y] = ['x', 'y'].map(name => readAxis(chart, name));
  for (const [name, axis, other, dimension] of [['x', x, y, 0], ['y', y, x, 1]]) {
    const ticks = chart.querySelector(`.ticks.${name}`);
    if (!drawnTicks.has(ticks)) drawnTicks.set(ticks, ticks.innerHTML);
    const isFixed = isWhole || !chart.dataset[name];
    if (!isFixed) fitTo(axis, shown.flatMap(mark => drawnPlacesOf(mark).map(corner => corner[dimension])));
    const [low, high] = [axis.valueAt(axis.first), axis.valueAt(axis.last)];
    const wanted = () => axis.isLog ? logTicks(low, high) : linearTicks(low, high, axis.isWhole);
    ticks.innerHTML = isFixed ? drawnTicks.get(ticks) : drawTicks(name, wanted(), axis, other);
  }
  for (const mark of shown) moveTo(mark, drawnPlacesOf(mark).map(([left, top]) => [x.move(left), y.move(top)]));
  // It is the front over all arms.
  for (const line of chart.querySelectorAll('.front')) line.classList.toggle('off', !isWhole);
  for (const rule of chart.querySelectorAll('.rule')) {
    const px = Number(rule.getAttribute('d').match(/^M([\d.]+)/)[1]);
    rule.setAttribute('transform', `translate(${(x.move(px) - px).toFixed(1)} 0)`);
    rule.classList.toggle('off', x.move(px) > x.end + 1 || x.move(px) < x.start - 1);
  }
};
