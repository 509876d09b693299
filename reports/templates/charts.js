// The pointer names the nearest trial of a chart, a click plays it, and an entry of a legend hides an arm.
const REACH_PX = 18;
const tip = document.getElementById('tip');
const table = document.getElementById('trials');
const rows = table ? [...table.tBodies[0].rows] : [];
const rowOf = Object.fromEntries(rows.map(row => [row.dataset.row, row]));
const marksOf = {};
for (const mark of document.querySelectorAll('[data-trial]')) (marksOf[mark.dataset.trial] ||= []).push(mark);
const places = new WeakMap();
let marked = null;

const placesOf = mark => {
  if (!places.has(mark)) {
    const points = mark.getAttribute('points');
    const corners = points ? points.split(' ').map(pair => pair.split(',').map(Number))
      : [[Number(mark.getAttribute('x')), Number(mark.getAttribute('y'))]];
    places.set(mark, corners);
  }
  return places.get(mark);
};

// The distance of a point to a line through some corners.
const distanceTo = (corners, x, y) => {
  if (corners.length === 1) return Math.hypot(corners[0][0] - x, corners[0][1] - y);
  let least = Infinity;
  for (let i = 1; i < corners.length; i++) {
    const [[ax, ay], [bx, by]] = [corners[i - 1], corners[i]];
    if (Math.min(ax, bx) - least > x || Math.max(ax, bx) + least < x) continue;
    const [dx, dy] = [bx - ax, by - ay];
    const part = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    least = Math.min(least, Math.hypot(ax + part * dx - x, ay + part * dy - y));
  }
  return least;
};

const nearest = (chart, event) => {
  const screen = chart.getScreenCTM();
  const [x, y] = [(event.clientX - screen.e) / screen.a, (event.clientY - screen.f) / screen.d];
  let [best, least] = [null, REACH_PX / screen.a];
  for (const mark of chart.querySelectorAll('use[data-arm], polyline[data-arm]')) {
    if (mark.classList.contains('off')) continue;
    // A trial is preferred to the line of its arm.
    const distance = distanceTo(placesOf(mark), x, y) + (mark.dataset.trial ? 0 : 4);
    if (distance < least) [best, least] = [mark, distance];
  }
  return best;
};

const markTrial = trial => {
  if (trial === marked) return;
  for (const mark of marksOf[marked] || []) mark.classList.remove('on');
  if (rowOf[marked]) rowOf[marked].classList.remove('on');
  marked = trial;
  for (const mark of marksOf[trial] || []) mark.classList.add('on');
  if (rowOf[trial]) rowOf[trial].classList.add('on');
};

const describe = row => {
  const heads = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
  const title = document.createElement('strong');
  title.textContent = row.dataset.name || `trial ${row.dataset.row}`;
  const values = document.createElement('dl');
  [...row.cells].forEach((cell, number) => {
    if (cell.classList.contains('sound') || !cell.textContent) return;
    const [name, value] = [document.createElement('dt'), document.createElement('dd')];
    [name.textContent, value.textContent] = [heads[number], cell.textContent];
    values.append(name, value);
  });
  const parts = [title, values];
  if (row.querySelector('.play')) {
    const hint = document.createElement('em');
    hint.textContent = 'click to hear it';
    parts.push(hint);
  }
  return parts;
};

const showTip = (parts, event) => {
  tip.replaceChildren(...parts);
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
  // It stays where it is in the page while the page scrolls.
  tip.style.left = `${scrollX + Math.max(4, Math.min(left, innerWidth - width - 20))}px`;
  tip.style.top = `${scrollY + Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4))}px`;
};

const hideTip = () => { tip.hidden = true; markTrial(null); };

const point = event => {
  const chart = event.target.closest && event.target.closest('svg.chart');
  const mark = chart && nearest(chart, event);
  if (!mark) return tip.hidden || hideTip();
  const row = rowOf[mark.dataset.trial];
  markTrial(mark.dataset.trial || null);
  const entry = document.querySelector(`[data-entry="${mark.dataset.arm}"]`);
  chart.style.cursor = row && row.querySelector('.play') ? 'pointer' : '';
  showTip(row ? describe(row) : [entry ? entry.textContent : ''], event);
};

document.addEventListener('pointermove', point);
document.addEventListener('pointerdown', point);
document.addEventListener('keydown', event => event.key === 'Escape' && hideTip());

document.addEventListener('click', event => {
  const chart = event.target.closest('svg.chart');
  const mark = chart && nearest(chart, event);
  const button = mark && rowOf[mark.dataset.trial] && rowOf[mark.dataset.trial].querySelector('.play');
  if (button) play(button);
  const entry = event.target.closest('.entry');
  if (!entry) return;
  const isShown = entry.getAttribute('aria-pressed') !== 'true';
  for (const same of document.querySelectorAll(`[data-entry="${entry.dataset.entry}"]`)) same.setAttribute('aria-pressed', isShown);
  for (const one of document.querySelectorAll(`svg.chart [data-arm="${entry.dataset.entry}"]`)) one.classList.toggle('off', !isShown);
  for (const chart of document.querySelectorAll('svg.chart[data-frame]')) fitAxes(chart);
});

for (const row of rows) {
  row.addEventListener('pointerenter', () => markTrial(row.dataset.row));
  row.addEventListener('focusin', () => markTrial(row.dataset.row));
}
