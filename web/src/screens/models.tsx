import { Check, Paintbrush } from "lucide-preact";
import { adapters, bytes, go, models, paint } from "../state";
import { Button, Empty, Skeleton } from "../ui";
import { t } from "../words";
import { Thumb, useAdapters } from "../writing";
import { en, type Word } from "../words/en";

export function Models() {
  const found = models.value;
  const used = String(paint.value.values.model ?? "nano");
  return (
    <div class="screen page" tabIndex={0}>
      <h1>{t("nav.models")}</h1>
      <p class="soft">{t("models.help")}</p>
      {found === null ? <Skeleton rows={2} tall /> : found.length === 0 ? <Empty title={t("models.empty")} /> : (
        <ul class="cards">
          {found.map((model) => (
            <li class="card" key={model.name}>
              <h2>{model.name}</h2>
              <p class="soft">{model.description}</p>
              <dl>
                <dt>{t("models.family")}</dt><dd>{model.family}</dd>
                {model.size && <><dt>{t("models.size")}</dt><dd>{model.size} × {model.size}</dd></>}
                <dt>{t("models.bytes")}</dt><dd>{bytes(model.bytes)}</dd>
                {model.licence && <><dt>{t("models.licence")}</dt><dd>{model.licence}</dd></>}
              </dl>
              {model.name === used ? <p class="good"><Check size={16} aria-hidden="true" /> {t("models.inuse")}</p> : (
                <Button icon={Paintbrush} onClick={() => { paint.value = { ...paint.value, values: { ...paint.value.values, model: model.name } }; go("paint"); }}>{t("models.use")}</Button>
              )}
            </li>
          ))}
        </ul>
      )}
      <h2>{t("models.adapters")}</h2>
      <div class="cards">
        {Object.entries(adapters.value).map(([kind, names]) => (
          <section class="card" key={kind}>
            <h3>{`kind.${kind}` in en ? t(`kind.${kind}` as Word) : kind}</h3>
            {names.length === 0 ? <p class="soft">{t("none")}</p> : <Files sort={kind} names={names} />}
          </section>
        ))}
      </div>
    </div>
  );
}

/** Files of a sort, each with the picture that lies beside it and the words that call it. */
function Files({ sort, names }: { sort: string; names: string[] }) {
  const known = useAdapters(sort);
  return (
    <ul class="files">
      {names.map((name) => {
        const about = known?.find((each) => each.name === name);
        return (
          <li key={name} class="joined">
            <Thumb adapter={about ?? { name, bytes: 0, triggers: [], preview: null }} />
            <span class="about"><span>{name}</span>{about && <span class="help">{[bytes(about.bytes), ...(sort === "embeddings" ? [] : about.triggers.slice(0, 4))].join(" · ")}</span>}</span>
          </li>
        );
      })}
    </ul>
  );
}
