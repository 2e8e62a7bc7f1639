// Finding in a terminal, with a stand-in that breaks lines as xterm.js does. Run by `node --test tests/js`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../src/isonet2/gui/static/find.js", import.meta.url), "utf8");
const { find, hits, column } = await import(
  `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`
);

const WIDTH = 10;
const wide = (letter) => letter > "\u2e80";

/** A row of cells with its text, padded with blanks to the terminal's width. */
function row(text, isWrapped) {
  const cells = [...text].flatMap((one) => (wide(one) ? [[one, 2], ["", 0]] : [[one, 1]]));
  while (cells.length < WIDTH) cells.push(["", 1]);
  return {
    isWrapped,
    length: WIDTH,
    getCell: (x) => ({ getChars: () => cells[x][0], getWidth: () => cells[x][1] }),
    translateToString: (trimmed) => {
      const whole = cells.filter(([, width]) => width).map(([one]) => one || " ").join("");
      return trimmed ? whole.trimEnd() : whole;
    },
  };
}

function terminal(...texts) {
  const rows = texts.flatMap((text) =>
    (text.match(/.{1,10}/g) ?? [""]).map((part, number) => row(part, number > 0)),
  );
  const done = { selected: null, scrolled: null };
  return {
    done,
    rows: 4,
    buffer: { active: { length: rows.length, getLine: (y) => rows[y] } },
    clearSelection: () => { done.selected = null; },
    select: (...where) => { done.selected = where; },
    scrollToLine: (y) => { done.scrolled = y; },
  };
}

test("every place is found, whatever the case", () => {
  const { buffer } = terminal("Loss loss", "", "no", "LOSS");
  assert.deepEqual(hits(buffer.active, "loss"), [
    { row: 0, index: 0, length: 4 },
    { row: 0, index: 5, length: 4 },
    { row: 3, index: 0, length: 4 },
  ]);
  assert.deepEqual(hits(buffer.active, ""), []);
  assert.deepEqual(hits(buffer.active, "l.ss"), []);
});

test("a word that the terminal has broken is one", () => {
  const one = terminal("1234567 memory is out", "memory");
  assert.deepEqual(find(one, "memory", 0), { number: 0, count: 2 });
  assert.deepEqual(one.done.selected, [8, 0, 6]);
  find(one, "out", 0);
  assert.deepEqual(one.done.selected, [8, 1, 3]);
});

test("next and previous go round, and the hit stands in the middle", () => {
  const one = terminal(...Array.from({ length: 40 }, (_, at) => (at % 10 ? "-" : "epoch")));
  assert.deepEqual(find(one, "epoch", 3), { number: 3, count: 4 });
  assert.deepEqual(one.done, { selected: [0, 30, 5], scrolled: 28 });
  assert.equal(find(one, "epoch", 4).number, 0);
  assert.equal(find(one, "epoch", -1).number, 3);
  assert.deepEqual(find(one, "gone", 2), { number: 0, count: 0 });
  assert.equal(one.done.selected, null);
});

test("letters that take two columns move the selection, and lengthen it", () => {
  const one = terminal("断层 ab");
  assert.equal(column(one.buffer.active.getLine(0), 2), 4);
  find(one, "ab", 0);
  assert.deepEqual(one.done.selected, [5, 0, 2]);
  find(one, "断层", 0);
  assert.deepEqual(one.done.selected, [0, 0, 4]);
});
