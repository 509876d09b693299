"""The page with the sounds and pictures of each arm's best trial, side by side: one HTML file.

MLflow shows it in a frame that can't load anything, so that sounds and pictures are data URLs.
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
"""The most bytes of the page; if there are more clips than fit, it has the first ones and says so."""
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
        arm: the name of the arm.
        caption: the name of its best trial and its metrics.
        media: the folder with its sounds, pictures and `clips.json`.
        made_ns: the time of the folder's making, in nanoseconds.
    """

    arm: str
    caption: str
    media: Path
    made_ns: int


def write_page(path: Path, title: str, columns: Sequence[Column]) -> None:
    """Write the page, with a row for each clip, and columns for the original and each arm.

    Args:
        path: the HTML file.
        title: the title of the page.
        columns: the arms; the first one has the clips of the page.
    """
    clips = [json.loads((column.media / words.ARTIFACT_CLIPS).read_text())["clips"] for column in columns]
    tables: list[dict[str, Mapping[str, Any]]] = []
    for arm_clips in clips:
        tables.append({str(clip[words.CLIP_NAME]): clip for clip in arm_clips})
    rows: list[str] = []
    size = 0
    for name in (str(clip[words.CLIP_NAME]) for clip in clips[0]):
        row = _row(name, columns, [table.get(name, {}) for table in tables])
        size += len(row)
        if rows and size > MAX_BYTES:
            break
        rows.append(row)
    all_clips = f"{len(clips[0])} probe clips"
    count = f"{len(rows)} of {all_clips}" if len(rows) < len(clips[0]) else all_clips
    arms = "".join(
        f"<th>{html.escape(column.arm)} <kbd>{number}</kbd><small>{html.escape(column.caption)}</small></th>"
        for number, column in enumerate(columns, 1)
    )
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p>{count}, the best trial of each arm at its best epoch. While a clip plays, "
        "the keys <kbd>0</kbd> (original), <kbd>1</kbd>, <kbd>2</kbd> … go on in another column from there.</p>"
        f"<table style='min-width: {MIN_COLUMN_PX * (len(columns) + 2)}px'>"
        f"<thead><tr><th>clip</th><th>original <kbd>0</kbd></th>{arms}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><script>{SCRIPT}</script>"
    )


def _row(clip: str, columns: Sequence[Column], entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the row of a clip; `entries` has its entry in the `clips.json` of each column."""
    original = _audio_element(columns[0].media / f"{clip}_{words.ORIGINAL}.wav")
    cells = "".join(_cell(clip, column, entry) for column, entry in zip(columns, entries, strict=True))
    return f"<tr><th>{html.escape(clip)}</th><td>{original}</td>{cells}</tr>"


def _cell(clip: str, column: Column, entry: Mapping[str, Any]) -> str:
    """Return the cell of a clip in an arm's column: its sound, its pictures and its values."""
    stems = [entry[kind] for kind in (words.CLIP_SPECTROGRAM, words.CLIP_IMAGE) if kind in entry]
    pictures = [path for stem in stems if (path := column.media / f"{stem}.png").exists()]
    image = "".join(f"<img alt='{html.escape(path.stem)}' src='{_inline_picture(path)}'>" for path in pictures)
    path = column.media / f"{clip}_{words.RECONSTRUCTION}.wav"
    # A trainable that makes images has no sounds.
    sound = "" if pictures and not path.exists() else _audio_element(path)
    values = ", ".join(_format_value(key, value) for key, value in entry.items() if isinstance(value, float))
    return f"<td>{sound}{image}<small>{html.escape(values)}</small></td>"


def _format_value(name: str, value: float) -> str:
    name, unit = (name.removesuffix("_db"), " dB") if name.endswith("_db") else (name, "")
    return f"{words.label_of(name)} {value:.2f}{unit}"


def _audio_element(path: Path) -> str:
    return (
        f"<audio controls preload=metadata src='{_data_url(path, 'audio/wav')}'></audio>" if path.exists() else "none"
    )


def _inline_picture(path: Path) -> str:
    """Return a picture as a data URL, not wider than a column, because large ones would leave no space for sounds."""
    file = io.BytesIO()
    with Image.open(path) as picture:
        picture.thumbnail((PICTURE_PX, PICTURE_PX))
        picture.save(file, "WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
