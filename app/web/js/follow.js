/** Keeps the newest caption in sight, until the reader scrolls away; `onAway(bool)` says which. */
export class Follow {
  constructor(scroller, onAway) {
    this._scroller = scroller;
    this._onAway = onAway;
    this.following = true;
    this._last = 0;
    scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
  }

  /** Call after the transcript has grown. */
  grown() {
    if (this._wentUp && !this._atEnd) this._set(false); // the browser tells of it only with the next frame
    if (this.following) this._scroller.scrollTop = this._scroller.scrollHeight;
    this._last = this._scroller.scrollTop;
  }

  /** Back to the newest caption. */
  now() {
    this._set(true);
    this._last = this._scroller.scrollTop;
    this.grown();
  }

  /** Shows an element and stays there. */
  show(element) {
    this._set(false);
    element.scrollIntoView({ block: "center" });
    this._last = this._scroller.scrollTop;
  }

  get _atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  get _wentUp() {
    return this._scroller.scrollTop < this._last - 2;
  }

  _scrolled() {
    if (this._atEnd) this._set(true);
    else if (this._wentUp) this._set(false);
    this._last = this._scroller.scrollTop;
  }

  _set(following) {
    if (this.following === following) return;
    this.following = following;
    this._onAway(!following);
  }
}
