// The table of trials: a click on a column's name sorts, and the fields above it filter.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  const text = cell.dataset.sort || cell.textContent;
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
};

const compare = (one, other, direction) => {
  // A missing value is last in both directions.
  if (one === '' || other === '') return (one === '') - (other === '');
  const isText = typeof one === 'string' || typeof other === 'string';
  return direction * (isText ? String(one).localeCompare(String(other), 'en') : one - other);
};

if (table) {
  const head = table.tHead.rows[0];
  const search = document.getElementById('search');
  const chosen = document.getElementById('arm');
  const count = document.getElementById('count');
  const more = document.getElementById('more');
  let inOrder = rows;
  let most = rows.filter(row => !row.classList.contains('later')).length;

  head.addEventListener('click', event => {
    const cell = event.target.closest('th[aria-sort]');
    if (!cell) return;
    const isAscending = cell.getAttribute('aria-sort') !== 'ascending';
    for (const other of head.cells) if (other.hasAttribute('aria-sort')) other.setAttribute('aria-sort', 'none');
    cell.setAttribute('aria-sort', isAscending ? 'ascending' : 'descending');
    const sorted = rows.map(row => [valueOf(row, cell.cellIndex), row]);
    sorted.sort(([one], [other]) => compare(one, other, isAscending ? 1 : -1));
    inOrder = sorted.map(([, row]) => row);
    table.tBodies[0].append(...inOrder);
    filter();
  });

  const texts = new Map();
  const textOf = row => {
    if (!texts.has(row)) texts.set(row, `${row.dataset.name} ${[...row.cells].map(cell => cell.textContent).join(' ')}`.toLowerCase());
    return texts.get(row);
  };

  const filter = () => {
    const parts = search.value.toLowerCase().split(/\s+/);
    let fitting = 0;
    for (const row of inOrder) {
      const isOfArm = !chosen.value || chosen.value === row.dataset.of;
      const fits = isOfArm && (!search.value || parts.every(part => textOf(row).includes(part)));
      row.hidden = !fits;
      fitting += fits;
      row.classList.toggle('later', fitting > most);
    }
    more.hidden = fitting <= most;
    count.textContent = `${fitting} of ${rows.length}${more.hidden ? '' : `, the first ${most} are shown`}`;
  };
  more.addEventListener('click', () => { most = Infinity; filter(); });
  search.addEventListener('input', filter);
  chosen.addEventListener('change', filter);
  // Without a script nothing can be filtered, so the fields are hidden until here.
  document.querySelector('.filters').hidden = false;
  filter();
}
