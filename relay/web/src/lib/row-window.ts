/** Which rows of a long table are in the page: those near the window, so that thousands cost no more than dozens. Pure. */

export interface RowWindow {
  /** The first row that is drawn, and the one after the last. */
  readonly first: number;
  readonly end: number;
  /** Heights in CSS pixels of what is left out above and below. */
  readonly above: number;
  readonly below: number;
}

/** Rows that are drawn beyond each edge: a turn of the wheel shows no blank. */
const OVERSCAN_ROWS = 12;

/** Heights and distances in CSS pixels; `top` is how far the table's first row is above the window's upper edge. */
export interface Scrolled {
  readonly count: number;
  readonly rowHeight: number;
  readonly top: number;
  readonly height: number;
}

export function rowWindow({ count, rowHeight, top, height }: Scrolled): RowWindow {
  const clamp = (row: number) => Math.min(count, Math.max(0, row));
  const first = clamp(Math.floor(top / rowHeight) - OVERSCAN_ROWS);
  const end = Math.max(first, clamp(Math.ceil((top + height) / rowHeight) + OVERSCAN_ROWS));
  return { first, end, above: first * rowHeight, below: (count - end) * rowHeight };
}
