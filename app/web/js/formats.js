/** A transcript -> the files that the page offers: txt, vtt, and the project's JSON (schema version 1). Pure. */

const CUE_CHARACTERS = 84;
const CUE_S = 7;
/** Pieces of one speech, as they became final, are one paragraph or one row of cues again: without such a pause, up to so long. */
const PAUSE_S = 0.5;
const PARAGRAPH_S = 20;

export const FORMATS = {
  txt: { type: "text/plain", render: toTxt },
  vtt: { type: "text/vtt", render: toVtt },
  json: { type: "application/json", render: toJson },
};

const oneLine = (text) => text.replace(/[\p{Cc}\s]+/gu, " ").trim();
const milliseconds = (time_s) => Math.round(time_s * 1000);
const shown = (transcript, speaker) => oneLine(transcript.name(speaker)) || `Speaker ${speaker + 1}`;

/** Lines like `[0:00:04.2 - 0:00:07.9] Maya: Shall we start?`. */
export function toTxt(transcript) {
  return joined(transcript.finals)
    .filter((segment) => oneLine(segment.text))
    .map((segment) => {
      const times = `[${shortClock(segment.start)} - ${shortClock(segment.end)}]`;
      return `${times} ${shown(transcript, segment.speaker)}: ${oneLine(segment.text)}\n`;
    })
    .join("");
}

/** WebVTT with a voice span per cue; cues of people who talk at once overlap. */
export function toVtt(transcript) {
  const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const cues = joined(transcript.finals).flatMap(cuesOf).sort((a, b) => a.start - b.start);
  const blocks = cues.map((cue) => {
    const end = Math.max(milliseconds(cue.end), milliseconds(cue.start) + 1) / 1000;
    const name = escape(shown(transcript, cue.speaker));
    return `\n${vttClock(cue.start)} --> ${vttClock(end)}\n<v ${name}>${escape(oneLine(cue.text))}</v>\n`;
  });
  return `WEBVTT\n${blocks.join("")}`;
}

/** The shape that `crosstalk` itself writes and reads. */
export function toJson(transcript, { language = null, warnings = [] } = {}) {
  const round = (time_s) => milliseconds(time_s) / 1000;
  const finals = transcript.finals;
  const end = finals.reduce((latest, segment) => Math.max(latest, segment.end), transcript.duration_s);
  const ids = new Set([...finals.map((segment) => segment.speaker), ...transcript.names.keys()]);
  const speakers = [...ids].sort((a, b) => a - b);
  const value = {
    schema_version: 1,
    duration_s: round(end),
    language,
    warnings,
    speakers: speakers.map((id) => ({ id, name: transcript.name(id), named: Boolean(transcript.names.get(id)) })),
    segments: finals.map((segment) => ({
      id: segment.id,
      speaker: segment.speaker,
      speaker_name: transcript.name(segment.speaker),
      start_s: round(segment.start),
      end_s: round(segment.end),
      text: segment.text,
      overlaps_with: overlapping(finals, segment),
      flags: [...segment.flags].sort(),
      words: segment.words.map((word) => ({
        text: word.text,
        start_s: round(word.start),
        end_s: round(word.end),
        confidence: Math.round(word.confidence * 1000) / 1000,
      })),
    })),
    turns: finals.map((segment) => ({
      speaker: segment.speaker,
      start_s: round(segment.start),
      end_s: round(segment.end),
    })),
  };
  return `${JSON.stringify(value, null, 1)}\n`;
}

function joined(finals) {
  const last = new Map();
  const found = [];
  for (const segment of finals) {
    const before = last.get(segment.speaker);
    if (before && segment.start - before.end < PAUSE_S && segment.end - before.start <= PARAGRAPH_S) {
      before.text = `${before.text} ${segment.text}`;
      before.words = [...before.words, ...segment.words];
      before.end = Math.max(before.end, segment.end);
    } else {
      const copy = { ...segment };
      last.set(segment.speaker, copy);
      found.push(copy);
    }
  }
  return found;
}

function overlapping(finals, segment) {
  const shares = (other) => Math.min(other.end, segment.end) - Math.max(other.start, segment.start) >= 0.001;
  return finals.filter((other) => other.speaker !== segment.speaker && shares(other)).map((other) => other.id);
}

function cuesOf(segment) {
  const cues = [];
  for (const word of segment.words) {
    const last = cues.at(-1);
    const text = last ? `${last.text} ${word.text}` : word.text;
    if (last && text.length <= CUE_CHARACTERS && word.end - last.start <= CUE_S) {
      last.text = text;
      last.end = word.end;
    } else cues.push({ speaker: segment.speaker, start: word.start, end: word.end, text: word.text });
  }
  return cues;
}

function shortClock(time_s) {
  const tenths = Math.round(time_s * 10);
  return `${clockOf(Math.floor(tenths / 10), 1)}.${tenths % 10}`;
}

function vttClock(time_s) {
  const ms = milliseconds(time_s);
  return `${clockOf(Math.floor(ms / 1000), 2)}.${String(ms % 1000).padStart(3, "0")}`;
}

function clockOf(total, hourDigits) {
  const two = (value) => String(value).padStart(2, "0");
  const hours = String(Math.floor(total / 3600)).padStart(hourDigits, "0");
  return `${hours}:${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
}
