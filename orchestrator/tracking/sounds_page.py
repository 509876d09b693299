"""The page on which the best trial of each arm is heard side by side: one HTML file that needs no other.

MLflow shows it in a frame that may neither fetch nor link to anything, so that sounds and pictures are inside it.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from reports import vocabulary as words

MAX_BYTES = 6_000_000
"""Of sounds and pictures; a page of more clips than fit shows the first ones, and says so."""
MIN_COLUMN_PX = 110
PICTURE_PX = 480

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 12px; color: #1f272d; background: #fff }
h1 { font-size: 17px; margin: 0 } p { margin: 4px 0 10px; color: #5f7281 }
th, td { padding: 6px 8px; text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #cbd3d9; z-index: 1 }
tbody tr + tr > * { border-top: 1px solid #e4e8eb }
small { display: block; font-weight: normal; color: #5f7281 }
table { border-collapse: collapse; width: 100%; max-width: 1400px; table-layout: fixed }
th { overflow-wrap: anywhere } thead th:first-child { width: 80px }
audio, img { display: block; width: 100% } audio { height: 32px } img { margin-top: 4px; image-rendering: pixelated }
td:has(audio.on) { background: #eaf3fb } kbd { border: 1px solid #cbd3d9; border-radius: 3px; padding: 0 4px }
"""

SCRIPT = """
let current = null;
const stop = sound => { sound.pause(); sound.classList.remove('on'); };
document.addEventListener('play', event => {
  if (current && current !== event.target) stop(current);
  current = event.target;
  current.classList.add('on');
}, true);
document.addEventListener('keydown', event => {
  const column = Number(event.key);
  if (event.key === ' ' || !Number.isInteger(column)) return;
  const row = (current || document.querySelector('audio')).closest('tr');
  const next = row.querySelectorAll('audio')[column];
  if (!next) return;
  next.currentTime = current && current.closest('tr') === row && !current.ended ? current.currentTime : 0;
  next.play();
});
"""


@dataclass(frozen=True)
class Column:
    """One arm on the page.

    Attributes:
        caption: the trial and its figures.
        media: its renderings: sounds, pictures and `clips.json`.
        made_ns: when they were made.
    """

    arm: str
    caption: str
    media: Path
    made_ns: int


def write_page(path: Path, title: str, columns: Sequence[Column]) -> None:
    """Write the page: a row a clip, the original first, then a column an arm."""
    clips = [json.loads((column.media / words.ARTIFACT_CLIPS).read_text())["clips"] for column in columns]
    rows: list[str] = []
    size = 0
    for clip in (str(row[words.CLIP_NAME]) for row in clips[0]):
        row = _row(
            clip,
            columns,
            [{str(clip_row[words.CLIP_NAME]): clip_row for clip_row in table}.get(clip, {}) for table in clips],
        )
        size += len(row)
        if rows and size > MAX_BYTES:
            break
        rows.append(row)
    shown = f"{len(rows)} of {len(clips[0])} probe clips" if len(rows) < len(clips[0]) else f"{len(rows)} probe clips"
    arms = "".join(
        f"<th>{html.escape(column.arm)} <kbd>{number}</kbd><small>{html.escape(column.caption)}</small></th>"
        for number, column in enumerate(columns, 1)
    )
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p>{shown}, the best trial of each arm at its best epoch. While a clip plays, "
        "the keys <kbd>0</kbd> (original), <kbd>1</kbd>, <kbd>2</kbd> … go on in another column from there.</p>"
        f"<table style='min-width: {MIN_COLUMN_PX * (len(columns) + 2)}px'>"
        f"<thead><tr><th>clip</th><th>original <kbd>0</kbd></th>{arms}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><script>{SCRIPT}</script>"
    )


def _row(clip: str, columns: Sequence[Column], facts: Sequence[Mapping[str, Any]]) -> str:
    original = _audio(columns[0].media / f"{clip}_{words.ORIGINAL}.wav")
    cells = "".join(_cell(clip, column, fact) for column, fact in zip(columns, facts, strict=True))
    return f"<tr><th>{html.escape(clip)}</th><td>{original}</td>{cells}</tr>"


def _cell(clip: str, column: Column, facts: Mapping[str, Any]) -> str:
    named = [facts[kind] for kind in (words.CLIP_SPECTROGRAM, words.CLIP_IMAGE) if kind in facts]
    pictures = [path for stem in named if (path := column.media / f"{stem}.png").exists()]
    image = "".join(f"<img alt='{html.escape(path.stem)}' src='{_small(path)}'>" for path in pictures)
    path = column.media / f"{clip}_{words.RECONSTRUCTION}.wav"
    # What makes images makes no sounds.
    sound = "" if pictures and not path.exists() else _audio(path)
    values = ", ".join(_in_words(key, value) for key, value in facts.items() if isinstance(value, float))
    return f"<td>{sound}{image}<small>{html.escape(values)}</small></td>"


def _in_words(name: str, value: float) -> str:
    name, unit = (name.removesuffix("_db"), " dB") if name.endswith("_db") else (name, "")
    return f"{words.label_of(name)} {value:.2f}{unit}"


def _audio(path: Path) -> str:
    return f"<audio controls preload=metadata src='{_inline(path, 'audio/wav')}'></audio>" if path.exists() else "none"


def _small(path: Path) -> str:
    """A picture as wide as columns are: large ones would leave no room for sounds."""
    file = io.BytesIO()
    with Image.open(path) as picture:
        picture.thumbnail((PICTURE_PX, PICTURE_PX))
        picture.save(file, "WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _inline(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
