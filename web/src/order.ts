/** Places in the queue, which has priorities alone. */

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
