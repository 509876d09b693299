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

  head.addEventListener('click', event => {
    const cell = event.target.closest('th[aria-sort]');
    if (!cell) return;
    const isAscending = cell.getAttribute('aria-sort') !== 'ascending';
    for (const other of head.cells) if (other.hasAttribute('aria-sort')) other.setAttribute('aria-sort', 'none');
    cell.setAttribute('aria-sort', isAscending ? 'ascending' : 'descending');
    const sorted = rows.map(row => [valueOf(row, cell.cellIndex), row]);
    sorted.sort(([one], [other]) => compare(one, other, isAscending ? 1 : -1));
    table.tBodies[0].append(...sorted.map(([, row]) => row));
  });

  const filter = () => {
    const parts = search.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = `${row.dataset.name} ${[...row.cells].map(cell => cell.textContent).join(' ')}`.toLowerCase();
      const fits = parts.every(part => text.includes(part)) && (!chosen.value || chosen.value === row.dataset.of);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  search.addEventListener('input', filter);
  chosen.addEventListener('change', filter);
  // Without a script nothing can be filtered, so the fields are hidden until here.
  document.querySelector('.filters').hidden = false;
  filter();
}
