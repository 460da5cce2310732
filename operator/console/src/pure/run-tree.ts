/** The nodes of a run as a tree. Pure. */
import type { RunNode } from "./shapes.ts";

export interface TreeRow {
  node: RunNode;
  /** From 1. */
  level: number;
  isParent: boolean;
}

/** The nodes in the order of a tree: each below the one that it ran in, and among its like as they began. `closed`: those whose own are left out. */
export function treeOf(nodes: readonly RunNode[], closed: ReadonlySet<string>): TreeRow[] {
  const known = new Set(nodes.map((node) => node.span_id));
  const inside = Map.groupBy(nodes, ({ parent_id }) => (parent_id !== null && known.has(parent_id) ? parent_id : ""));
  const rows: TreeRow[] = [];
  const seen = new Set<string>();
  const add = (of: string, level: number) => {
    const own = [...(inside.get(of) ?? [])].sort((one, other) => one.offset_ms - other.offset_ms);
    for (const node of own) {
      if (seen.has(node.span_id)) continue;
      seen.add(node.span_id);
      rows.push({ node, level, isParent: inside.has(node.span_id) });
      if (!closed.has(node.span_id)) add(node.span_id, level + 1);
    }
  };
  add("", 1);
  return rows;
}
