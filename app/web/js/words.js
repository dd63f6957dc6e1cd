/** The state of a session in plain words. Pure. */

const FAILURES = {
  session_unknown: "The server no longer has this session. What you see is kept here; start again to go on.",
  session_elsewhere: "This session goes on in another tab.",
  max_duration: "The session has reached the longest time that this server allows.",
  idle_timeout: "The session ended because no sound came for a long time.",
  unauthorized: "The server did not accept this page.",
  sound_gone: "The connection was gone for too long to go on. What you see is kept here.",
  closed: "Ended.",
};

/**
 * {tone: "calm" | "good" | "warn" | "bad" | "done", text} for a state of the client.
 * `lag_s`: how far the captions are behind, when the server says that they are; `unsent_s`: sound waiting here;
 * `losing`, `lost_s`: whether sound finds no room here any more, and how much was lost so
 */
export function describe({ state, losing = false, lost_s = 0, ...rest }) {
  if (losing && (state === "open" || state === "lost" || state === "connecting")) {
    const why = state === "open" ? "The server takes sound too slowly" : "Connection lost for too long";
    return { tone: "bad", text: `${why}: what is said now is lost (${Math.round(lost_s)} s so far)` };
  }
  return described({ state, ...rest });
}

function described({ state, reason, stood = true, code, message, retry_in_s = 0, lag_s = 0, unsent_s = 0, microphone = true }) {
  switch (state) {
    case "connecting":
      return { tone: "calm", text: "Connecting…" };
    case "open":
      if (lag_s >= 1) return { tone: "warn", text: `Captions are ${Math.round(lag_s)} s behind` };
      if (unsent_s >= 3) return { tone: "warn", text: `Catching up: ${Math.round(unsent_s)} s of sound to send` };
      return { tone: "good", text: microphone ? "Listening" : "Transcribing" };
    case "lost": {
      const when = code && retry_in_s >= 1 ? `Trying again in ${Math.round(retry_in_s)} s.` : "Trying again…";
      const kept = `${when}${microphone ? " Your sound is kept." : ""}`;
      if (code === "overloaded") return { tone: "bad", text: `The server is full${reason ? ` (${reason})` : ""}. ${kept}` };
      if (code === "not_ready") return { tone: "bad", text: `The server is not ready${reason ? ` (${reason})` : ""}. ${kept}` };
      if (!stood) return { tone: "bad", text: `No session yet${reason ? ` (${reason})` : ": the server does not answer"}. ${kept}` };
      return { tone: "bad", text: `Connection lost${reason ? ` (${reason})` : ""}. ${kept}` };
    }
    case "stopping": {
      const left_s = Math.round(lag_s + unsent_s);
      return { tone: "calm", text: left_s >= 2 ? `Writing the last words: ${left_s} s of sound to go` : "Writing the last words…" };
    }
    case "done":
      return { tone: "done", text: "Finished" };
    case "failed":
      return { tone: "bad", text: FAILURES[code] ?? `Stopped: ${message || code}` };
    default:
      return { tone: "calm", text: "Ready" };
  }
}

/** The same for somebody who only watches. */
export function describeViewer({ state, message }) {
  if (state === "open") return { tone: "good", text: "Following live" };
  if (state === "failed") return { tone: "bad", text: message || "This link does not lead to a session any more." };
  if (state === "done") return { tone: "done", text: "The session has ended" };
  if (state === "lost") return { tone: "bad", text: "Connection lost. Trying again…" };
  return { tone: "calm", text: "Connecting…" };
}
