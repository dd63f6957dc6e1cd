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
 * `lag_s`: how far the captions are behind, when the server says that they are; `unsent_s`: sound waiting here.
 */
export function describe({ state, reason, stood = true, code, message, lag_s = 0, unsent_s = 0, microphone = true }) {
  switch (state) {
    case "connecting":
      return { tone: "calm", text: "Connecting…" };
    case "open":
      if (lag_s >= 1) return { tone: "warn", text: `Captions are ${Math.round(lag_s)} s behind` };
      if (unsent_s >= 3) return { tone: "warn", text: `Catching up: ${Math.round(unsent_s)} s of sound to send` };
      return { tone: "good", text: microphone ? "Listening" : "Transcribing" };
    case "lost": {
      const kept = microphone ? " Your sound is kept." : "";
      if (!stood) return { tone: "bad", text: `No session yet${reason ? ` (${reason})` : ": the server does not answer"}. Trying again…${kept}` };
      return { tone: "bad", text: `Connection lost${reason ? ` (${reason})` : ""}. Trying again…${kept}` };
    }
    case "stopping":
      return { tone: "calm", text: "Writing the last words…" };
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
