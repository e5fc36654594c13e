/** All that a picture descends from and that descends from it, as a tree to walk in. */

import { useEffect, useState } from "preact/hooks";
import { api } from "./api";
import { open, opened, type Piece } from "./gallery";
import { laid, type Edge } from "./lineage";
import { explain } from "./state";
import { Dialog, Empty, Skeleton } from "./ui";
import { t, taskTitle } from "./words";

const [WIDE, TALL, SIDE] = [144, 128, 96];

const inSight = (place: HTMLElement | null) => place?.scrollIntoView({ block: "nearest", inline: "center" });

export function Family({ id, close }: { id: string; close: () => void }) {
  const [found, set] = useState<{ pictures: Piece[]; edges: Edge[] } | null>(null);
  useEffect(() => void api.get<{ pictures: Piece[]; edges: Edge[] }>(`/api/v1/gallery/${id}/lineage`).then(set, explain), [id]);
  const spots = found ? laid(found.pictures.map((each) => each.id), found.edges) : [];
  const at = new Map(spots.map((spot) => [spot.id, spot]));
  const width = WIDE * Math.max(0, ...spots.map((spot) => spot.column)) + SIDE;
  const height = TALL * (1 + Math.max(0, ...spots.map((spot) => spot.row)));
  return (
    <Dialog title={t("lineage")} close={close} wide>
      {!found ? <Skeleton rows={3} tall /> : found.pictures.length < 2 ? <Empty title={t("lineage.none")}><p>{t("lineage.none.help")}</p></Empty> : (
        <div class="family" tabIndex={0} role="group" aria-label={t("lineage")}>
          <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
            {found.edges.map(([parent, child]) => {
              const [a, b] = [at.get(parent), at.get(child)];
              if (!a || !b) return null;
              const [x1, y1, x2, y2] = [a.column * WIDE + SIDE, a.row * TALL + SIDE / 2, b.column * WIDE, b.row * TALL + SIDE / 2];
              return <path key={`${parent}${child}`} d={`M${x1} ${y1} C${x1 + 40} ${y1} ${x2 - 40} ${y2} ${x2} ${y2}`} aria-hidden="true" />;
            })}
            {found.pictures.map((piece) => {
              const { column, row } = at.get(piece.id)!;
              return (
                <foreignObject key={piece.id} x={column * WIDE} y={row * TALL} width={SIDE} height={TALL}>
                  <button type="button" aria-current={piece.id === (opened.value?.id ?? id)} ref={piece.id === id ? inSight : undefined} aria-label={t("picture.alt", { task: taskTitle(piece.task), prompt: piece.prompt || t("job.nowords") })} onClick={() => void open(piece.id)}>
                    <img src={piece.thumbnail} alt="" />
                    <span>{piece.task ? taskTitle(piece.task) : piece.tool}</span>
                  </button>
                </foreignObject>
              );
            })}
          </svg>
        </div>
      )}
    </Dialog>
  );
}
