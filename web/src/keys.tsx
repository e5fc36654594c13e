import { Dialog } from "./ui";
import { t } from "./words";
import type { Word } from "./words/en";

const KEYS: [string[], Word][] = [
  [["Ctrl", "Enter"], "keys.paint"],
  [["Ctrl", "↑ ↓"], "keys.weight"],
  [["Esc"], "keys.escape"],
  [["← →"], "keys.strip"],
  [["␣"], "keys.compare"],
  [["E"], "keys.edit"],
  [["U"], "keys.upscale"],
  [["G"], "keys.gallery"],
  [["Q"], "keys.queue"],
  [["/"], "keys.search"],
  [["1 – 5"], "keys.rating"],
  [["␣", "Shift", "← →"], "keys.choose"],
  [["Del"], "keys.trash"],
  [["?"], "keys.help"],
];
const EDIT: [string[], Word][] = [
  [["B"], "edit.brush"],
  [["E"], "edit.eraser"],
  [["M"], "edit.box"],
  [["V"], "edit.move"],
  [["O"], "keys.frame"],
  [["[ ]"], "edit.size"],
  [["X"], "edit.invert"],
  [["0"], "edit.fit"],
  [["1"], "edit.full"],
  [["Ctrl", "Z"], "edit.undo"],
  [["Ctrl", "Shift", "Z"], "edit.redo"],
];

export function Keys({ close }: { close: () => void }) {
  return (
    <Dialog title={t("keys.title")} close={close}>
      <List keys={KEYS} />
      <h3>{t("keys.in.edit")}</h3>
      <List keys={EDIT} />
    </Dialog>
  );
}

function List({ keys }: { keys: [string[], Word][] }) {
  return (
    <dl class="keys">
      {keys.map(([names, word]) => (
        <div key={word} class="pair">
          <dt>{names.map((name) => <kbd key={name}>{name}</kbd>)}</dt>
          <dd>{t(word)}</dd>
        </div>
      ))}
    </dl>
  );
}
