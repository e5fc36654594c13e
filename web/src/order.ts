/** Places in the queue, which has priorities alone, and the order of what is told of it. */

/** The priorities that put jobs into this order, of those that have to change, as few as can be from the end. */
export function priorities(order: [id: string, priority: number][], most: number): [id: string, priority: number][] {
  const changed: [string, number][] = [];
  let below = -most - 1;
  for (const [id, priority] of [...order].reverse()) {
    const next = priority > below ? priority : Math.min(most, below + 1);
    if (next !== priority) changed.push([id, next]);
    below = next;
  }
  return changed;
}

/** What is known with what was found, but for what was asked for earlier than the former: answers come in any order. */
export function latest<T extends { id: string; asked: number }>(known: Record<string, T>, found: T[]): Record<string, T> {
  const next = { ...known };
  for (const each of found) if (each.asked >= (next[each.id]?.asked ?? 0)) next[each.id] = each;
  return next;
}
