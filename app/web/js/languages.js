/** The languages that can be asked for: [code, name in the reader's own language], sorted by name. */

// prettier-ignore
export const CODES = [
  "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da", "de", "el", "en",
  "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi", "hr", "ht", "hu", "hy", "id", "is",
  "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb", "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn",
  "mr", "ms", "mt", "my", "ne", "nl", "nn", "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk",
  "sl", "sn", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz",
  "vi", "yi", "yo", "yue", "zh",
];

// Whisper's codes that the standard writes otherwise.
const STANDARD = { jw: "jv" };

// Languages that browsers often have no name for.
const RARE = { ba: "Bashkir", bo: "Tibetan" };

const names = new Intl.DisplayNames([...(globalThis.navigator?.languages ?? []), "en"], { type: "language", fallback: "none" });

export const LANGUAGES = CODES.map((code) => [code, names.of(STANDARD[code] ?? code) ?? RARE[code] ?? code]).sort((a, b) => a[1].localeCompare(b[1]));
