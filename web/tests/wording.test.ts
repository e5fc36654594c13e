import { expect, it } from "vitest";
import { attributes, compose, surprise } from "../src/wording";

const about = {
  portrait: { style: ["comic portrait"], background: ["teal", "red"], skin: ["tan"], hair: ["curly hair"], hair_color: ["red"] },
  emoji: { style: ["3d emoji"], name: ["rocket"], name_zh: ["火箭"], background: ["white"] },
};

it("offers a thing's colour beside the thing", () => expect(attributes(about, "portrait")).toEqual(["style", "background", "skin", "hair"]));

it("writes as captions do", () => {
  expect(compose(about, "portrait", { background: "teal", skin: "tan", hair: "curly hair", hair_color: "red" })).toBe(
    "comic portrait, tan skin, red curly hair, teal background",
  );
  expect(compose(about, "emoji", { name: "rocket", background: "white" })).toBe("3d emoji of a rocket, white background");
});

it("chooses by chance, a background always", () => {
  const chosen = surprise(about, "portrait", () => 0.9);
  expect(chosen).toMatchObject({ style: "comic portrait", background: "red", hair: "curly hair", hair_color: "red" });
});
