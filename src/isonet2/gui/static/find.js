/**
 * Finding words in a terminal of the pages: xterm.js, of whose add-ons NiceGUI brings no search.
 *
 * What is written in the terminal is searched, as the person sees it: a line that the terminal has
 * broken into several rows counts as one. The hit that is shown is selected, and scrolled to.
 */

/** Lines of a terminal's buffer: the row that each begins in, and the texts of its rows. */
export function lines(buffer) {
  const found = [];
  for (let row = 0; row < buffer.length; row++) {
    const line = buffer.getLine(row);
    const goes_on = buffer.getLine(row + 1)?.isWrapped ?? false;
    const text = line.translateToString(!goes_on);
    if (line.isWrapped && found.length) found[found.length - 1].rows.push(text);
    else found.push({ row, rows: [text] });
  }
  return found;
}

/** All places of a text, letters of any case, as {row, index, length}; index counts in the row's text. */
export function hits(buffer, wanted) {
  const sought = wanted.toLowerCase();
  const found = [];
  if (!sought) return found;
  for (const { row, rows } of lines(buffer)) {
    const whole = rows.join("").toLowerCase();
    for (let at = whole.indexOf(sought); at >= 0; at = whole.indexOf(sought, at + sought.length)) {
      let part = 0, index = at;
      while (part < rows.length - 1 && index >= rows[part].length) index -= rows[part++].length;
      found.push({ row: row + part, index, length: sought.length });
    }
  }
  return found;
}

/** The column in which a letter of a row's text stands: letters of East Asia take two. */
export function column(line, index) {
  let x = 0;
  for (let letters = 0; letters < index && x < line.length; ) {
    const cell = line.getCell(x);
    letters += cell.getChars().length || 1;
    x += cell.getWidth() || 1;
  }
  return x;
}

/**
 * Show one hit of a text in a terminal.
 *
 * `number` counts from 0 and goes round; where the text is not there, nothing is selected. Returns
 * the number that is shown, and how many hits there are.
 */
export function find(terminal, wanted, number) {
  const buffer = terminal.buffer.active;
  const found = hits(buffer, wanted);
  if (!found.length) {
    terminal.clearSelection();
    return { number: 0, count: 0 };
  }
  const shown = ((number % found.length) + found.length) % found.length;
  const { row, index, length } = found[shown];
  const line = buffer.getLine(row);
  const first = column(line, index);
  const rest = Math.max(0, index + length - line.translateToString(false).length);
  terminal.select(first, row, column(line, index + length - rest) - first + rest);
  terminal.scrollToLine(Math.max(0, row - Math.floor(terminal.rows / 2)));
  return { number: shown, count: found.length };
}
