'use strict';
// Plays the sounds step by step and stores the answers: at the server or, in an exported page, in the browser's local
// storage, from which they are saved as a file.
const data = JSON.parse(document.getElementById('data').textContent);
const $ = selector => document.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];
const HEADSTART_MS = 250;

const served = {
  async open(code) {
    return await post('session', {listener: code});
  },
  url: (step, slot) => 'sound?' + new URLSearchParams({listener, item: step.item, slot}),
  sample: () => 'sample',
  bytes: async (step, slot) => {
    const reply = await fetch(served.url(step, slot));
    if (!reply.ok) throw new Error(`The server answers with ${reply.status}.`);
    return await reply.arrayBuffer();
  },
  async store(step, answer) {
    await post('votes', {listener, item: step.item, token: step.token, answer});
  },
};

const inFile = {
  memory: code => `listening test ${data.test} ${data.copy} ${code}`,
  async open(code) {
    code = code.trim().split(/\s+/).join(' ').toLowerCase();
    this.code = code;
    this.answers = JSON.parse(recall(this.memory(code)) || '[]');
    const done = new Set(this.answers.map(stored => stored.item));
    const steps = shuffled(data.steps, code).filter(step => !done.has(step.item));
    $('#saving').hidden = false;
    return {listener: code, total: data.steps.length, steps};
  },
  urls: new Map(),
  url(step, slot) {
    return this.blob(step.sounds[slot]);
  },
  sample() {
    return this.blob(Object.keys(data.sounds)[0]);
  },
  decode: name => Uint8Array.from(atob(data.sounds[name]), character => character.charCodeAt(0)),
  bytes: async (step, slot) => inFile.decode(step.sounds[slot]).buffer,
  blob(name) {
    if (!this.urls.has(name)) {
      this.urls.set(name, URL.createObjectURL(new Blob([this.decode(name)], {type: 'audio/wav'})));
    }
    return this.urls.get(name);
  },
  async store(step, answer) {
    this.answers.push({item: step.item, token: step.token, answer});
    remember(this.memory(this.code), JSON.stringify(this.answers));
  },
  save() {
    const {test, copy} = data;
    const text = JSON.stringify({test, copy, listener: this.code, answers: this.answers}, null, 1);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
    link.download = `answers-${test}-${this.code.replace(/[^\w-]+/g, '_')}.json`;
    link.click();
    $('#saving span').textContent = `${this.answers.length} answers saved as ${link.download}`;
  },
};

const source = data.copy ? inFile : served;
let listener = '', steps = [], total = 0, done = 0;
const isPair = data.method === 'abx' || data.method === 'prefer';
const howToHear = {mos: 'Hear it to its end first.', abx: 'Hear A, B and X to their end first.', prefer: 'Hear A and B to their end first.'};
let sounds = {}, heard = new Set(), playing = null, last = null, busy = false;

async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body)});
  } catch {
    throw new Error('The test\'s server does not answer; it may have been stopped. Answers so far are stored.');
  }
  const reply = await answer.json().catch(() => ({}));
  // 409: the item is answered already. The server's reply to the first try did not arrive.
  if (!answer.ok && answer.status !== 409) throw new Error(reply.reason || `The server answers with ${answer.status}.`);
  return reply;
}

// Some browsers have no local storage for pages from files. Then the answers are kept only while the page is open.
function recall(key) { try { return localStorage.getItem(key); } catch { return null; } }
function remember(key, text) { try { localStorage.setItem(key, text); } catch { $('#saving span').textContent = 'they are lost when this page is closed'; } }

// A random order that depends on the listener's code only.
function shuffled(items, code) {
  let state = 2166136261;
  for (const character of code) state = Math.imul(state ^ character.codePointAt(0), 16777619);
  const random = () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const order = [...items];
  for (let index = order.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1));
    [order[index], order[other]] = [order[other], order[index]];
  }
  return order;
}

function show(id) {
  all('main > section').forEach(section => { section.hidden = section.id !== id; });
}

function complain(error) {
  all('.problem').forEach(place => { place.textContent = error ? error.message : ''; });
}

function load(step) {
  const loaded = {};
  for (const button of all('[data-slot]')) {
    const audio = new Audio(source.url(step, button.dataset.slot));
    audio.preload = 'auto';
    loaded[button.dataset.slot] = audio;
  }
  return loaded;
}

let next = null;
function begin() {
  if (!steps.length) return finish();
  $('#count').textContent = `${done + 1} of ${total}`;
  $('#progress').setAttribute('aria-valuenow', done);
  $('#progress div').style.width = `${100 * done / total}%`;
  if (data.method === 'mushra') return void mushra.begin(steps[0]);
  sounds = next || load(steps[0]);
  next = steps.length > 1 ? load(steps[1]) : null;
  heard = new Set();
  last = null;
  for (const button of all('[data-slot]')) {
    button.classList.remove('heard', 'playing');
    button.style.setProperty('--played', 0);
    if (isPair) button.querySelector('span').textContent = 'not heard yet';
    const audio = sounds[button.dataset.slot];
    audio.onended = () => ended(button);
    audio.onerror = () => complain(new Error('A sound can\'t be played: has the test\'s server been stopped?'));
  }
  all('[data-answer]').forEach(button => { button.disabled = true; button.classList.remove('chosen'); });
  $('#hint').textContent = data.method === 'abx' ? 'Hear all three first.' : howToHear[data.method];
  show('trial');
  if (data.method === 'mos') setTimeout(() => play('sound', true), HEADSTART_MS);
}

async function play(slot, byItself = false) {
  if (byItself && last) return;
  complain();
  stop();
  last = slot;
  playing = slot;
  const button = $(`[data-slot="${slot}"]`);
  button.classList.add('playing');
  const audio = sounds[slot];
  audio.currentTime = 0;
  try {
    await audio.play();
    follow(audio, button);
  } catch (error) {
    if (error.name === 'AbortError') return;
    stop();
    last = null;
    if (!byItself) complain(new Error(`This browser can't play it (${error.message}).`));
  }
}

function follow(audio, button) {
  if (audio.paused) return;
  button.style.setProperty('--played', audio.currentTime / audio.duration || 0);
  requestAnimationFrame(() => follow(audio, button));
}

function stop() {
  if (!playing) return;
  sounds[playing].pause();
  const button = $(`[data-slot="${playing}"]`);
  button.classList.remove('playing');
  button.style.setProperty('--played', 0);
  playing = null;
}

function ended(button) {
  stop();
  heard.add(button.dataset.slot);
  button.classList.add('heard');
  if (isPair) button.querySelector('span').textContent = 'heard ✓';
  if (heard.size < Object.keys(sounds).length || busy) return;
  all('[data-answer]').forEach(choice => { choice.disabled = false; });
  $('#hint').textContent = '';
}

async function answer(button) {
  const chosen = button.dataset.answer;
  await give(data.method === 'mos' ? Number(chosen) : chosen, button, all('[data-answer]'));
}

async function give(value, button, choices) {
  if (busy) return;
  busy = true;
  complain();
  stop();
  choices.forEach(choice => { choice.disabled = true; });
  button.classList.add('chosen');
  try {
    await source.store(steps[0], value);
    // The server chooses the next pair by all answers so far.
    const reply = data.method === 'prefer' && !data.copy ? await source.open(listener) : null;
    steps = reply ? reply.steps : steps.slice(1);
    done = reply ? reply.done : done + 1;
  } catch (error) {
    busy = false;
    button.classList.remove('chosen');
    choices.forEach(choice => { choice.disabled = false; });
    return complain(error);
  }
  button.classList.remove('chosen');
  busy = false;
  begin();
}

// All sounds of a MUSHRA page run together in a loop, and only one of them is audible: so a switch keeps the place.
const FADE_S = 0.01;
const mushra = {
  context: null, buffers: {}, gains: {}, sources: [], rated: new Set(), current: null,
  async begin(step) {
    this.stop();
    this.context = this.context || new AudioContext();
    [heard, this.rated, this.current] = [new Set(), new Set(), null];
    all('[data-slot]').forEach(button => { button.classList.remove('heard', 'playing'); button.disabled = true; });
    for (const slider of all('[data-rating]')) {
      slider.value = 0;
      slider.setAttribute('aria-valuetext', 'not rated');
      $(`[data-shown="${slider.dataset.rating}"]`).textContent = '–';
    }
    this.buffers = {};
    $('#next').disabled = true;
    $('#hint').textContent = 'The sounds are loading.';
    show('trial');
    try {
      const slots = all('[data-slot]').map(button => button.dataset.slot);
      const decoded = await Promise.all(slots.map(async slot => [slot, await this.context.decodeAudioData(await source.bytes(step, slot))]));
      this.buffers = Object.fromEntries(decoded);
      all('[data-slot]').forEach(button => { button.disabled = false; });
      this.tell();
    } catch {
      complain(new Error('A sound can\'t be played: has the test\'s server been stopped?'));
    }
  },
  play(slot) {
    if (!this.buffers[slot]) return;
    complain();
    // A slow audio device begins later; the page doesn't wait for it.
    this.context.resume().catch(error => complain(new Error(`This browser can't play it (${error.message}).`)));
    if (!this.sources.length) this.start();
    const now = this.context.currentTime;
    for (const [name, gain] of Object.entries(this.gains)) gain.gain.setTargetAtTime(name === slot ? 1 : 0, now, FADE_S / 3);
    this.current = slot;
    heard.add(slot);
    for (const button of all('[data-slot]')) {
      button.classList.toggle('playing', button.dataset.slot === slot);
      button.classList.toggle('heard', heard.has(button.dataset.slot));
    }
    const slider = $(`[data-rating="${slot}"]`);
    if (slider) slider.focus();
    else if (document.activeElement) document.activeElement.blur();
    this.tell();
  },
  start() {
    const length = Math.min(...Object.values(this.buffers).map(buffer => buffer.duration));
    const begin = this.context.currentTime + 0.02;
    for (const [slot, buffer] of Object.entries(this.buffers)) {
      const node = new AudioBufferSourceNode(this.context, {buffer, loop: true, loopEnd: length});
      this.gains[slot] = new GainNode(this.context, {gain: 0});
      node.connect(this.gains[slot]).connect(this.context.destination);
      node.start(begin);
      this.sources.push(node);
    }
  },
  stop() {
    this.sources.forEach(node => node.stop());
    [this.sources, this.gains] = [[], {}];
    all('[data-slot]').forEach(button => button.classList.remove('playing'));
  },
  rate(slider) {
    const slot = slider.dataset.rating;
    const word = ['Bad', 'Poor', 'Fair', 'Good', 'Excellent'][Math.min(4, Math.floor(slider.value / 20))];
    this.rated.add(slot);
    slider.setAttribute('aria-valuetext', `${slider.value}, ${word}`);
    $(`[data-shown="${slot}"]`).textContent = slider.value;
    this.tell();
  },
  tell() {
    const slots = all('[data-rating]').map(slider => slider.dataset.rating);
    const unheard = [...slots, 'reference'].filter(slot => !heard.has(slot)).length;
    const unrated = slots.filter(slot => !this.rated.has(slot)).length;
    $('#next').disabled = Boolean(unheard || unrated);
    $('#hint').textContent = unheard ? `${unheard} sounds are not heard yet.` : unrated ? `${unrated} sounds are not rated yet.` : '';
  },
  async next() {
    this.stop();
    const ratings = Object.fromEntries(all('[data-rating]').map(slider => [slider.dataset.rating, Number(slider.value)]));
    await give(ratings, $('#next'), [$('#next')]);
  },
  key(event) {
    if (event.key === ' ') {
      event.preventDefault();
      return void (this.sources.length ? this.stop() : this.play(this.current || 'reference'));
    }
    if (event.key === 'Enter' && document.activeElement.tagName !== 'BUTTON') return void ($('#next').disabled || this.next());
    const button = $(`#trial [data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (button) this.play(button.dataset.slot);
  },
};

function finish() {
  stop();
  $('#thanks').textContent = `All ${done} answers of ${listener} are ${data.copy ? 'given' : 'stored; you can close this page'}.`;
  show('end');
}

$('#opening').addEventListener('submit', async event => {
  event.preventDefault();
  complain();
  try {
    const reply = await source.open($('#code').value);
    ({listener, steps, total} = reply);
    done = reply.done ?? total - steps.length;
  } catch (error) {
    return complain(error);
  }
  $('#code').blur();
  $('#who').textContent = listener;
  next = null;
  begin();
});

let sample = null;
$('#sample').addEventListener('click', () => {
  sample = sample || new Audio(source.sample());
  sample.currentTime = 0;
  sample.play().catch(error => complain(new Error(`This browser can't play sounds (${error.message}).`)));
});

all('[data-slot]').forEach(button => button.addEventListener('click', () => data.method === 'mushra' ? mushra.play(button.dataset.slot) : play(button.dataset.slot)));
all('[data-rating]').forEach(slider => slider.addEventListener('input', () => mushra.rate(slider)));
if ($('#next')) $('#next').addEventListener('click', () => mushra.next());
all('[data-answer]').forEach(button => button.addEventListener('click', () => answer(button)));
if ($('#save')) $('#save').addEventListener('click', () => inFile.save());

// A button that was clicked has the focus, so the space key would click it again instead of playing the sound.
document.addEventListener('click', event => {
  if (event.detail && data.method !== 'mushra' && event.target.closest('button')) event.target.closest('button').blur();
});

document.addEventListener('keydown', event => {
  if ($('#trial').hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (data.method === 'mushra') return mushra.key(event);
  if (event.key === ' ') {
    if (document.activeElement.tagName === 'BUTTON') return;
    event.preventDefault();
    return void play(last || all('[data-slot]')[0].dataset.slot);
  }
  const button = $(`#trial [data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  if (!button.disabled) return button.click();
  if (!busy) $('#hint').textContent = howToHear[data.method];
});
