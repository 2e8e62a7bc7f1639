// The viewer's functions of numbers alone, against drawn answers. Run by `node --test tests/js`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(new URL("../../src/isonet2/gui/static/viewer.js", import.meta.url), "utf8");
const viewer = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);

const even = viewer.cumulative(new Array(256).fill(4));

test("a level of an even histogram is its percentage, there and back", () => {
  for (const percent of [0, 0.5, 25, 50, 99.5, 100]) {
    assert.ok(Math.abs(viewer.levelAt(even, percent) - 2.56 * percent) < 1e-9);
    assert.ok(Math.abs(viewer.percentAt(even, 2.56 * percent) - percent) < 1e-9);
  }
});

test("levels lie where the voxels are", () => {
  const counts = new Array(256).fill(0);
  counts[10] = 50;
  counts[200] = 50;
  const below = viewer.cumulative(counts);
  assert.equal(viewer.levelAt(below, 25), 10.5);
  assert.equal(viewer.levelAt(below, 75), 200.5);
  assert.equal(viewer.percentAt(below, 100), 50);
});

test("an empty histogram gives levels within the bytes", () => {
  const below = viewer.cumulative(new Array(256).fill(0));
  for (const percent of [0, 0.5, 50, 99.5, 100]) {
    const level = viewer.levelAt(below, percent);
    assert.ok(level >= 0 && level <= 256);
  }
});

test("a window on another volume cuts off the same percentages", () => {
  const counts = new Array(256).fill(0);
  for (let i = 100; i < 200; i += 1) counts[i] = 1;
  const narrow = viewer.cumulative(counts);
  const [low, high] = viewer.matchWindow(even, [25.6, 230.4], narrow);
  assert.ok(Math.abs(low - 110) < 1e-6);
  assert.ok(Math.abs(high - 190) < 1e-6);
  assert.deepEqual(viewer.matchWindow(even, [0, 256], narrow), [0, 256]);
});

test("greys run from black to white between two levels, or back", () => {
  const table = viewer.greys(64, 192);
  assert.equal(table[0], 0xff000000);
  assert.equal(table[255], 0xffffffff);
  assert.equal(table[127] & 0xff, Math.round((255 * 63.5) / 128));
  assert.equal(viewer.greys(64, 192, true)[0], 0xffffffff);
});

test("the lowest row of bytes is painted last", () => {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => byte);
  const pixels = new Uint32Array(6);
  viewer.paint([1, 2, 3, 4, 5, 6], 2, 3, table, pixels);
  assert.deepEqual([...pixels], [4, 5, 6, 1, 2, 3]);
});

test("a mask is tinted, with a line along its border", () => {
  const rows = 5;
  const bytes = new Uint8Array(25);
  for (const y of [1, 2, 3]) for (const x of [1, 2, 3]) bytes[y * rows + x] = 255;
  bytes[0] = 127;
  const pixels = new Uint32Array(25);
  viewer.paintMask(bytes, rows, rows, 1, 2, pixels);
  assert.deepEqual([...pixels], [0, 0, 0, 0, 0, 0, 2, 2, 2, 0, 0, 2, 1, 2, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0]);
});

test("places in a binned volume are those of the whole one", () => {
  assert.deepEqual([0, 1, 2, 3, 4].map((i) => viewer.sameIndex(i, 5, 3)), [0, 0, 1, 2, 2]);
  assert.equal(viewer.sameIndex(7, 10, 10), 7);
  assert.equal(viewer.sameIndex(9, 10, 20), 19);
});

test("a binned volume is the same body, a cropped or turned one is not", () => {
  assert.ok(viewer.sameBody([101, 200, 300], [51, 100, 150]));
  assert.ok(viewer.sameBody([101, 200, 300], [101, 200, 300]));
  assert.ok(!viewer.sameBody([101, 200, 300], [80, 200, 300]));
  assert.ok(!viewer.sameBody([101, 200, 300], [200, 101, 300]));
});

for (const [shape, width, height] of [[[512, 720, 720], 800, 700], [[64, 960, 928], 900, 600], [[100, 4096, 512], 500, 900]]) {
  test(`panels of ${shape} share axes and stay inside ${width} x ${height}`, () => {
    const { scale, panels: { x, y, z, power } } = viewer.arrange(shape, width, height);
    assert.equal(z.x, y.x);
    assert.equal(z.width, y.width);
    assert.equal(z.y, x.y);
    assert.equal(z.height, x.height);
    assert.equal(power.width, power.height);
    assert.equal(power.width, x.width);
    assert.ok(Math.abs(z.width - shape[2] * scale) < 1e-6);
    assert.ok(Math.abs(z.height - shape[1] * scale) < 1e-6);
    assert.ok(y.height >= shape[0] * scale - 1e-6);
    for (const box of [x, y, z, power]) {
      assert.ok(box.x >= -1e-6 && box.y >= -1e-6);
      assert.ok(box.x + box.width <= width + 1e-6 && box.y + box.height <= height + 1e-6);
    }
    const both = Math.min(width - x.x - x.width + z.x, height - z.y - z.height + y.y);
    assert.ok(both < 1e-6, "one of the two directions is filled");
  });
}

test("an enlarged panel takes the room that there is, and no more", () => {
  const { panels } = viewer.arrange([128, 320, 300], 1200, 700, "all", 30);
  assert.ok(Math.abs(panels.x.x + panels.x.width - 1200) < 1e-6);
  assert.ok(Math.abs(panels.z.y + panels.z.height - 700) < 1e-6);
});

test("one panel alone fills the canvas", () => {
  const { scale, panels } = viewer.arrange([100, 200, 400], 800, 600, "x");
  assert.deepEqual(panels, { x: { x: 0, y: 0, width: 800, height: 600 } });
  assert.equal(scale, 3);
});

test("pixels and voxels are inverse", () => {
  for (const voxel of [0, 3.5, 200]) {
    assert.ok(Math.abs(viewer.toVoxel(viewer.toPixel(voxel, 100, 1.7, 640), 100, 1.7, 640) - voxel) < 1e-9);
  }
  assert.equal(viewer.toPixel(100, 100, 3, 640), 320);
});

test("scale bars are round, fit, and have a unit that people read", () => {
  assert.deepEqual(viewer.scaleBar(1, 1, 199), { pixels: 100, label: "100 nm" });
  assert.deepEqual(viewer.scaleBar(1, 1, 200), { pixels: 200, label: "200 nm" });
  assert.equal(viewer.scaleBar(30, 1, 180).label, "5 µm");
  assert.equal(viewer.scaleBar(0.003, 1, 180).label, "5 Å");
  assert.deepEqual(viewer.scaleBar(0, 2, 180), { pixels: 100, label: "50 voxels" });
  for (const nm of [0.013, 0.37, 2.9]) {
    const { pixels } = viewer.scaleBar(nm, 1, 200);
    assert.ok(pixels <= 200 && pixels >= 75);
  }
});

test("the missing wedge is what no sector measures, Friedel mates included", () => {
  assert.deepEqual(viewer.wedgeOf([[-60, 60]]), { lines: [-60, 60], missing: [[60, 120]] });
  assert.deepEqual(viewer.wedgeOf([[10, 60], [-50, -10]]).missing, [[-10, 10], [60, 130]]);
  assert.deepEqual(viewer.wedgeOf([[-90, 90]]), { lines: [], missing: [] });
  assert.deepEqual(viewer.wedgeOf([]), { lines: [], missing: [] });
});

test("a ray leaves the square at its edge", () => {
  const [x, y] = viewer.edgeOfSquare(60);
  assert.ok(Math.abs(y - 1) < 1e-9);
  assert.ok(Math.abs(x - 1 / Math.sqrt(3)) < 1e-9);
  const [u, v] = viewer.edgeOfSquare(-45);
  assert.ok(Math.abs(u - 1) < 1e-9 && Math.abs(v + 1) < 1e-9);
});

test("slices are binned where the line is slow or the screen coarse", () => {
  assert.equal(viewer.binning(500_000, 1e5, 60, 1), 1);
  assert.equal(viewer.binning(500_000, 2500, 60, 1), 2);
  assert.equal(viewer.binning(500_000, 100, 60, 1), 4);
  assert.equal(viewer.binning(500_000, 100, Infinity, 1), 1);
  assert.equal(viewer.binning(16e6, 1e5, Infinity, 0.25), 4);
});

test("slices ahead lie in the volume", () => {
  assert.deepEqual(viewer.ahead(5, 1, 10), [6, 7, 4]);
  assert.deepEqual(viewer.ahead(9, 1, 10), [8]);
  assert.deepEqual(viewer.ahead(1, -1, 10), [0, 2]);
});

test("values and names are short", () => {
  assert.equal(viewer.short(0), "0");
  assert.equal(viewer.short(200), "200");
  assert.equal(viewer.short(0.123456), "0.1235");
  assert.equal(viewer.short(-1.5e7), "-1.50e+7");
  assert.equal(viewer.pictureName("TS 01/é<b>.rec.mrc", "z12"), "TS_01_é_b_.rec_z12.png");
  assert.equal(viewer.fill("{a} of {b}, {c}", { a: 1, b: 2 }), "1 of 2, {c}");
});

test("the cache stays within its size and forgets what was not asked for", () => {
  const cache = new viewer.Cache(100);
  cache.put("a", 1, 40);
  cache.put("b", 2, 40);
  cache.get("a");
  cache.put("c", 3, 40);
  assert.equal(cache.get("b"), undefined);
  assert.equal(cache.get("a"), 1);
  assert.equal(cache.size, 80);
  cache.put("d", 4, 500);
  assert.equal(cache.get("d"), 4, "even one that is larger is kept while it is the newest");
  assert.equal(cache.size, 500);
  cache.put("a", 5, 10);
  assert.equal(cache.size, 10);
});

test("of wishes that come while one is served only the newest is served next", async () => {
  const served = [];
  let release;
  const latest = new viewer.Latest((wish) => {
    served.push(wish);
    return new Promise((resolve) => { release = resolve; });
  });
  for (const wish of [1, 2, 3, 4]) latest.want("z", wish);
  assert.deepEqual(served, [1]);
  release();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(served, [1, 4]);
  assert.equal(latest.dropped, 2);
  latest.want("y", 9);
  assert.deepEqual(served, [1, 4, 9]);
  assert.ok(!latest.idle);
});

test("a film is planned by its slices, its longer edge and its rate", () => {
  const wish = { kind: "slices", axis: "z", first: 1, last: 100, step: 3, rate: 10, edge: 400 };
  assert.deepEqual(viewer.filmPlan(wish, [200, 100]), {
    frames: 34, width: 400, height: 200, seconds: 3.4, bytes: 0.75 * 34 * 400 * 200,
  });
  assert.equal(viewer.filmPlan({ ...wish, first: 100, last: 1 }, [200, 100]).frames, 34);
  const beside = viewer.filmPlan({ ...wish, kind: "beside" }, [100, 200]);
  assert.deepEqual([beside.width, beside.height], [400, 400]);
  assert.equal(viewer.filmPlan({ ...wish, kind: "border" }, [1, 1]).seconds, 4);
  assert.equal(viewer.megabytes(2_340_000), "2.3 MB");
  assert.equal(viewer.megabytes(23_400_000), "23 MB");
});
