'use strict';
// Plays one sound at a time. Another sound of the same clip continues at the instant of the last one.
const STEP_S = 0.1;
const FADE_S = 0.008;
const CALM_STEP_S = 0.25;
const $ = selector => document.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const isCalm = matchMedia('(prefers-reduced-motion: reduce)');

let context = null;
let current = null;
// While a sound plays: its node and its gain, and where it began on the context's clock.
let voice = null;
let rest = 0;
let request = 0;

const clipOf = sound => sound.closest('.clip');
const secondsOf = sound => Number(sound.querySelector('input').max);
const gainOf = sound => $('#equal').checked ? Number(sound.dataset.gain) : 1;
const position = () => voice ? Math.min(voice.offset + context.currentTime - voice.began, secondsOf(current)) : rest;

function decode(sound) {
  if (!sound.decoded) {
    const bytes = Uint8Array.from(atob(sound.dataset.audio), character => character.charCodeAt(0));
    sound.decoded = context.decodeAudioData(bytes.buffer);
  }
  return sound.decoded;
}

function silence() {
  if (!voice) return;
  const {node, gain} = voice;
  voice = null;
  node.onended = null;
  gain.gain.setTargetAtTime(0, context.currentTime, FADE_S / 3);
  node.stop(context.currentTime + FADE_S * 2);
}

function pause(at = position()) {
  request += 1;
  silence();
  rest = at;
  show();
}

// Starts a sound at a second, or where the current one is when the sound is ready.
async function play(sound, at = null) {
  context = context || new AudioContext();
  context.resume();
  const own = ++request;
  // All sounds of the clip, so that switching between them needs no waiting.
  const [buffer] = await Promise.all([sound, ...all('.sound', clipOf(sound))].map(decode));
  if (own !== request) return;
  const isSameClip = current && clipOf(current) === clipOf(sound);
  let offset = at === null ? (isSameClip ? position() : 0) : at;
  if (offset >= buffer.duration) offset = 0;
  silence();
  const node = context.createBufferSource();
  const gain = context.createGain();
  node.buffer = buffer;
  gain.gain.setValueAtTime(0, context.currentTime);
  gain.gain.setTargetAtTime(gainOf(sound), context.currentTime, FADE_S / 3);
  node.connect(gain).connect(context.destination);
  node.start(0, offset);
  node.onended = () => pause(0);
  voice = {node, gain, offset, began: context.currentTime};
  choose(sound);
  requestAnimationFrame(move);
}

// Makes a sound the current one.
function choose(sound) {
  if (current && clipOf(current) !== clipOf(sound)) place(current, 0);
  current = sound;
  show();
}

function seek(sound, at) {
  if (voice && current === sound) {
    play(sound, at);
  } else if (!voice) {
    rest = at;
    choose(sound);
  }
}

// Puts the playheads of all sounds of a clip to one instant.
function place(sound, at) {
  for (const other of all('.sound', clipOf(sound))) {
    other.querySelector('input').value = at;
    other.style.setProperty('--at', Math.min(at / secondsOf(other), 1));
  }
}

function show() {
  for (const sound of all('.sound')) {
    const isOn = sound === current;
    sound.classList.toggle('on', isOn);
    sound.querySelector('button').setAttribute('aria-pressed', String(isOn && voice !== null));
  }
  for (const clip of all('.clip')) clip.classList.toggle('at', current !== null && clipOf(current) === clip);
  if (current) place(current, position());
}

function move() {
  if (!voice) return;
  const at = position();
  place(current, isCalm.matches ? Math.floor(at / CALM_STEP_S) * CALM_STEP_S : at);
  requestAnimationFrame(move);
}

document.addEventListener('click', event => {
  const button = event.target.closest('.sound button');
  if (!button) return;
  const sound = button.closest('.sound');
  if (voice && current === sound) pause();
  else play(sound);
});
document.addEventListener('input', event => {
  const sound = event.target.closest('.sound');
  if (sound) seek(sound, Number(event.target.value));
});
document.addEventListener('pointerup', event => {
  const slider = event.target.closest('.sound input');
  if (slider) play(slider.closest('.sound'), Number(slider.value));
});
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const slider = event.target.closest('.sound input');
  if (slider && (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) {
    event.preventDefault();
    const at = Number(slider.value) + (event.key === 'ArrowLeft' ? -STEP_S : STEP_S);
    const sound = slider.closest('.sound');
    seek(sound, Math.min(Math.max(at, 0), secondsOf(sound)));
  } else if (event.key === ' ' && current && !event.target.closest('button, select, input[type=checkbox]')) {
    event.preventDefault();
    if (voice) pause();
    else play(slider ? slider.closest('.sound') : current);
  } else if (/^[0-9]$/.test(event.key) && !event.target.closest('select')) {
    const clip = current ? clipOf(current) : $('.clip');
    const next = clip && clip.querySelector(`.sound[data-key="${event.key}"]`);
    if (!next) return;
    next.closest('td').scrollIntoView({block: 'nearest', inline: 'nearest'});
    // A focus that stayed behind would give the next space to another sound.
    next.querySelector(slider ? 'input' : 'button').focus({preventScroll: true});
    play(next);
  }
});

$('#equal').addEventListener('change', () => {
  document.body.classList.toggle('equal', $('#equal').checked);
  if (voice) voice.gain.gain.setTargetAtTime(gainOf(current), context.currentTime, FADE_S);
});
document.body.classList.toggle('equal', $('#equal').checked);

const order = $('#order');
if (order) {
  order.addEventListener('change', () => {
    const metric = order.value;
    const spread = clip => JSON.parse(clip.dataset.spreads)[metric] ?? 0;
    const byName = (one, other) => one.dataset.name < other.dataset.name ? -1 : 1;
    const sorted = all('.clip').sort((one, other) => (metric && spread(other) - spread(one)) || byName(one, other));
    $('table').append(...sorted);
    for (const text of all('[data-metric]')) text.hidden = text.dataset.metric !== (metric || order.options[0].value);
  });
}
