/** Two pictures, one above the other, parted where the reader wants. */

import { useState } from "preact/hooks";
import { t } from "./words";

export function Split({ before, after, width, height }: { before: string; after: string; width: number; height: number }) {
  const [at, set] = useState(50);
  return (
    <figure class="split" ref={(place) => void place?.style.setProperty("--at", `${at}%`)}>
      <img src={after} alt={t("edit.after.alt")} width={width} height={height} />
      <img class="over" src={before} alt={t("edit.before.alt")} width={width} height={height} />
      <span class="seam" aria-hidden="true" />
      <input type="range" min={0} max={100} value={at} aria-label={t("edit.split")} onInput={(event) => set(Number(event.currentTarget.value))} />
    </figure>
  );
}
