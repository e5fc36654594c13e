import { expect, it } from "vitest";
import { latest, priorities } from "../src/order";

it("changes no more than it must", () => {
  expect(priorities([["c", 0], ["a", 0], ["b", -1]], 100)).toEqual([["c", 1]]);
  expect(priorities([["a", 5], ["b", 3]], 100)).toEqual([]);
  expect(priorities([["b", 0], ["a", 7]], 100)).toEqual([["b", 8]]);
});

it("makes every one higher than the next", () => {
  const order: [string, number][] = [["a", 0], ["b", 0], ["c", 0], ["d", 0]];
  const made = new Map([...order, ...priorities(order, 100)]);
  expect([...made.values()]).toEqual([3, 2, 1, 0]);
});

it("stays within what a priority may be", () => expect(priorities([["a", 0], ["b", 100]], 100)).toEqual([["a", 100]]));

it("keeps what was asked for last, whichever answer comes first", () => {
  const [queued, done] = [{ id: "a", state: "queued", asked: 1 }, { id: "a", state: "done", asked: 2 }];
  expect(latest(latest({}, [queued]), [done])).toEqual({ a: done });
  expect(latest(latest({}, [done]), [queued])).toEqual({ a: done });
});
