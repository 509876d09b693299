// Plays one sound at a time. Another sound of the same clip continues at the position of the last one.
let current = null;
const sound = new Audio();

const stop = () => {
  sound.pause();
  if (current) current.setAttribute('aria-pressed', 'false');
};

const play = cell => {
  const isSame = current === cell && !sound.paused;
  const goesOn = current && !sound.ended && current.closest('.probe, table') === cell.closest('.probe, table');
  const time = goesOn ? sound.currentTime : 0;
  stop();
  if (isSame) return;
  current = cell;
  sound.src = cell.dataset.audio;
  sound.currentTime = time;
  cell.setAttribute('aria-pressed', 'true');
  // play() is rejected if another sound is chosen before this one has begun.
  sound.play().catch(() => {});
};

sound.addEventListener('timeupdate', () => {
  const bar = current && current.querySelector('progress');
  if (bar) bar.value = sound.currentTime / (sound.duration || 1);
});
sound.addEventListener('ended', stop);
document.addEventListener('click', event => {
  const button = event.target.closest('[data-audio]');
  if (button) play(button);
});
document.addEventListener('keydown', event => {
  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
  const focused = document.activeElement.closest('.cell');
  if (!steps || !focused) return;
  const rows = [...focused.closest('table').rows].map(row => [...row.querySelectorAll('.cell')]);
  const row = rows.findIndex(cells => cells.includes(focused));
  const next = rows[row + steps[0]];
  const cell = next && next[Math.min(rows[row].indexOf(focused) + steps[1], next.length - 1)];
  if (!cell) return;
  event.preventDefault();
  cell.focus();
  play(cell);
});
