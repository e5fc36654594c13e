import { LogOut, Trash2 } from "lucide-preact";
import { api, locked } from "../api";
import { edit, explain, paint, say, theme, type Theme } from "../state";
import { Button } from "../ui";
import { chosen, LANGUAGES, t, type Language } from "../words";
import type { Word } from "../words/en";

const THEMES: [Theme, Word][] = [["auto", "settings.auto"], ["light", "settings.light"], ["dark", "settings.dark"]];

export function Settings() {
  const forget = async () => {
    try {
      await api.remove("/api/v1/session");
      locked.value = true;
    } catch (error) {
      explain(error);
    }
  };
  return (
    <div class="screen page" tabIndex={0}>
      <h1>{t("nav.settings")}</h1>
      <section class="card">
        <h2>{t("settings.language")}</h2>
        <Choices name={t("settings.language")} options={[["auto", t("settings.auto")], ...Object.entries(LANGUAGES)]} value={chosen.value} set={(value) => (chosen.value = value as Language | "auto")} />
      </section>
      <section class="card">
        <h2>{t("settings.theme")}</h2>
        <Choices name={t("settings.theme")} options={THEMES.map(([value, word]) => [value, t(word)])} value={theme.value} set={(value) => (theme.value = value as Theme)} />
      </section>
      <section class="card">
        <h2>{t("settings.privacy")}</h2>
        <p>{t("settings.privacy.help")}</p>
        <Button icon={Trash2} onClick={() => { paint.value = { task: "txt2img", values: {} }; edit.value = { task: "img2img", values: {} }; say(t("settings.forgotten")); }}>{t("settings.forget")}</Button>
      </section>
      <section class="card">
        <h2>{t("settings.token")}</h2>
        <p>{t("settings.token.help")}</p>
        <Button icon={LogOut} onClick={() => void forget()}>{t("settings.token.forget")}</Button>
      </section>
    </div>
  );
}

function Choices({ name, options, value, set }: { name: string; options: [string, string][]; value: string; set: (value: string) => void }) {
  return (
    <div class="tabs" role="group" aria-label={name}>
      {options.map(([each, label]) => (
        <button type="button" key={each} lang={each === "zh" ? "zh" : undefined} aria-pressed={each === value} onClick={() => set(each)}>{label}</button>
      ))}
    </div>
  );
}
