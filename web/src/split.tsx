/** Two pictures, one above the other, parted where the reader wants. */

import { useState } from "preact/hooks";
import { NO_FRAME, within, type Frame } from "./canvas";
import { t } from "./words";

/** The second has this size; the first fills it, less the frame that was painted around it. */
export function Split({ before, after, width, height, frame = NO_FRAME }: { before: string; after: string; width: number; height: number; frame?: Frame }) {
  const [at, set] = useState(50);
  return (
    <figure class="split fit" ref={(place) => void place?.style.setProperty("--at", `${at}%`)}>
      <img src={after} alt={t("edit.after.alt")} />
      <div class="over"><img src={before} alt={t("edit.before.alt")} ref={(place) => void (place && Object.assign(place.style, within({ width, height }, frame)))} /></div>
      <span class="seam" aria-hidden="true" />
      <input type="range" min={0} max={100} value={at} aria-label={t("edit.split")} onInput={(event) => set(Number(event.currentTarget.value))} />
    </figure>
  );
}
