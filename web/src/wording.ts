/** A prompt from what a model knows: its captions are lists, the kind first and a colour before its thing. */

/** Kind of picture -> attribute -> what it may be. */
export type About = Record<string, Record<string, string[]>>;
export type Chosen = Record<string, string>;

export const SILENT = new Set(["name_zh", "group"]);
const ALWAYS = new Set(["style", "background", "name", "place"]);

/** The attributes of a kind that a reader chooses; a thing's colour stands beside the thing. */
export function attributes(about: About, kind: string): string[] {
  return Object.keys(about[kind] ?? {}).filter((key) => !SILENT.has(key) && !colourOf(about, kind, key));
}

/** Whether an attribute is the colour of another. */
export function colourOf(about: About, kind: string, key: string): string | null {
  const thing = key.endsWith("_color") ? key.slice(0, -6) : null;
  return thing !== null && about[kind]?.[thing] ? thing : null;
}

export function compose(about: About, kind: string, chosen: Chosen): string {
  const keys = about[kind] ?? {};
  const said: string[] = [];
  const style = chosen.style ?? keys.style?.[0];
  if (style && chosen.name) said.push(`${style} of a ${chosen.name}`);
  else if (style) said.push(style);
  else if (chosen.name) said.push(chosen.name);
  let background = "";
  for (const key of Object.keys(keys)) {
    const value = chosen[key];
    if (!value || key === "style" || key === "name" || SILENT.has(key)) continue;
    if (colourOf(about, kind, key)) {
      if (!chosen[key.slice(0, -6)]) said.push(`${value} ${key.slice(0, -6).replaceAll("_", " ")}`);
      continue;
    }
    if (key === "background") background = `${value} background`;
    else if (key === "skin") said.push(`${value} skin`);
    else if (key.endsWith("_color")) said.push(`${value} ${key.slice(0, -6).replaceAll("_", " ")}`);
    else said.push(chosen[`${key}_color`] && keys[`${key}_color`] ? `${chosen[`${key}_color`]} ${value}` : value);
  }
  if (background) said.push(background);
  return said.join(", ");
}

/** Some choice of everything that a kind should be told: never all of it. */
export function surprise(about: About, kind: string, random: () => number = Math.random): Chosen {
  const chosen: Chosen = {};
  for (const [key, values] of Object.entries(about[kind] ?? {})) {
    if (SILENT.has(key)) continue;
    const thing = colourOf(about, kind, key);
    const always = ALWAYS.has(key) || (thing !== null && thing in chosen);
    if (!always && (thing !== null || random() < 0.55)) continue;
    chosen[key] = values[Math.floor(random() * Math.min(values.length, 16))]!;
  }
  return chosen;
}
