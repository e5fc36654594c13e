/** Who is made from whom, laid out: a column a generation, parents before their children. */

export type Edge = [parent: string, child: string];
export interface Spot {
  id: string;
  column: number;
  row: number;
}

/** Where each stands: one column after the last of its parents, in each column those nearest to their parents first. */
export function laid(ids: string[], edges: Edge[]): Spot[] {
  const parents = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const [parent, child] of edges) if (parents.has(parent) && parents.has(child) && parent !== child) parents.get(child)!.push(parent);
  const column = new Map<string, number>();
  const place = (id: string, above: ReadonlySet<string>): number => {
    const known = column.get(id);
    if (known !== undefined) return known;
    const older = parents.get(id)!.filter((each) => !above.has(each)); // a circle is no descent
    const found = older.length ? 1 + Math.max(...older.map((each) => place(each, new Set([...above, id])))) : 0;
    column.set(id, found);
    return found;
  };
  for (const id of ids) place(id, new Set());
  const rows = new Map<string, number>();
  const spots: Spot[] = [];
  for (let now = 0; now <= Math.max(0, ...column.values()); now++) {
    const here = ids.filter((id) => column.get(id) === now);
    const middle = (id: string) => {
      const older = parents.get(id)!.map((each) => rows.get(each) ?? 0);
      return older.length ? older.reduce((a, b) => a + b, 0) / older.length : 0;
    };
    here.sort((a, b) => middle(a) - middle(b)).forEach((id, row) => {
      rows.set(id, row);
      spots.push({ id, column: now, row });
    });
  }
  return spots;
}
